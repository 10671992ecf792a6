"""State coverage: how many abstract states of the system a campaign has seen, and whether it still sees new ones.

An abstract state is how things stand with one key after a record that concerns it, without any names:

    each message    where it is, how often it was received, and on a FIFO queue whether it is the head of its group
    the key         its claim, whether the claim's owner received a message of it last, how often its effect was done
    each process    the operation that it finished last and whether it failed, or how it ended: of the process that
                    holds the key's claim, of the one that received it last, and of any other

What a bug does to one key it does there; the states of all keys together would be new in nearly every history, and say
nothing. A state is kept as a bit of a fixed map: memory stays flat, and what several processes or machines have seen
adds up by an OR.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from scenarios.history import ENDPOINT, LAB, Call, History, Record
from services.operations import OPERATIONS

#: Bits of the map. Two states share a bit now and then, so far fewer states than bits can be told apart.
BITS: Final = 1 << 20
#: A message that was received so often was received many times, and an effect that was done so often was repeated.
MANY_RECEIVES, REPEATED = 3, 2

#: New states are told for so many histories.
PER: Final = 1_000
#: Points of a growth that are kept.
MOST_POINTS: Final = 128
#: States whose bits are remembered.
MOST_REMEMBERED: Final = 200_000

_WAITING, _IN_FLIGHT, _DELETED, _DEAD, _FORGOTTEN = range(5)
_NO_CLAIM, _HELD, _COMPLETED, _RELEASED = range(4)
#: What an event of the endpoint makes of a message.
_PLACES: Final = {
    "sent": _WAITING,
    "delivered": _IN_FLIGHT,
    "deleted": _DELETED,
    "dead-lettered": _DEAD,
    "expired": _FORGOTTEN,
}
#: The phases of a process: an even number where its last operation was done, an odd one where it failed.
_PHASES: Final = {name: 2 * number for number, name in enumerate(sorted(OPERATIONS), 2)}
_NONE, _ENDED, _KILLED = 0, 2, 3
_EFFECTS: Final = frozenset({"PerformSideEffect", "CallApi"})
_CLAIMS: Final = {"Complete": _COMPLETED, "ReleaseClaim": _RELEASED}
#: The operations whose argument ``key`` says what they are about.
_KEYED: Final = frozenset({"Claim", "LookUpSideEffect", "RenewClaim", *_CLAIMS, *_EFFECTS})


@dataclass(slots=True)
class Coverage:
    """The abstract states that were seen.

    Attributes:
        bits: the map.
        count: how many of its bits are set.
    """

    bits: bytearray = field(default_factory=lambda: bytearray(BITS // 8))
    count: int = 0

    def __reduce__(self) -> tuple[object, ...]:
        # Most of the map is empty.
        return _unpacked, (self.packed(), self.count)

    def packed(self) -> bytes:
        """Return the map in few bytes."""
        return zlib.compress(bytes(self.bits), 1)

    @classmethod
    def unpack(cls, packed: bytes) -> Coverage:
        """Return what ``packed`` returned as a coverage.

        Raises:
            ValueError: it is no such map.
        """
        try:
            bits = zlib.decompress(packed)
        except zlib.error as error:
            raise ValueError(str(error)) from None
        if len(bits) != BITS // 8:
            raise ValueError(f"a map has {BITS // 8} bytes, and this one {len(bits)}")
        return cls(bytearray(bits), int.from_bytes(bits, "little").bit_count())

    def add(self, states: Iterable[int]) -> int:
        """Add states; return how many of them are new."""
        bits, before = self.bits, self.count
        for state in states:
            at, bit = state >> 3, 1 << (state & 7)
            if not bits[at] & bit:
                bits[at] |= bit
                self.count += 1
        return self.count - before

    def merge(self, other: Coverage) -> int:
        """Add what was seen elsewhere; return how much of it is new."""
        before = self.count
        both = int.from_bytes(self.bits, "little") | int.from_bytes(other.bits, "little")
        self.bits = bytearray(both.to_bytes(len(self.bits), "little"))
        self.count = both.bit_count()
        return self.count - before


def _unpacked(packed: bytes, count: int) -> Coverage:
    return Coverage(bytearray(zlib.decompress(packed)), count)


@dataclass(slots=True)
class Growth:
    """How many states had been seen after so many histories, at points that become rarer as a campaign goes on.

    Attributes:
        points: histories, and states by then.
        step: the fewest histories between two points.
    """

    points: list[tuple[int, int]] = field(default_factory=list)
    step: int = PER

    def note(self, histories: int, states: int) -> None:
        """Add a point, where the last one is long ago."""
        if histories - (self.points[-1][0] if self.points else 0) < self.step:
            return
        self.points.append((histories, states))
        if len(self.points) >= MOST_POINTS:
            del self.points[::2]
            self.step *= 2

    def new_per_thousand(self) -> list[tuple[int, float]]:
        """Return, for the end of each part, how many new states 1,000 histories of it brought."""
        before = [(0, 0), *self.points]
        return [
            (end, (after - seen) * PER / (end - begin))
            for (begin, seen), (end, after) in zip(before, self.points, strict=False)
        ]


def states_of(history: History) -> set[int]:
    """Return the abstract states that a history went through, each as the number of a bit."""
    return {_bit(state) for state in _Walk(history).states}


class _Walk:
    """Goes through a history record by record."""

    def __init__(self, history: History) -> None:
        self.states: set[tuple[object, ...]] = set()
        self._keys: dict[str, _Key] = {}
        self._messages: dict[str, _Message] = {}
        self._phases: dict[str, int] = {}
        self._groups: dict[str, list[_Message]] = {}
        #: What the phases are but for two processes, by these; until a phase changes.
        self._others: dict[tuple[str, str], frozenset[int]] = {}
        self._key_of = {message_id: message.key for message_id, message in history.messages.items()}
        self._queue = history.facts.queue
        self._has_groups = history.facts.fifo
        for record in history.records:
            kind = record["type"]
            if kind == "event":
                if record["process"] == ENDPOINT:
                    self._happened(record)
                elif record["event"] == "exited":
                    self._enters(record["exited"], _KILLED if record["code"] else _ENDED)
            elif kind in ("ok", "fail"):
                self._answered(history.call_of(record), failed=kind == "fail")

    def _happened(self, event: Record) -> None:
        """Take in what the endpoint says."""
        place = _PLACES.get(event["event"])
        if place is None or event["queue"] != self._queue:
            return
        message_id = event["message_id"]
        message = self._messages.get(message_id)
        if message is None:
            message = self._messages[message_id] = self._new(message_id, event.get("group"))
        if place == _IN_FLIGHT:
            message.receives = min(event["receive_count"], MANY_RECEIVES)
        message.place = place
        self._saw(message.key)
        if self._has_groups and place > _IN_FLIGHT:
            self._next_head(message)

    def _new(self, message_id: str, group: str | None) -> _Message:
        name = self._key_of.get(message_id, message_id)
        key = self._keys.get(name)
        if key is None:
            key = self._keys[name] = _Key()
        message = _Message(key)
        key.messages.append(message)
        if self._has_groups and group is not None:
            members = self._groups.setdefault(group, [])
            members.append(message)
            message.group = members
            message.head = len(members) == 1
        return message

    def _next_head(self, gone: _Message) -> None:
        if gone in gone.group:
            gone.group.remove(gone)
        gone.head = False
        if gone.group and not gone.group[0].head:
            gone.group[0].head = True
            self._saw(gone.group[0].key)

    def _answered(self, call: Call, *, failed: bool) -> None:
        """Take in how an operation of a process ended."""
        process, operation = call.process, call.operation
        if process.startswith(LAB):
            return
        self._enters(process, _PHASES[operation] + failed)
        if operation == "Receive" and not failed:
            for item in call.result:
                message = self._messages.get(item["message_id"])
                if message is not None:
                    message.key.holder = process
        elif operation in _KEYED:
            key = self._keys.get(call.arguments["key"])
            if key is not None:
                if not failed:
                    _apply(key, operation, call.result, process)
                self._saw(key)

    def _enters(self, process: str, phase: int) -> None:
        """Note the phase of a process."""
        if self._phases.get(process) != phase:
            self._phases[process] = phase
            self._others.clear()

    def _saw(self, key: _Key) -> None:
        """Add the state of a key."""
        phases, owner, holder = self._phases, key.owner, key.holder
        others = self._others.get((owner, holder))
        if others is None:
            rest = (phase for name, phase in phases.items() if name not in (owner, holder))
            others = self._others[owner, holder] = frozenset(rest)
        copies = [message.code() for message in key.messages]
        if len(copies) > 1:
            copies.sort()
        self.states.add(
            (
                *copies,
                key.claim | key.effects << 2 | (owner == holder) << 4,
                phases.get(owner, _NONE),
                phases.get(holder, _NONE),
                others,
            )
        )


class _Key:
    """What is known of a key."""

    __slots__ = ("claim", "effects", "holder", "messages", "owner")

    def __init__(self) -> None:
        self.messages: list[_Message] = []
        self.claim = _NO_CLAIM
        self.effects = 0
        self.owner = self.holder = ""


class _Message:
    """What is known of one message."""

    __slots__ = ("group", "head", "key", "place", "receives")

    def __init__(self, key: _Key) -> None:
        self.key = key
        self.place = _WAITING
        self.receives = 0
        self.group: list[_Message] = []
        self.head = False

    def code(self) -> int:
        """Return its state as a number."""
        return self.place | self.receives << 3 | self.head << 5


def _apply(key: _Key, operation: str, result: object, process: str) -> None:
    """Let an operation on a key have its effect."""
    if operation in _EFFECTS:
        key.effects = min(key.effects + 1, REPEATED)
    elif operation == "Claim":
        if isinstance(result, dict) and result["type"] == "Claimed":
            key.claim, key.owner = _HELD, process
    elif operation in _CLAIMS and result:
        key.claim = _CLAIMS[operation]


_bits: dict[tuple[object, ...], int] = {}


def _bit(state: tuple[object, ...]) -> int:
    """Return the number of a state's bit, the same in every process."""
    bit = _bits.get(state)
    if bit is None:
        *known, others = state
        assert isinstance(others, frozenset)  # noqa: S101 - the last part of each state
        if len(_bits) >= MOST_REMEMBERED:
            _bits.clear()
        digest = hashlib.blake2b(f"{known}/{sorted(others)}".encode(), digest_size=8).digest()
        bit = _bits[state] = int.from_bytes(digest, "big") % BITS
    return bit
