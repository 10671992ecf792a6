"""Acquittals: good messages that faults alone brought to the dead-letter queue, which convicts no consumer.

SQS counts receives and knows no reason why one came to nothing. So a good message in the dead-letter queue convicts a
consumer only if it had a fair chance: at least one *clean* receive. A receive is clean unless one of these holds:

    struck      a fault struck the process between this receive and the next one of the message, or the machine kept it,
                or what answers it, from the processors for a good part of the visibility timeout
    unseen      no consumer saw what was handed out, such as where the reply was lost
    twice       the queue delivered the message a second time while it was in hand
    held        another delivery for the same side effect was struck shortly before, and may still hold it, and the
                consumer left it to its visibility timeout
    starved     its function ran into its timeout while the machine kept the processor from it
    behind      an earlier message of the group came with it, and had no clean receive itself

    receive 1            receive 2            receive 3                receive 4
    ├── crash ✗          ├─ may be held       ├─ clean                 ▶ dead-lettered: the consumer had its chance
    └─ it holds the claim for a lease ──▶┘

A scenario's own faults and second deliveries take receives, too, and within them alone it is won by every correct
consumer. So they acquit only where faults beyond the scenario came on top: a message that none of them touched
convicts in any case.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from functools import cached_property
from math import inf
from typing import NamedTuple

from scenarios.checks.starvation import STARVED_PART, starvations
from scenarios.history import Call, Event, FaultStrike, History, Record, SentMessage
from scenarios.history.events import ASKED_TO_END, LONG_LEASE
from services.consumer.assumptions import Assumption
from services.consumer.patterns import Pattern
from services.faults import DELETED, REACHES

#: A scenario's own slow work that takes more than this part of the visibility timeout leaves too little of it.
SLOW_PART = 0.25
#: A message that is visible again within this part of its visibility timeout was given back.
GIVEN_BACK_PART = 0.25
#: With fewer receives than these a crash must not cost two of them: no claim may outlast its delivery, where a consumer
#: promises so (``Pattern.SHORT_LEASE``).
ROOM_FOR_LONG_CLAIMS = 5
#: Seconds by which what follows a fault may be later than the fault says: for the requests on their way.
SLACK = 0.1
#: How an invocation ends that ran into its function's timeout.
TIMED_OUT = "timeout"
#: How an invocation ends whose answer the mapping cannot read: the function had its time, whatever it waited for.
MALFORMED = "malformed answer"
TOO_BUSY = "a machine that was too busy"
#: What makes no claim, so that none is late when it is.
_CLAIM_NOTHING = frozenset(
    {"Receive", "LookUpSideEffect", "PerformSideEffect", "CallApi", "Complete", "ReleaseClaim"}
    | {"Delete", "ChangeVisibility", "Send"}
)
#: What makes a wall clock wrong takes no chance: within its assumptions a consumer lives with it.
_OF_CLOCKS = frozenset({"clock-skew", "clock-jump", "clock-drift"})
#: Faults that take another article.
_WORDS = {"error": "an error", "outage": "an outage"}
#: The exit code of a process that was killed from outside.
KILLED = -9


class Spoiled(IntEnum):
    """By what a receive was spoiled; the higher outweighs the lower."""

    NOTHING = 0
    STAGED = 1
    BEYOND = 2


class Blow(NamedTuple):
    """Something that kept a process from its work.

    Attributes:
        since: when it began, in seconds.
        until: when it ended; infinite where the process never came back.
        by: whether the scenario asked for it.
        seconds: for how long it slowed the process down; 0 where it did something else.
        late: a claim may have been made at its end, for a delivery that had long been over.
        what: in a few words.
    """

    since: float
    until: float
    by: Spoiled
    seconds: float
    what: str
    late: bool = False


@dataclass(slots=True)
class Handout:
    """One receive of a message.

    Attributes:
        since: when its receive began, or when the queue handed it out where no consumer saw it.
        until: when the message was delivered next, deleted or dead-lettered.
        process: the consumer; empty where none saw it.
        call: the receive.
        blows: what struck the process meanwhile.
        spoiled: by what, as far as is known.
        why: in a few words.
    """

    message: SentMessage
    since: float
    until: float
    process: str
    call: Call | None
    blows: list[Blow] = field(default_factory=list)
    spoiled: Spoiled = Spoiled.NOTHING
    why: str = ""

    def spoil(self, by: Spoiled, why: str) -> None:
        """Take note of a reason, unless there is a weightier one."""
        if by > self.spoiled:
            self.spoiled, self.why = by, why


def acquitted(history: History) -> Mapping[str, str]:
    """Return the good messages that faults alone brought to the dead-letter queue, each with a sentence that says why.

    Where a consumer does without the assumption that faults leave a receive to spare, none is acquitted.
    """
    assumes = history.facts.assumes
    if assumes is not None and Assumption.SPARE_RECEIVES not in assumes:
        return {}
    suspects = [history.messages.get(message_id) for message_id in history.dead_letters]
    good = [message for message in suspects if message is not None and not message.poison]
    if not good:
        return {}
    inquiry = _Inquiry(history)
    return {message.message_id: why for message in good if (why := inquiry.why(message))}


def deleted_for_good(history: History) -> str:
    """Return a sentence that says what was deleted for good; empty where nothing was.

    What becomes of a message afterwards is no consumer's affair: it is untold.
    """
    for strike in history.faults:
        if strike.kind == DELETED:
            what = strike.fault.get("from") or REACHES[strike.fault.get("reach", "")]
            return f"{what.capitalize()} had been deleted for good, and nothing could come to its end."
    return ""


class _Inquiry:
    """Looks into the receives of messages, and keeps what it has found."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._timeout = history.facts.visibility_timeout
        self._handouts: dict[str, list[Handout]] = {}
        self._judged: dict[str, list[Handout]] = {}

    def why(self, message: SentMessage) -> str:
        """Return why a dead-lettered message convicts no consumer; empty where it does."""
        mine = self._judge(message)
        if not mine or any(item.spoiled is Spoiled.NOTHING for item in mine):
            return ""
        same_key = (self._judge(other) for other in self._same_key[message.key])
        if not any(item.spoiled is Spoiled.BEYOND for items in same_key for item in items):
            return ""
        reasons = ", ".join(dict.fromkeys(item.why for item in mine))
        name = self._history.name(message.message_id)
        return f"{name} went to the dead-letter queue, and none of its {len(mine)} receives was clean: {reasons}."

    def _judge(self, message: SentMessage) -> list[Handout]:
        """Return a message's receives with all that spoiled them, but for what stood before them in their group."""
        found = self._judged.get(message.message_id)
        if found is None:
            found = self._judged[message.message_id] = self._handouts_of(message)
            for item in found:
                self._held_by_another(item)
            for item in found:
                self._behind_another(item)
        return found

    # --- one receive by itself -----------------------------------------------------------------------------------

    def _handouts_of(self, message: SentMessage) -> list[Handout]:
        found = self._handouts.get(message.message_id)
        if found is None:
            found = self._handouts[message.message_id] = self._read(message)
            for item in found:
                self._struck(item)
            self._delivered_twice(message, found)
        return found

    def _read(self, message: SentMessage) -> list[Handout]:
        """Return the receives of a message in order: by the endpoint's word, else by its consumers'."""
        seen = {item.receive_count: item for item in self._history.deliveries_of.get(message.message_id, ())}
        told = self._told.get(message.message_id, {})
        times = {count: seen[count].call.started if count in seen else told[count]["time"] for count in {*seen, *told}}
        handed_out = {count: told[count]["time"] if count in told else seen[count].time for count in times}
        counts = sorted(times)
        ends = [handed_out[count] for count in counts[1:]]
        ends += [self._end_of(message, times[count]) for count in counts[-1:]]
        return [
            Handout(
                message,
                times[count],
                until,
                seen[count].process if count in seen else "",
                seen[count].call if count in seen else None,
            )
            for count, until in zip(counts, ends, strict=True)
        ]

    def _end_of(self, message: SentMessage, last_received: float) -> float:
        """Return when the last receive of a message came to its end."""
        message_id = message.message_id
        records = map(Event, (*self._history.dead_letters.get(message_id, ()), *self._gone.get(message_id, ())))
        done = [item.call.ended for item in self._history.deletions_of.get(message_id, ()) if item.status == "ok"]
        times = [time for time in (*(record.time for record in records), *done) if time > last_received]
        return min(times, default=inf)

    def _struck(self, item: Handout) -> None:
        """Find what struck a consumer while it had the message, or why none saw it."""
        if not item.process:
            call = self._receive_that_took(item.since)
            staged = call is not None and call.faults and all("nth" in fault["fault"] for fault in call.faults)
            item.spoil(Spoiled.STAGED if call is None or staged else Spoiled.BEYOND, "no consumer saw it")
            return
        if self._was_starved(item):
            item.spoil(Spoiled.BEYOND, "its function timed out on a machine that kept the processor from it")
        # A consumer that is late may have the message in hand when it has long been delivered to others.
        in_hand_until = max(item.until, self._next_receive(item))
        item.blows = [
            blow
            for blow in self._blows.get(item.process, ())
            if blow.since <= in_hand_until and blow.until >= item.since
        ]
        slowed = 0.0
        for blow in item.blows:
            if blow.since > item.until:
                continue
            if blow.seconds and blow.by is Spoiled.STAGED:
                slowed += blow.seconds
            elif blow.what != TOO_BUSY or not self._answered_badly(item):
                item.spoil(blow.by, blow.what)
        if slowed > SLOW_PART * self._timeout:
            item.spoil(Spoiled.STAGED, "slow work")

    def _was_starved(self, item: Handout) -> bool:
        """Tell whether the invocation with the message timed out, and had to wait for a processor for a good part."""
        for call in () if self._history.facts.naive else self._invocations_with(item, TIMED_OUT):
            ends = [
                event
                for event in self._history.events("environment-timed-out")
                if event.process == call.process and call.started <= event.time <= call.ended
            ]
            if ends and ends[-1].get("starved", 0.0) >= STARVED_PART * ends[-1].get("within", inf):
                return True
        return False

    def _answered_badly(self, item: Handout) -> bool:
        """Tell whether a function answered for the message, and no mapping could read its answer."""
        return any(self._invocations_with(item, MALFORMED))

    def _invocations_with(self, item: Handout, error: str) -> Iterable[Call]:
        """Yield the invocations that were handed the message of a receive and ended so."""
        for call in self._history.calls("InvokeFunction"):
            mine = call.process == item.process and item.since <= call.started <= item.until
            if mine and call.error == error and item.message.message_id in call.arguments["messages"]:
                yield call

    def _receive_that_took(self, time: float) -> Call | None:
        """Return the receive whose reply no consumer saw."""
        taking = [
            call
            for call in self._history.calls("Receive")
            if call.status != "ok" and call.started <= time <= call.over + SLACK
        ]
        return max(taking, key=lambda call: call.started, default=None)

    def _next_receive(self, item: Handout) -> float:
        later = (call.started for call in self._history.receives_of.get(item.process, ()) if call.started > item.since)
        return min(later, default=inf)

    def _delivered_twice(self, message: SentMessage, found: Sequence[Handout]) -> None:
        """Find deliveries that the queue added while the message was in hand.

        They take a receive, and one of the two consumers its work. That alone loses nothing: the other has the message.
        """
        told = self._told.get(message.message_id, {})
        for place, count in enumerate(sorted(told)):
            if "duplicate" in told[count].get("chaos", ()):
                for item in found[max(place - 1, 0) : place + 1]:
                    item.spoil(Spoiled.STAGED, "the queue delivered it twice")

    # --- one receive among others --------------------------------------------------------------------------------

    def _held_by_another(self, item: Handout) -> None:
        """Find another delivery for the same side effect that was struck, and may hold it.

        A consumer that gives back at once what is held has only itself to blame for the receives that this takes.
        """
        if self._was_given_back(item):
            return
        for other in self._same_key[item.message.key]:
            for before in self._handouts_of(other):
                if before is item:
                    continue
                if other is item.message and before.since >= item.since:
                    break
                for blow in before.blows:
                    held = blow.until + self._held_for(blow, same_message=other is item.message)
                    if blow.since <= item.until and item.since <= held and self._matters(blow):
                        item.spoil(blow.by, f"held by another after {blow.what}")
                if other is not item.message and before.since <= item.until and item.since <= before.until:
                    item.spoil(Spoiled.STAGED, "a copy of it was in hand")

    def _was_given_back(self, item: Handout) -> bool:
        """Tell whether the consumer made the message visible again long before its timeout."""
        return any(
            call.process == item.process
            and item.message.message_id in call.arguments["messages"]
            and item.since < call.started <= item.until
            and call.arguments["timeout"] < GIVEN_BACK_PART * self._timeout
            for call in self._history.calls("ChangeVisibility")
        )

    def _matters(self, blow: Blow) -> bool:
        """Tell whether a blow is more than the scenario's usual work."""
        return blow.by is Spoiled.BEYOND or not blow.seconds or blow.seconds > SLOW_PART * self._timeout

    def _behind_another(self, item: Handout) -> None:
        """Find a message of the same group before it in the same receive that could not be done."""
        if item.call is None or item.message.group is None or not self._history.facts.fifo:
            return
        for entry in item.call.result or ():
            if entry["message_id"] == item.message.message_id:
                return
            other = self._history.messages.get(entry["message_id"])
            if other is None or other.group != item.message.group:
                continue
            if other.poison:
                item.spoil(Spoiled.STAGED, "it stood behind poison in its group")
            for before in self._judge(other):
                if before.call is item.call and before.spoiled:
                    item.spoil(before.spoiled, "what stood before it in its group could not be done")

    # --- what is read once ---------------------------------------------------------------------------------------

    def _held_for(self, blow: Blow, *, same_message: bool) -> float:
        """Return for how many seconds after a blow the next delivery may be found held.

        A claim that is late holds from then on. One that was there should end before its delivery does, unless the
        scenario's settings make it longer; that it ends later is let pass where there are receives enough, or where the
        consumer does not promise otherwise.
        """
        facts = self._history.facts
        few = facts.max_receive_count < ROOM_FOR_LONG_CLAIMS
        promised = facts.follows is None or Pattern.SHORT_LEASE in facts.follows
        in_time = few and promised and same_message and not blow.late
        return SLACK + max(self._longest_lease, 0.0 if in_time else self._timeout)

    @cached_property
    def _longest_lease(self) -> float:
        """For how many seconds a claim may outlast its delivery by the scenario's settings."""
        return max([float(record["seconds"]) for record in self._history.events(LONG_LEASE)], default=0.0)

    @cached_property
    def _same_key(self) -> Mapping[str, Sequence[SentMessage]]:
        found: dict[str, list[SentMessage]] = defaultdict(list)
        for message in self._history.messages.values():
            found[message.key].append(message)
        return found

    @cached_property
    def _told(self) -> Mapping[str, Mapping[int, Record]]:
        """The endpoint's own records of what it handed out, by MessageId and receive count."""
        found: dict[str, dict[int, Record]] = defaultdict(dict)
        for record in self._history.endpoint("delivered"):
            if record.get("queue") != self._history.facts.dead_letter_queue:
                found[record["message_id"]][record["receive_count"]] = record
        return found

    @cached_property
    def _gone(self) -> Mapping[str, Sequence[Record]]:
        found: dict[str, list[Record]] = defaultdict(list)
        for event in ("deleted", "expired"):
            for record in self._history.endpoint(event):
                found[record["message_id"]].append(record)
        return found

    @cached_property
    def _blows(self) -> Mapping[str, Sequence[Blow]]:
        """What struck each process, whatever it had in hand."""
        found: dict[str, list[Blow]] = defaultdict(list)
        for strike in self._history.faults:
            if strike.kind not in _OF_CLOCKS:
                found[strike.process].append(self._blow(strike))
        for read in self._history.stale_reads:
            found[read.process].append(Blow(read.started, read.ended, Spoiled.BEYOND, 0.0, "a stale read"))
        for record in self._history.events(ASKED_TO_END):
            name = record["asked"]
            since, until = record.time, self._end_of_process(name)
            found[name].append(Blow(since, until, Spoiled.STAGED, 0.0, "a request to end"))
        for name, end in self._history.exits.items():
            if end.code == KILLED and not any(blow.what == "a crash" for blow in found[name]):
                found[name].append(Blow(end.time, end.time, Spoiled.BEYOND, 0.0, "a kill"))
            elif end.code == 0:
                found[name].append(Blow(end.time, end.time, Spoiled.STAGED, 0.0, "its consumer's end"))
        for name, spans in starvations(self._history).items():
            found[name] += [Blow(*span, Spoiled.BEYOND, 0.0, TOO_BUSY, late=True) for span in spans]
        return found

    def _blow(self, strike: FaultStrike) -> Blow:
        seconds = strike.seconds
        by = Spoiled.STAGED if strike.planned else Spoiled.BEYOND
        until = strike.time + seconds
        if strike.kind == "sigterm":
            until = self._end_of_process(strike.process)
        elif strike.kind == "throttle":
            # The poller invokes the function again and again, until the delivery is over.
            until += self._timeout
        late = strike.kind in ("pause", "freeze", "throttle") or (
            strike.kind in ("delay", "late-request") and strike.operation not in _CLAIM_NOTHING
        )
        slowed = seconds if strike.kind == "delay" else 0.0
        return Blow(strike.time, until, by, slowed, _WORDS.get(strike.kind, f"a {strike.kind}"), late)

    def _end_of_process(self, name: str) -> float:
        end = self._history.exits.get(name)
        return inf if end is None else end.time
