"""Invariants and witnesses of fifo-order alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from scenarios.checks.witnesses import Evidence, Witness
from scenarios.history import Effect, History, SentMessage
from services.consumer.patterns import Pattern


@dataclass(frozen=True, slots=True)
class _Stop:
    """A side effect that failed, and the one by which the same message was done later."""

    failed: Effect
    done: Effect


def _stops(history: History) -> Iterable[_Stop]:
    for effects in history.effects_of.values():
        for failed in effects:
            if failed.status == "fail" and failed.group is not None:
                done = [item for item in effects if item.status == "ok" and item.call.started > failed.call.ended]
                if done:
                    yield _Stop(failed, done[0])


def find_group_stopped_and_resumed(history: History) -> Evidence | None:
    """Find a failure in the middle of a group after which the group stood still, and then went on in order.

    There must have been something to hold back: later messages of the group, in the same receive.
    """
    for stop in _stops(history):
        held_back = _behind(history, stop.failed)
        effects = [history.effects_of.get(message.key, ()) for message in held_back]
        begun = [[item for item in tries if item.call.started > stop.failed.call.started] for tries in effects]
        went_on = all(tries and tries[0].call.started > stop.done.call.started for tries in begun)
        if held_back and went_on:
            summary = (
                f"group {stop.failed.group} stopped at {history.name(stop.failed.message_id)}, held back "
                f"{len(held_back)} in hand, and went on {stop.done.call.ended - stop.failed.call.ended:.1f} s later"
            )
            return Evidence(summary, 1, (*stop.failed.call.records, *stop.done.call.records))
    return None


def _behind(history: History, failed: Effect) -> Sequence[SentMessage]:
    """Return the messages of the same group that came with a failed one, and behind it."""
    here = history.messages.get(failed.message_id)
    receives = [
        delivery.call
        for delivery in history.deliveries_of.get(failed.message_id, ())
        if delivery.process == failed.process and delivery.time <= failed.call.started
    ]
    if here is None or not receives:
        return []
    together = [history.messages.get(item["message_id"]) for item in receives[-1].result]
    return [
        message
        for message in together
        if message is not None and message.group == here.group and message.position > here.position
    ]


def find_other_groups_ran_on(history: History) -> Evidence | None:
    """Find side effects of other groups, by the consumer that failed, between a failure and the message's side effect.

    That another consumer goes on with them says nothing of the one that failed.
    """
    for stop in _stops(history):
        others = [
            effect
            for effect in history.effects
            if effect.status == "ok"
            and effect.process == stop.failed.process
            and effect.group not in (None, stop.failed.group)
            and stop.failed.call.ended < effect.call.ended < stop.done.call.started
        ]
        if others:
            groups = sorted({str(effect.group) for effect in others})
            summary = (
                f"{stop.failed.process} did {len(others)} messages of {', '.join(groups)} while {stop.failed.group} "
                "stood still"
            )
            return Evidence(summary, len(others), (*stop.failed.call.records, *others[0].call.records))
    return None


GROUP_STOPPED_AND_RESUMED = Witness(
    "group-stopped-and-resumed",
    "a message group stops at a failure, and goes on with it",
    find_group_stopped_and_resumed,
    pattern=Pattern.GROUPS_IN_A_BATCH,
)


OTHER_GROUPS_RAN_ON = Witness(
    "other-groups-ran-on",
    "the consumer that stops a group goes on with others meanwhile",
    find_other_groups_ran_on,
    pattern=Pattern.GROUPS_IN_A_BATCH,
)
