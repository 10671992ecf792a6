"""What is replaced in moto is what the replacement was written for: another moto is noticed, and loudly."""

import pytest

from infra.localaws import moto_caches, moto_patches
from infra.localaws.moto_seams import SEAMS, MotoChangedError, Seam, add, digest_of, replace


def _changed(seams):
    return [seam.name for seam in seams if seam.known != seam.found]


def test_moto_is_the_one_that_the_replacements_were_written_for():
    """If an upgrade of moto fails here: read what changed, adapt the replacement, note the new digest."""
    moto_patches.patch()
    moto_caches.quicken()
    assert len(SEAMS) == 17
    assert _changed(SEAMS) == []


def test_a_changed_source_is_noticed():
    assert _changed([Seam("a.b", "0", "0"), Seam("a.c", "0", "1")]) == ["a.c"]


class Owner:
    def method(self):
        return 1


def test_a_name_that_moto_no_longer_has_is_an_error_that_names_it():
    with pytest.raises(MotoChangedError, match=r"no Owner\.gone"):
        replace(Owner, "gone", "", lambda present: present)


def test_a_method_that_moto_has_by_now_is_not_overwritten():
    with pytest.raises(MotoChangedError, match=r"Owner\.method of its own"):
        add(Owner, "method", None)


def test_a_replacement_gets_the_present_one_and_its_digest_is_noted():
    known = digest_of(Owner.method)
    replace(Owner, "method", known, lambda present: lambda self: present(self) + 1)
    try:
        assert Owner().method() == 2
        assert SEAMS[-1] == Seam("Owner.method", known, known)
    finally:
        SEAMS.pop()
