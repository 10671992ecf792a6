"""Invariants and witnesses of sagas: an order goes through or back as a whole, in order, whichever process dies.

An order is a message. What was done of it, the ledger's count of its keys says: ``<order>/charge``, ``<order>/refund``.
"""

from __future__ import annotations

import signal
from collections.abc import Iterable, Sequence
from itertools import chain, pairwise

from scenarios.checks.invariants import Invariant, Violation
from scenarios.checks.witnesses import Evidence, Witness
from scenarios.history import Effect, History, Record, SentMessage
from services.consumer.patterns import Pattern
from services.consumer.saga import REFUSED, STEPS, key_of_step

#: What undoes the steps, in the order in which it must happen.
WAY_BACK = tuple(step.undo for step in reversed(STEPS) if step.undo)


def partial_saga(history: History) -> list[Violation]:
    """Find orders that are over, and neither went through as a whole nor were undone as a whole.

    An order that still waits, or is dead-lettered, is not over; other invariants speak of it.
    """
    found = []
    for order in history.messages.values():
        if history.in_flight(order.message_id) or order.message_id in history.dead_letters:
            continue
        done = [step for step in STEPS if _count(history, order, step.name)]
        undone = [step for step in STEPS if step.undo and _count(history, order, step.undo)]
        through = len(done) == len(STEPS) and not undone
        back = done == undone and any(_refused(history, order))
        if not (through or back):
            words = [step.name for step in done] + [step.undo for step in undone]
            what = f"it has {', '.join(words)}" if words else "nothing of it was done"
            found.append(
                Violation(
                    f"{history.name(order.message_id)} is over, and neither went through nor back: {what}.",
                    (order.key,),
                    (order.message_id,),
                    _records(chain.from_iterable(_effects(history, order, word) for word in words)),
                )
            )
    return found


def undone_before_done(history: History) -> list[Violation]:
    """Find orders of which a step was undone before it was done."""
    steps = [(step.name, step.undo) for step in STEPS if step.undo]
    return [found for order in history.messages.values() for found in _swapped(history, order, steps)]


def undone_out_of_order(history: History) -> list[Violation]:
    """Find orders of which a step was undone before a later one was."""
    found: list[Violation] = []
    for order in history.messages.values():
        undone = [name for name in WAY_BACK if _effects(history, order, name)]
        found += _swapped(history, order, pairwise(undone))
    return found


def _swapped(history: History, order: SentMessage, pairs: Iterable[tuple[str, str]]) -> Iterable[Violation]:
    """Yield those pairs of which the second was over before the first began."""
    for before, after in pairs:
        earlier, later = (_effects(history, order, name) for name in (before, after))
        if earlier and later and later[0].call.ended < earlier[0].call.started:
            summary = f"{history.name(order.message_id)}: {after} was done before {before}."
            yield Violation(summary, (order.key,), (order.message_id,), _records((later[0], earlier[0])))


def find_went_through(history: History) -> Evidence | None:
    """Find orders of which each step was done."""
    whole = [
        order
        for order in history.messages.values()
        if all(_count(history, order, step.name) for step in STEPS) and not any(_undone(history, order))
    ]
    return Evidence(f"{len(whole)} orders", len(whole)) if whole else None


def find_saga_compensated(history: History) -> Evidence | None:
    """Find orders of which a step was refused, and the others undone."""
    found = [
        (order, refusal)
        for order in history.messages.values()
        for refusal in list(_refused(history, order))[:1]
        if all(_undone(history, order))
    ]
    if not found:
        return None
    order, refusal = found[0]
    undone = [effects[0] for name in WAY_BACK if (effects := _effects(history, order, name))]
    summary = f"{len(found)} orders, e.g. {history.name(order.message_id)}: refused, then {', '.join(WAY_BACK)}"
    return Evidence(summary, len(found), _records((refusal, *undone)))


def find_refused_halfway(history: History) -> Evidence | None:
    """Find orders that were refused before all of their steps that can be undone were done, and were undone so far."""
    found = []
    for order in history.messages.values():
        done = [step.name for step in STEPS if _count(history, order, step.name)]
        undone = [name for name in WAY_BACK if _count(history, order, name)]
        refusals = list(_refused(history, order))
        if refusals and done and len(done) == len(undone) < len(WAY_BACK):
            found.append((order, refusals[0], undone))
    if not found:
        return None
    order, refusal, undone = found[0]
    summary = (
        f"{len(found)} orders, e.g. {history.name(order.message_id)}: refused at {_step_of(refusal)}, then "
        f"{', '.join(undone)} alone"
    )
    effects = [_effects(history, order, name)[0] for name in undone]
    return Evidence(summary, len(found), _records((refusal, *effects)))


def find_crashed_compensating(history: History) -> Evidence | None:
    """Find a coordinator that died after a compensation, and another one that did only what was left of them."""
    for strike in history.faults:
        end = history.exits.get(strike.process)
        if strike.kind != "crash" or end is None or end.code != -signal.SIGKILL:
            continue
        for order in history.messages.values():
            before = [item for name in WAY_BACK for item in _effects(history, order, name) if item.call is strike.call]
            after = [
                item
                for name in WAY_BACK
                for item in _effects(history, order, name)
                if item.status == "ok" and item.process != strike.process and item.call.started > strike.time
            ]
            if before and after:
                summary = (
                    f"{strike.process} died by SIGKILL after {history.name_of_key(before[0].key)}; "
                    f"{after[0].process} went on with {', '.join(_step_of(item) for item in after)}"
                )
                return Evidence(summary, 1, _records((before[0], *after)))
    return None


def _count(history: History, order: SentMessage, name: str) -> int:
    return history.executions.get(key_of_step(order.key, name), 0)


def _undone(history: History, order: SentMessage) -> Iterable[int]:
    return (_count(history, order, name) for name in WAY_BACK)


def _effects(history: History, order: SentMessage, name: str) -> Sequence[Effect]:
    """Return what may have caused a step of an order."""
    effects = history.effects_of.get(key_of_step(order.key, name), ())
    return [effect for effect in effects if effect.status != "fail"]


def _refused(history: History, order: SentMessage) -> Iterable[Effect]:
    for step in STEPS:
        for effect in history.effects_of.get(key_of_step(order.key, step.name), ()):
            if effect.call.error == REFUSED:
                yield effect


def _step_of(effect: Effect) -> str:
    return effect.key.rpartition("/")[2]


def _records(effects: Iterable[Effect]) -> tuple[Record, ...]:
    return tuple(chain.from_iterable(effect.call.records for effect in effects))


PARTIAL_SAGA = Invariant(
    "partial-saga", "each order goes through as a whole, or is undone as a whole", partial_saga, eventual=True
)
UNDONE_BEFORE_DONE = Invariant("undone-before-done", "no step is undone before it is done", undone_before_done)
UNDONE_OUT_OF_ORDER = Invariant(
    "undone-out-of-order",
    "steps are undone in reverse",
    undone_out_of_order,
    # Where no compensation needs another, they may run in any order, or at once.
    pattern=Pattern.REVERSE_COMPENSATION,
)
WENT_THROUGH = Witness("went-through", "orders go through all of their steps", find_went_through)
SAGA_COMPENSATED = Witness(
    "saga-compensated", "the last step is refused, and the others are undone", find_saga_compensated
)
REFUSED_HALFWAY = Witness(
    "refused-halfway", "a step halfway is refused, and just what was done is undone", find_refused_halfway
)
CRASHED_COMPENSATING = Witness(
    "crashed-compensating",
    "a coordinator dies between two compensations, and another one does what is left",
    find_crashed_compensating,
)
