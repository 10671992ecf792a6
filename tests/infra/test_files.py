"""Files are written whole, privately, and through links; what a killed process left is swept."""

import os
import stat
import subprocess
import sys

import pytest

from infra.files import open_private, sweep_temporaries, write_atomically


def mode_of(path):
    return stat.S_IMODE(path.lstat().st_mode)


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "f"
    path.write_bytes(b"old")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, "new")
    assert [(item.name, item.read_bytes()) for item in tmp_path.iterdir()] == [("f", b"old")]


@pytest.mark.parametrize("durable", [True, False])
@pytest.mark.parametrize("content", ["text é", "text é".encode()])
def test_a_new_file_is_for_its_owner_alone_whatever_the_umask(tmp_path, content, durable):
    previous = os.umask(0)
    try:
        write_atomically(tmp_path / "deep" / "f", content, durable=durable)
        os.close(open_private(tmp_path / "log"))
    finally:
        os.umask(previous)
    assert (tmp_path / "deep" / "f").read_text() == "text é"
    assert mode_of(tmp_path / "deep" / "f") == mode_of(tmp_path / "log") == 0o600


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644])
def test_a_file_keeps_its_permissions(tmp_path, mode):
    path = tmp_path / ".env"
    path.write_text("old")
    path.chmod(mode)
    write_atomically(path, "new")
    assert (path.read_text(), mode_of(path)) == ("new", mode)


def test_a_link_stays_a_link_and_its_file_is_replaced(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    target = tmp_path / "elsewhere" / "env"
    target.write_text("old")
    target.chmod(0o600)
    link = tmp_path / ".env"
    link.symlink_to("elsewhere/env")
    write_atomically(link, "new")
    assert link.is_symlink()
    assert (target.read_text(), mode_of(target)) == ("new", 0o600)


def test_what_a_killed_process_left_is_swept_and_what_a_living_one_writes_is_not(tmp_path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    dead, own, foreign = (tmp_path / name for name in (f".f.{ended.pid}.tmp", f".f.{os.getpid()}.tmp", ".notes.tmp"))
    for path in (dead, own, foreign):
        path.write_text("half")
    sweep_temporaries(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([own.name, foreign.name])
