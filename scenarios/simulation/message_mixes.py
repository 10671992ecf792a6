"""Message mixes: what producers send when they are not as tidy as ours.

Good messages, poison, bodies that are no JSON or lack what they need, the same message sent twice, business keys that
several messages share or that hardly differ, groups, and bodies of any size.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final

from scenarios.simulation.choices import Choices
from services.operations import OutgoingMessage

#: How a producer marks a message as poison, and how a consumer finds it.
POISON_MARKER = '"poison": true'
#: Bodies that nothing can be done with.
MALFORMED = ("not JSON at all", "[1, 2, 3]", '"a text"', "{", "null", '{"id": }')
#: How many characters a body is filled up with, the tamest first.
PADDING = (0, 0, 0, 1, 100, 2_000)
#: Stands for a field that the payload lacks.
MISSING: Final = object()
_LONG_PREFIX = "customer-" + 200 * "0"
#: Keys that differ from each other, though a careless consumer merges them or takes them for none.
ODD_KEYS: tuple[object, ...] = (
    "order-a",
    "ORDER-A",
    "caf\u00e9",  # one character
    "cafe\u0301",  # the same to a reader: a letter and an accent
    _LONG_PREFIX + "1",
    _LONG_PREFIX + "2",
    0,
    1,
    "01",
    "1 ",
    2**53,  # the first two whole numbers that are one as a float
    2**53 + 1,
    "None",
)
#: What names no side effect: a message with such a business key is poison.
NO_KEYS: tuple[object, ...] = (MISSING, "", None, True, 1.0, [], {})


@dataclass(frozen=True, slots=True)
class MessageMix:
    """Which messages there may be, as probabilities in percent.

    Attributes:
        poison: marked as poison.
        malformed: a body that nothing can be done with.
        repeated: the message is sent a second time, as by a producer that did not hear that it was taken.
        shared_key: the message bears the business key of an earlier one.
        odd_key: the business key is one of ``ODD_KEYS``.
        no_key: the business key is one of ``NO_KEYS``.
        business_field: the payload field of the business key; empty for none.
        groups: how many message groups there are; 0 for a standard queue.
    """

    poison: int = 0
    malformed: int = 0
    repeated: int = 0
    shared_key: int = 0
    odd_key: int = 0
    no_key: int = 0
    business_field: str = ""
    groups: int = 0


def draw_messages(choices: Choices, mix: MessageMix, count: int) -> tuple[OutgoingMessage, ...]:
    """Return ``count`` messages; a repeated one stands among them with the body of its first copy."""
    found: list[OutgoingMessage] = []
    for sequence in range(count):
        if found and choices.chance(mix.repeated):
            found.append(_copy(choices.pick(found), sequence))
        elif choices.chance(mix.malformed):
            found.append(_outgoing(choices, mix, sequence, choices.pick(MALFORMED)))
        else:
            found.append(_outgoing(choices, mix, sequence, _body(choices, mix, sequence)))
    return tuple(found)


def _body(choices: Choices, mix: MessageMix, sequence: int) -> str:
    payload: dict[str, object] = {"id": f"key-{sequence}", "work": 1, "sequence": sequence}
    if mix.business_field:
        key = _business_key(choices, mix, sequence)
        if key is not MISSING:
            payload[mix.business_field] = key
    if choices.chance(mix.poison):
        payload["poison"] = True
    padding = choices.pick(PADDING)
    if padding:
        payload["padding"] = "x" * padding
    return json.dumps(payload)


def _business_key(choices: Choices, mix: MessageMix, sequence: int) -> object:
    # A chance of 0 draws nothing, so a mix without odd keys has the histories that it always had.
    if choices.chance(mix.no_key):
        return choices.pick(NO_KEYS)
    if choices.chance(mix.odd_key):
        return ODD_KEYS[(sequence + choices.below(len(ODD_KEYS))) % len(ODD_KEYS)]
    shared = sequence and choices.chance(mix.shared_key)
    return f"order-{choices.below(sequence) if shared else sequence}"


def _outgoing(choices: Choices, mix: MessageMix, sequence: int, body: str) -> OutgoingMessage:
    if not mix.groups:
        return OutgoingMessage(body)
    return OutgoingMessage(body, f"g{choices.below(mix.groups)}", f"send-{sequence}")


def _copy(message: OutgoingMessage, sequence: int) -> OutgoingMessage:
    if message.group is None:
        return message
    return OutgoingMessage(message.body, message.group, f"send-{sequence}")
