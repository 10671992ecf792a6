"""What a consumer's class declares, as it is meant: a set of an enumeration's members, or of their texts."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from enum import StrEnum
from typing import Any, TypeVar

Member = TypeVar("Member", bound=StrEnum)


def members(kind: type[Member], given: Any) -> frozenset[Member]:
    """Return the members that a declaration names: a set, list or tuple of members or of their texts.

    Raises:
        ValueError: it is no such thing; the sentence ends one that begins with the declaration's name.
    """
    if isinstance(given, frozenset) and all(isinstance(item, kind) for item in given):
        return given
    what = f"services.consumer.{'assumptions' if kind.__name__ == 'Assumption' else 'patterns'}:{kind.__name__}"
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise ValueError(f"is {given!r}, and has to be a set of members of {what}")  # noqa: TRY004 - one sentence
    known = [str(member) for member in kind]
    found = []
    for item in given:
        if str(item) not in known:
            near = difflib.get_close_matches(str(item), known, n=1)
            hint = f"perhaps {near[0]!r} is meant" if near else f"there are: {', '.join(known)}"
            raise ValueError(f"names {str(item)!r}, which is no member of {what}; {hint}")
        found.append(kind(str(item)))
    return frozenset(found)


def calls_super(kind: type, base: type) -> bool:
    """Tell whether each ``__init__`` below a base class sets up what the base needs, as far as its code shows."""
    for each in kind.__mro__[: kind.__mro__.index(base)]:
        code = getattr(each.__dict__.get("__init__"), "__code__", None)
        if code is not None and not {"__init__", "options", "__dict__", "setattr"} & set(code.co_names):
            return False
    return True
