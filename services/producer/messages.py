"""The synthetic messages of a producer, all of them determined by a seed."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from services.operations import OutgoingMessage
from services.producer.options import MessagePlan

#: The range of a payload's ``work``, both ends included.
WORK = (1, 1000)


def plan_messages(plan: MessagePlan, rng: random.Random) -> list[OutgoingMessage]:
    """Return the messages in the order in which they are to be sent."""
    if plan.poison_every:
        poison = set(range(plan.poison_every - 1, plan.count, plan.poison_every))
    else:
        poison = set(rng.sample(range(plan.count), plan.poison_count))
    return [_message(plan, sequence, sequence in poison, rng) for sequence in range(plan.count)]


def stamped(message: OutgoingMessage, field: str, now: float) -> OutgoingMessage:
    """Return a message whose payload says when it was made, in seconds since the epoch."""
    return replace(message, body=json.dumps({**json.loads(message.body), field: round(now, 3)}))


def _message(plan: MessagePlan, sequence: int, poison: bool, rng: random.Random) -> OutgoingMessage:
    identity = _uuid4(rng.getrandbits(128))
    own = {"id": identity, "work": rng.randint(*WORK), "sequence": sequence}
    rest: dict[str, Any] = dict(plan.fields)
    if plan.entities:
        rest |= {"entity": f"e{sequence % plan.entities}", "version": plan.first_version + sequence // plan.entities}
    if poison:
        rest["poison"] = True
    # What every payload has needs no encoder, and most have nothing else.
    head = f'{{"id": "{identity}", "work": {own["work"]}, "sequence": {sequence}'
    return OutgoingMessage(
        body=f"{head}, {json.dumps(rest)[1:]}" if rest else f"{head}}}",
        group=_group(plan, own | rest),
        deduplication_id=identity if plan.deduplication == "id" else None,
    )


def _uuid4(number: int) -> str:
    """Return the text of the UUID of version 4 that a number of 128 bits makes; see RFC 9562, section 5.4."""
    digits = f"{number & ~_VERSION_BITS | _VERSION:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


_VERSION_BITS, _VERSION = 0xF000 << 64 | 0xC000 << 48, 4 << 76 | 0x8000 << 48


def _group(plan: MessagePlan, payload: Mapping[str, Any]) -> str | None:
    if plan.group_by:
        return str(payload[plan.group_by])
    return f"g{payload['sequence'] % plan.groups}" if plan.groups else None
