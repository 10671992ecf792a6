"""Invariants and witnesses of retry-backoff alone."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise
from math import inf
from typing import NamedTuple

from scenarios.checks.witnesses import Evidence, Witness
from scenarios.history import Call, Effect, History
from services.consumer.patterns import Pattern


def find_healed_after_retries(history: History) -> Evidence | None:
    """Find a message that failed at least twice, and was done in the end."""
    found = []
    for message in history.messages.values():
        tries = history.effects_of.get(message.key, ())
        failed = [effect for effect in tries if effect.status == "fail"]
        if len(failed) > 1 and tries[-1].status == "ok":
            found.append((message, failed, tries[-1]))
    if not found:
        return None
    message, failed, done = found[0]
    gaps = ", ".join(f"{later.call.started - earlier.call.ended:.1f}" for earlier, later in pairwise([*failed, done]))
    summary = (
        f"{len(found)} messages, e.g. {history.name(message.message_id)} failed {len(failed)} times, with {gaps} s "
        "to the next try, and was done"
    )
    return Evidence(summary, len(found), (*failed[0].call.records, *done.call.records))


class _PutOff(NamedTuple):
    """A failure, and the ChangeVisibility by which its message was put off."""

    failed: Effect
    call: Call

    @property
    def seconds(self) -> int:
        return int(self.call.arguments["timeout"])


def _put_offs(history: History, message_id: str) -> list[_PutOff]:
    """Return how a message was put off after each of its failures, in order; what was given back was not."""
    deliveries = history.deliveries_of.get(message_id, ())
    calls = [
        call
        for call in history.calls("ChangeVisibility")
        if call.status == "ok" and message_id in call.arguments["messages"] and call.arguments["timeout"]
    ]
    found = []
    for failed in history.effects_of.get(history.messages[message_id].key, ()):
        if failed.status == "fail" and failed.message_id == message_id:
            ended = failed.call.ended
            again = min((delivery.time for delivery in deliveries if delivery.time > ended), default=inf)
            mine = [call for call in calls if call.process == failed.process and ended <= call.started < again]
            found += [_PutOff(failed, call) for call in mine[:1]]
    return found


def find_put_off_for_longer(history: History) -> Evidence | None:
    """Find a message that was put off for longer after a later failure than after its first.

    What is asked of the queue is compared, and not when the message came again: no consumer may have been there to take
    it. One such message is evidence enough. With jitter a time may well be shorter than the one before it, so no
    consumer can be convicted of one; times that never grow show here in no message.
    """
    found = []
    for message_id in history.messages:
        put_offs = _put_offs(history, message_id)
        longer = [later for later in put_offs[1:] if later.seconds > put_offs[0].seconds]
        found += [(put_offs[0], later) for later in longer[:1]]
    if not found:
        return None
    first, later = found[0]
    summary = (
        f"{len(found)} messages, e.g. {history.name(first.failed.message_id)}: by {first.seconds} s after its first "
        f"failure, by {later.seconds} s after a later one"
    )
    return Evidence(summary, len(found), (*first.call.records, *later.call.records))


def find_put_off_apart(history: History) -> Evidence | None:
    """Find two messages that failed as often, and were put off by different times."""
    at: dict[int, list[_PutOff]] = defaultdict(list)
    for message_id in history.messages:
        for number, put_off in enumerate(_put_offs(history, message_id)):
            at[number].append(put_off)
    for put_offs in at.values():
        least, most = (pick(put_offs, key=lambda item: item.seconds) for pick in (min, max))
        if least.seconds < most.seconds:
            one, other = (history.name(item.failed.message_id) for item in (least, most))
            summary = f"after as many failures, {one} is put off by {least.seconds} s and {other} by {most.seconds} s"
            return Evidence(summary, 1, (*least.call.records, *most.call.records))
    return None


HEALED_AFTER_RETRIES = Witness(
    "healed-after-retries", "a message fails several times and is done in the end", find_healed_after_retries
)


PUT_OFF_FOR_LONGER = Witness(
    "put-off-for-longer",
    "a message is put off for longer after a later failure than after its first",
    find_put_off_for_longer,
    pattern=Pattern.BACKOFF,
)


PUT_OFF_APART = Witness(
    "put-off-apart",
    "messages that failed as often are put off by different times",
    find_put_off_apart,
    required=False,
    pattern=Pattern.BACKOFF,
)
