"""Generic operations on items of our own table: GetItem, PutItem, DeleteItem, AddToCounter, Transact.

They are what DynamoDB offers to any design: a conditional write, a counter, and a transaction of several writes, which
may hold the side effect itself where its system is the same database (an inbox, say). An item is a text under a key.
https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from services.operations.base import Mark, Names, Operation, RecordedCall, immutable, plain
from services.operations.effects import PerformSideEffect


@immutable
class GetItem(Operation, part="store", mark=Mark("get item", "lookup", "store")):
    """Read an item. Result: its value, or None where there is none.

    Attributes:
        consistent: the read sees each write that was answered before. DynamoDB's own default is a read that may not.
    """

    key: str
    consistent: bool = True

    @classmethod
    def told(cls, call: RecordedCall, names: Names) -> tuple[str, str]:
        """Say what it read."""
        return f"reads {_name(names, call)}", "there is nothing" if call.result is None else str(call.result)


@immutable
class PutItem(Operation, part="store", mark=Mark("put item", "complete", "store")):
    """Write an item, if its condition holds. Result: whether it was written.

    Attributes:
        if_absent: only where there is no such item.
        if_equal: only where the item has this value; None for no such condition.
    """

    key: str
    value: str
    if_absent: bool = False
    if_equal: str | None = None

    @property
    def is_conditional(self) -> bool:
        """Whether it compares what is there."""
        return self.if_absent or self.if_equal is not None

    @classmethod
    def told(cls, call: RecordedCall, names: Names) -> tuple[str, str]:
        """Say what it wrote."""
        return f"writes {_name(names, call)} = {call.arguments['value']}", "" if call.result else "refused"


@immutable
class DeleteItem(Operation, part="store", mark=Mark("delete item", "release", "store")):
    """Delete an item, if its condition holds. Result: whether there is none now.

    Attributes:
        if_equal: only where the item has this value; None for no such condition.
    """

    key: str
    if_equal: str | None = None

    @classmethod
    def told(cls, call: RecordedCall, names: Names) -> tuple[str, str]:
        """Say so."""
        return f"removes {_name(names, call)}", "" if call.result else "refused"


@immutable
class AddToCounter(Operation, part="store", mark=Mark("add to counter", "renew", "store")):
    """Add to a counter, which is 0 where there is none. Result: what it is now."""

    key: str
    amount: int = 1

    @classmethod
    def told(cls, call: RecordedCall, names: Names) -> tuple[str, str]:
        """Say what it is now."""
        return f"adds {call.arguments['amount']} to {_name(names, call)}", f"it is {call.result}"


#: What a transaction can hold besides a side effect.
Write: TypeAlias = PutItem | DeleteItem | AddToCounter


@immutable
class Transacted:
    """What became of a transaction.

    Attributes:
        done: all of it was done; else nothing, since a condition did not hold.
        executions: how often its side effect has now been done; None without one.
    """

    done: bool
    executions: int | None = None


@immutable
class Transact(Operation, part="store", mark=Mark("transaction", "perform", "world")):
    """Do several writes, and perhaps one side effect, all or none. Result: :class:`Transacted`.

    Attributes:
        writes: of items that differ.
        effect: a side effect in the same database.
    """

    writes: tuple[Write, ...]
    effect: PerformSideEffect | None = None

    def arguments(self) -> dict[str, Any]:
        """Return the writes with their names, and what the side effect is about as if it stood alone."""
        about = {} if self.effect is None else self.effect.arguments()
        return {"writes": [{"type": type(write).__name__, **plain(write)} for write in self.writes], **about}

    @classmethod
    def told(cls, call: RecordedCall, names: Names) -> tuple[str, str]:
        """Name the writes, and say whether they were done."""
        arguments: Mapping[str, Any] = call.arguments
        writes = ", ".join(f"{write['type']} {_brief(names, write['key'])}" for write in arguments["writes"])
        effect = f" and PERFORMS {_brief(names, arguments['key'])}" if "key" in arguments else ""
        result = call.result or {}
        if not result.get("done"):
            return f"commits {writes}{effect}", "refused: a condition does not hold"
        times = result.get("executions") or 1
        return f"commits {writes}{effect}", f"done {times} times by now" if times > 1 else ""


def _name(names: Names, call: RecordedCall) -> str:
    return _brief(names, call.arguments["key"])


def _brief(names: Names, key: str) -> str:
    """Return the name of an item, whose key may end in that of a side effect."""
    prefix, slash, rest = key.partition("/")
    return f"{prefix}{slash}{names.name_of_key(rest).removeprefix('message ')}" if slash else key
