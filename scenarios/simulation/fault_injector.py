"""The injector of a process: decides whether a random fault may strike now, and carries it out.

The budget. A pattern promises something only within limits that its settings draw, and a simulation that goes beyond
them proves nothing. So a random fault waits until it can strike within these:

    receives    Every fault that keeps a delivery from being finished costs the message a receive, and one more for
                each time that it is found claimed by a consumer that no longer works on it. A message that would
                thereby reach max-receive-count is spared: it would be dead-lettered, rightly.
    lease       Between its claim and its side effect a process may be slow, or stand still, for no longer than its
                lease holds by the fastest clock. Beyond that a second consumer does the same, rightly: no fencing
                token protects an external system that does not check it. Anywhere else a pause has no limit.
    budget      Where the pattern promises a time, all faults together delay the scenario by no more than it leaves.
    clocks      Wall clocks differ by less than the part of the visibility timeout that a lease leaves over.
    retention   The queue forgets early only what is done.
    producer    A batch is offered a limited number of times, and a producer is not started again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import ceil, inf
from typing import Any, NamedTuple, Protocol

from infra.localaws.sqs.message import Message as HeldMessage
from infra.localaws.sqs.message import State
from scenarios.simulation.lasting_faults import Hit
from scenarios.simulation.process import SimulatedProcess, Steps
from scenarios.simulation.random_faults import SIZES, Kind, RandomFault
from scenarios.simulation.world import EPOCH, World
from scenarios.simulation.world_faults import RULES, WRONG_CLOCK
from services.batches import BATCHES
from services.consumer.assumptions import Assumption
from services.consumer.consumer import LEASE_PART, MAX_SKEW_PART
from services.injection import DYNAMODB_ERRORS, SQS_ERRORS, TIMEOUT, InjectedFault
from services.operations import (
    CallApi,
    ChangeVisibility,
    CheckTables,
    Claim,
    Delete,
    DescribeQueue,
    Message,
    Operation,
    PerformSideEffect,
    Purge,
    Receive,
    RenewClaim,
    Send,
    Transact,
    WriteState,
)

#: Seconds that a lease must have left when a process goes on after a delay: for the requests on the way.
SLACK = 0.08
#: A delay lasts this part of the visibility timeout, for each step of its size.
DELAY_STEP = 0.1
#: A pause, likewise; the larger ones outlast every lease that follows the visibility timeout.
PAUSE_STEP = 0.25
#: A late request takes effect this part of the visibility timeout after its timeout, for each step of its size.
LATE_STEP = 0.25
#: After an outage consumers come back in this part of the visibility timeout, for each step of its size.
OUTAGE_STEP = 0.25

#: Receives that a message keeps when a lasting fault ends for its sake: it may be given back at once, and found claimed
#: again and again by one who could not release its claim. Fewer where a queue allows for few.
SPARED = 2
FEW_RECEIVES = 3

#: What reaches an external system, where nothing of ours can take it back.
_EFFECTS = (PerformSideEffect, CallApi, WriteState)
_SQS = (Send, Purge, Receive, Delete, ChangeVisibility)
#: What a process does before its first message. It gives up if that fails, and a scenario may wait for its being ready.
_BEGINNING = (DescribeQueue, CheckTables)


class Surroundings(Protocol):
    """What a injector needs to know of the other processes; the lab knows it."""

    def consumers(self) -> Iterable[SimulatedProcess]:
        """Return the consumers that run."""

    def scripted_costs(self) -> int:
        """Return how many receives the scenario's own faults and requests to end may still cost a single message."""

    def is_sending(self) -> bool:
        """Return whether a producer runs."""

    def outage(self, seconds: float) -> None:
        """End every consumer as SIGKILL would, and let them come back after a time."""


class FaultInjector:
    """The random faults of one process that have not struck yet."""

    def __init__(self, random_faults: Iterable[RandomFault], surroundings: Surroundings) -> None:
        self._pending = list(random_faults)
        self._around = surroundings
        #: By kind of operation: its place among the kinds that the process has performed, and how many it was so far.
        self._performed: dict[type[Operation], tuple[int, int]] = {}
        #: A receive, and for how many seconds delays have held up the work on what it brought.
        self._delayed: tuple[tuple[Message, ...], float] = ((), 0.0)
        #: Faults that wait for their operation to take effect, and a crash that waits for the record of it.
        self._waiting: list[Strike] = []
        self._crashing: Strike | None = None

    @property
    def next_at(self) -> float:
        """The operation from which on one of them may strike; infinite where there is none."""
        return min((1 if fault.aim is not None else fault.at for fault in self._pending), default=inf)

    # --- how it strikes ----------------------------------------------------------------------------------------------

    def before(self, process: SimulatedProcess, operation: Operation) -> Iterable[InjectedFault]:
        """Return the first random fault that is due, fits the operation, and stays within the budget.

        One that strikes when the operation has taken effect waits until then, see :meth:`on_reply`.
        """
        place, times = self._count(operation)
        hit = process.world.lasting.meet(process, operation) if process.is_consumer and operation.asks else None
        hit = hit or (process.lasting.meet(process, operation) if operation.asks else None)
        if hit is not None:
            yield from self._hit(Strike(hit, process, operation))
            return
        refused: set[tuple[Kind, int]] = set()  # another that is alike would be refused as well
        for random_fault in self._pending:
            alike = (random_fault.kind, random_fault.size)
            if alike in refused:
                continue
            if random_fault.aim is None:
                due = random_fault.at <= process.operations
            else:
                due = random_fault.aim == place and random_fault.at <= times
            if not due:
                continue
            strike = Strike(random_fault, process, operation)
            budget = process.world.delay_budget
            if (budget == inf or strike.cost <= budget) and self._fits(strike):
                if strike.comes_after:
                    self._waiting.append(strike)
                else:
                    yield self._struck(strike)
                break
            refused.add(alike)

    def _hit(self, strike: Strike) -> Iterable[InjectedFault]:
        """Return what a lasting fault brings to an operation; where the budget has no room for it, it is over."""
        assert isinstance(strike.random_fault, Hit)  # noqa: S101 - as ``before`` has made it
        if strike.random_fault.for_good:
            yield self._struck(strike)
            return
        spare = min(SPARED, max(0, strike.world.info.max_receive_count - FEW_RECEIVES))
        if not (self._fits(strike) and self.spares_nobody_in_need(strike, spare)):
            strike.world.lasting.end()
            strike.process.lasting.end()
        elif strike.comes_after:
            self._waiting.append(strike)
        else:
            yield self._struck(strike)

    def _count(self, operation: Operation) -> tuple[int, int]:
        """Return the place of an operation's kind in the order of first performance, and how many it is of its kind."""
        kind = type(operation)
        if kind in _BEGINNING:
            return -1, 0
        place, times = self._performed.get(kind, (len(self._performed), 0))
        self._performed[kind] = counted = (place, times + 1)
        return counted

    def awaits(self, operation: Operation) -> bool:
        """Return whether a fault waits for an operation to take effect."""
        return any(strike.operation is operation for strike in self._waiting)

    def on_reply(self, operation: Operation, result: Any) -> Iterable[InjectedFault]:
        """Return the fault that waited for the operation, unless its result is nothing to strike at."""
        for strike in self._waiting:
            if strike.operation is operation:
                self._waiting.remove(strike)
                if self._spared(strike, result):
                    pass
                elif strike.kind is Kind.CRASH_AFTER:
                    self._forget(strike)
                    self._crashing = strike
                else:
                    yield self._struck(strike)
                break

    def after(self, operation: Operation) -> Iterable[InjectedFault]:
        """Return the crash that waited for the operation's record."""
        strike = self._crashing
        if strike is not None and strike.operation is operation:
            self._crashing = None
            yield StrikingFault(strike, "crash", {"point": "after"})

    def carry_out(self, fault: InjectedFault) -> Steps:
        """Let a fault take its time, or end the process."""
        assert isinstance(fault, StrikingFault)  # noqa: S101 - this injector makes no other
        rule = RULES.get(fault.strike.kind)
        return self._carry_out(fault) if rule is None else rule.carry_out(fault.strike, dict(fault.details))

    def _carry_out(self, fault: StrikingFault) -> Steps:
        strike, details = fault.strike, fault.details
        process, world = strike.process, strike.world
        now = world.scheduler.now
        match strike.kind:
            case Kind.CLOCK_SKEW:
                process.skew = strike.skew
            case Kind.SIGTERM:
                process.killed_by_a_fault = True
                process.signal()
            case Kind.RETENTION_END:
                world.model.expire(world.names.queue, details["message_id"])
            case Kind.OUTAGE:
                self._around.outage(details["seconds"])
                yield None
            case Kind.CRASH_BEFORE | Kind.CRASH_DURING | Kind.CRASH_AFTER:
                process.killed_by_a_fault = True
                process.kill()
                yield None
            case Kind.THROTTLE | Kind.SERVER_ERROR:
                yield now + SLACK / 2
            case Kind.REPLY_LOST | Kind.LATE_REQUEST:
                yield now + SLACK
            case Kind.DELAY:
                yield now + details["seconds"]
            case Kind.PAUSE:
                process.paused_until = now + details["seconds"]
                yield process.paused_until

    def _struck(self, strike: Strike) -> StrikingFault:
        """Return a fault as it strikes, and forget it."""
        details = self._details(strike)
        if strike.kind is Kind.DELAY:
            self._delayed = (strike.process.in_hand, self._delayed_so_far(strike) + details["seconds"])
        self._forget(strike)
        if type(strike.operation) is Claim:
            world = strike.world
            world.claims_late_by = max(world.claims_late_by, details.get("seconds", 0.0))
        return StrikingFault(strike, _RECORDED_AS.get(strike.kind, strike.kind.value), details)

    def _details(self, strike: Strike) -> dict[str, Any]:
        """Return what the history says of a fault besides its kind."""
        rule = RULES.get(strike.kind)
        if rule is not None:
            return rule.details(strike)
        part_of = {"during": strike.random_fault.during} if isinstance(strike.random_fault, Hit) else {}
        return self._details_of_one(strike) | part_of

    def _details_of_one(self, strike: Strike) -> dict[str, Any]:
        details: dict[str, Any] = {}
        match strike.kind:
            case Kind.CLOCK_SKEW:
                details["seconds"] = round(strike.skew, 3)
            case Kind.RETENTION_END:
                details["message_id"] = strike.messages[0].message_id
            case Kind.OUTAGE | Kind.LATE_REQUEST:
                details = {"point": "before", "seconds": strike.step(_STEPS[strike.kind])}
            case Kind.CRASH_BEFORE | Kind.CRASH_DURING:
                details["point"] = _CRASHES[strike.kind]
            case Kind.THROTTLE | Kind.SERVER_ERROR:
                details["code"] = _code(strike)
            case Kind.REPLY_LOST:
                details["code"] = TIMEOUT
            case Kind.PARTIAL_FAILURE:
                details["entries"] = _entries(strike)
            case Kind.DELAY:
                details["seconds"] = self._affordable_time(strike, strike.step(DELAY_STEP))
            case Kind.PAUSE:
                seconds = self._affordable_time(strike, strike.step(PAUSE_STEP))
                details = {"point": "before" if strike.before else "after", "seconds": seconds}
        return details

    def _spared(self, strike: Strike, result: Any) -> bool:
        """Return whether a fault must not strike: what a receive brought, or a claim holds, is at stake only now."""
        rule = RULES.get(strike.kind)
        if rule is not None:
            return rule.spares(strike, result)
        if isinstance(strike.operation, Receive) and not result:
            return True
        if not self._spares_nobody_in_need(strike):
            return True
        return strike.kind is Kind.PAUSE and not self._affordable_time(strike, strike.step(PAUSE_STEP))

    def _forget(self, strike: Strike) -> None:
        strike.world.lose(strike.cost)
        if strike.random_fault in self._pending:
            self._pending.remove(strike.random_fault)
        strike.process.expect_random_fault(self.next_at)

    # --- the budget --------------------------------------------------------------------------------------------------

    def _fits(self, strike: Strike) -> bool:
        if not strike.operation.asks and strike.kind not in WITHOUT_AN_ANSWER:
            return False
        rule = RULES.get(strike.kind)
        if rule is not None:
            return rule.fits(strike, self)
        match strike.kind:
            case Kind.CLOCK_SKEW:
                return True
            case Kind.RETENTION_END:
                return isinstance(strike.operation, Delete)
            case Kind.LATE_REQUEST:
                return not isinstance(strike.operation, _BEGINNING) and self._may_come_late(strike)
        return self._fits_the_budget(strike)

    def _fits_the_budget(self, strike: Strike) -> bool:
        operation, process = strike.operation, strike.process
        beginning = isinstance(operation, _BEGINNING)
        match strike.kind:
            case Kind.PARTIAL_FAILURE:
                fits = process.is_batch(operation)
            case Kind.THROTTLE | Kind.SERVER_ERROR | Kind.REPLY_LOST:
                fits = not beginning and not self._needs_its_beat(process, operation)
                if strike.kind is Kind.REPLY_LOST and isinstance(operation, Send):
                    fits = strike.second_copies_are_harmless
            case Kind.DELAY:
                seconds = 0.0 if beginning else self._affordable_time(strike, strike.step(DELAY_STEP))
                return seconds > 0 and (self._is_small(strike) or self._spares_nobody_in_need(strike))
            case Kind.PAUSE:
                fits = not beginning and (
                    not strike.before or self._affordable_time(strike, strike.step(PAUSE_STEP)) > 0
                )
            case Kind.OUTAGE:
                return not beginning and all(
                    _affordable(other, self._around.scripted_costs()) for other in self._around.consumers()
                )
            case Kind.SIGTERM:
                # What a long poll brings after the signal goes back at once, and that has cost it a receive.
                fits = (
                    not beginning
                    and not process.killed_by_a_fault
                    and not (isinstance(operation, Receive) and not self._whole_queue_has_receives_left(strike.world))
                )
            case _:
                fits = not beginning
        return fits and self._spares_nobody_in_need(strike)

    def _may_come_late(self, strike: Strike) -> bool:
        """Tell whether a request may take effect after its caller was told of a timeout."""
        operation = strike.operation
        if isinstance(operation, Receive | Send) or self._needs_its_beat(strike.process, operation):
            return False
        if isinstance(operation, _EFFECTS) or (isinstance(operation, Transact) and operation.effect is not None):
            return Assumption.NO_LATE_REQUESTS not in strike.world.assumes and self._spares_nobody_in_need(strike)
        # A claim that arrives late has no owner, and its message is found claimed until it ends.
        held = strike.step(LATE_STEP) + (operation.lease_seconds if isinstance(operation, Claim) else 0)
        costs = 1 + ceil(held / strike.world.info.visibility_timeout)
        return _affordable(strike.process, self._around.scripted_costs(), costs * _deliveries(strike.world))

    # --- what the rules ask ------------------------------------------------------------------------------------------

    def needs_its_beat(self, strike: Strike) -> bool:
        """Return whether the operation keeps a lease, or a delivery, that work depends on."""
        return self._needs_its_beat(strike.process, strike.operation)

    def spares_nobody_in_need(self, strike: Strike, more: int = 0) -> bool:
        """Return whether each message in hand can afford a fault, and so many receives more."""
        process = strike.process
        if not (process.is_consumer and process.in_hand):
            return True
        more += int(self._is_held_elsewhere(process))
        return _affordable(process, self._around.scripted_costs(), more)

    def affordable_time(self, strike: Strike, wanted: float) -> float:
        """Return for how many seconds the process may lose time now, up to what is wanted."""
        return self._affordable_time(strike, wanted)

    def is_sending(self) -> bool:
        """Return whether a producer runs."""
        return self._around.is_sending()

    def deliveries(self, strike: Strike) -> int:
        """Return how many receives one visibility period may cost a message."""
        return _deliveries(strike.world)

    def _delayed_so_far(self, strike: Strike) -> float:
        received, seconds = self._delayed
        return seconds if received is strike.process.in_hand else 0.0

    def _is_small(self, strike: Strike) -> bool:
        """Return whether a delay, with those before it, costs no message that was received with it a receive."""
        limit = _LARGE_DELAY * DELAY_STEP * strike.world.info.visibility_timeout
        return self._delayed_so_far(strike) + strike.step(DELAY_STEP) <= limit + SLACK

    def _spares_nobody_in_need(self, strike: Strike) -> bool:
        # A slow consumer comes back, and may claim what its successor has just received: that is one receive more.
        return self.spares_nobody_in_need(strike, more=int(strike.kind in (Kind.PAUSE, Kind.DELAY)))

    def _is_held_elsewhere(self, process: SimulatedProcess) -> bool:
        """Return whether a slow consumer still holds an earlier delivery of what a process has in hand."""
        mine = {delivery.message_id for delivery in process.in_hand}
        others = (other for other in self._around.consumers() if other is not process)
        return any(delivery.message_id in mine for other in others for delivery in other.in_hand)

    def _whole_queue_has_receives_left(self, world: World) -> bool:
        scripted_costs = self._around.scripted_costs()
        # Others that were asked to end may have a receive on its way, which costs as much.
        ending = sum(other.killed_by_a_fault for other in self._around.consumers())
        one_delivery = _deliveries(world) * (1 + ending)
        return one_delivery < world.info.max_receive_count and all(
            _has_receives_left(world, message, scripted_costs, one_delivery) for message in world.held.values()
        )

    def _needs_its_beat(self, process: SimulatedProcess, operation: Operation) -> bool:
        """Return whether a lease that work depends on is being extended, or a delivery from which one will be taken."""
        if isinstance(operation, ChangeVisibility):
            return _beats_for_what_comes(process)
        return isinstance(operation, RenewClaim) and (bool(process.unperformed) or _beats_for_what_comes(process))

    def _affordable_time(self, strike: Strike, wanted: float) -> float:
        """Return for how long the process may lose time now, up to what is wanted; 0 for not at all."""
        process = strike.process
        leases = _leases(process)
        if not leases:
            return wanted
        beat = process.program.heartbeat_seconds if process.program is not None else 0.0
        margin = SLACK + beat + 2 * MAX_SKEW_PART * strike.world.info.visibility_timeout
        if not beat:
            # A heartbeat keeps the lease while the scenario's own slow work goes on; without one, the lease must last.
            margin += sum(fault.seconds for fault in process.story_faults if fault.kind == "delay")
        left = min(leases) - strike.world.scheduler.now - margin
        return round(min(wanted, left), 3) if left > SLACK else 0.0


class Strike(NamedTuple):
    """A random fault and the operation that it is to strike."""

    random_fault: RandomFault
    process: SimulatedProcess
    operation: Operation

    @property
    def comes_after(self) -> bool:
        """Whether it strikes only when the operation has taken effect."""
        rule = RULES.get(self.kind)
        if rule is not None:
            return rule.comes_after
        return self.kind in _AFTER or (self.kind is Kind.PAUSE and not self.before)

    @property
    def kind(self) -> Kind:
        """What the fault does."""
        return self.random_fault.kind

    @property
    def size(self) -> int:
        """How large it is."""
        return self.random_fault.size

    @property
    def messages(self) -> tuple[Message, ...]:
        """The deliveries that the operation is about."""
        return self.operation.messages if isinstance(self.operation, Delete | ChangeVisibility) else ()

    @property
    def before(self) -> bool:
        """Whether it strikes before the operation has taken effect; a pause may do either."""
        return self.size % 2 == 0

    @property
    def world(self) -> World:
        """What is outside of the process."""
        return self.process.world

    @property
    def skew(self) -> float:
        """Return the clock's error in seconds: ahead where the size is even, behind where it is odd."""
        part = (self.size // 2 + 1) / SIZES
        largest = MAX_SKEW_PART if Assumption.CLOSE_CLOCKS in self.world.assumes else WRONG_CLOCK
        return (1 - 2 * (self.size % 2)) * part * largest * self.world.info.visibility_timeout

    @property
    def second_copies_are_harmless(self) -> bool:
        """Whether a message that is sent twice is swallowed, or can be found claimed once or twice."""
        return self.world.info.fifo or self.second_copies_have_receives

    @property
    def second_copies_have_receives(self) -> bool:
        """Whether a second copy can be found claimed once or twice."""
        return self.world.info.max_receive_count >= _ROOM_FOR_COPIES

    @property
    def cost(self) -> float:
        """For how many seconds it may hold the scenario up, at most."""
        if self.kind is Kind.CLOCK_SKEW or isinstance(self.random_fault, Hit):
            return 0.0  # a lasting fault has its cost by itself
        rule = RULES.get(self.kind)
        if rule is not None:
            return rule.lasts(self) + self.world.info.visibility_timeout
        stands_still = self.step(_STEPS[self.kind]) if self.kind in _STEPS else 0.0
        if self.kind is Kind.LATE_REQUEST and isinstance(self.operation, Claim):
            stands_still += self.operation.lease_seconds  # it has no owner, and holds all the same
        # What it struck may have to wait for its next delivery, and no scenario reckons with that.
        return stands_still + self.world.info.visibility_timeout

    def step(self, part: float) -> float:
        """Return seconds: so many parts of the visibility timeout as the size says."""
        return round((1 + self.size) * part * self.world.info.visibility_timeout, 3)


_STEPS = {
    Kind.DELAY: DELAY_STEP,
    Kind.PAUSE: PAUSE_STEP,
    Kind.OUTAGE: OUTAGE_STEP,
    Kind.LATE_REQUEST: LATE_STEP,
}
_CRASHES = {Kind.CRASH_BEFORE: "before", Kind.CRASH_DURING: "during"}
#: What can strike an operation that asks no other system.
WITHOUT_AN_ANSWER = frozenset({Kind.CRASH_BEFORE, Kind.CRASH_AFTER})
_AFTER = frozenset({Kind.REPLY_LOST, Kind.CRASH_DURING, Kind.CRASH_AFTER})
#: What the history calls those that it does not know by their own names.
_RECORDED_AS = {
    Kind.THROTTLE: "error",
    Kind.SERVER_ERROR: "error",
    Kind.CRASH_BEFORE: "crash",
    Kind.CRASH_DURING: "crash",
}
#: Beyond so many steps, all delays of a batch together may cost what stands behind them in it a receive.
_LARGE_DELAY = 2
#: With fewer receives than this, a second copy that finds the first in work may be dead-lettered.
_ROOM_FOR_COPIES = 5


@dataclass(frozen=True, slots=True)
class StrikingFault:
    """A random fault as it strikes; see :class:`services.injection.InjectedFault`."""

    strike: Strike
    kind: str
    details: Mapping[str, Any]

    @property
    def code(self) -> str:
        """The code of an error."""
        code: str = self.details.get("code", "")
        return code

    @property
    def entries(self) -> tuple[int, ...]:
        """The entries of a batch that fail."""
        return tuple(self.details.get("entries", ()))

    @property
    def seconds(self) -> float:
        """How long it takes, or how late a request is."""
        seconds: float = self.details.get("seconds", 0.0)
        return seconds

    def as_json(self) -> Mapping[str, Any]:
        """Return what the history says of it."""
        return {"kind": self.kind, **self.details}


def _entries(strike: Strike) -> list[int]:
    """Return the entries of a batch that fail: as many as the size says, from where it says."""
    operation = strike.operation
    assert isinstance(operation, BATCHES)  # noqa: S101 - _fits has seen to it
    count = len(operation.messages)
    return sorted({(strike.size + at) % count for at in range(1 + strike.size % count)})


def _code(strike: Strike) -> str:
    if isinstance(strike.random_fault, Hit) and strike.random_fault.code:
        return strike.random_fault.code
    errors = SQS_ERRORS if isinstance(strike.operation, _SQS) else DYNAMODB_ERRORS
    return errors.throttled if strike.kind is Kind.THROTTLE else errors.failed


def _beats_for_what_comes(process: SimulatedProcess) -> bool:
    """Return whether a heartbeat keeps deliveries whose work is yet to be begun and will outlast the claim of it."""
    beats = process.program is not None and process.program.heartbeat_seconds > 0
    return beats and any(fault.kind == "delay" for fault in process.story_faults)


def _leases(process: SimulatedProcess) -> list[float]:
    """Return the ends of the leases that work depends on, and of those that its next claims may have."""
    ends = list(process.unperformed.values())
    if _beats_for_what_comes(process):
        margin = (1 - LEASE_PART) * process.world.info.visibility_timeout
        held = (process.world.held[delivery.message_id] for delivery in process.in_hand)
        ends += [message.visible_at - margin for message in held if message.state is not State.GONE]
    return ends


def _affordable(process: SimulatedProcess, scripted_costs: int, still_to_come: int = 0) -> bool:
    """Return whether each message that a process has in hand can afford a fault that costs it a receive.

    So must its copies: a claim that is left behind keeps them waiting as well.
    """
    world = process.world
    if Assumption.SPARE_RECEIVES not in world.assumes:
        return True
    for delivery in process.in_hand:
        for message in world.copies_of(world.held[delivery.message_id]):
            if message.state is not State.GONE and not _has_receives_left(
                world, message, scripted_costs, still_to_come
            ):
                return False
    return True


def _has_receives_left(world: World, message: HeldMessage, scripted_costs: int, still_to_come: int = 0) -> bool:
    if message.state is State.GONE:
        return True
    claim = world.tables.claims.get(world.key_of(message))
    if claim is None and not world.is_workable(message):
        return True  # poison is on its way to the dead-letter queue in any case
    timeout = world.info.visibility_timeout
    found_claimed = 0
    if claim is not None and not claim.completed:
        outlives = claim.lease_expires_at / 1000 - EPOCH + MAX_SKEW_PART * timeout - message.visible_at
        # No longer than the settings say, than the claim was late, or than a copy's own delivery lasts: a consumer that
        # claims for longer than it should is not to be spared.
        longest = max(world.longest_lease, world.claims_late_by)
        if len(world.copies_of(message)) > 1:
            longest = max(longest, LEASE_PART * timeout)
        found_claimed = ceil(min(outlives, longest) / timeout) if outlives > 0 else 0
    if claim is None and world.hidden_lease:
        found_claimed = ceil(max(world.hidden_lease, world.longest_lease) / timeout)
    also_visible = int(message.also_visible)
    costs = also_visible + still_to_come + _deliveries(world) * (found_claimed + scripted_costs)
    return message.receive_count + costs < world.info.max_receive_count


def _deliveries(world: World) -> int:
    """Return how many receives one visibility period may cost a message."""
    return 2 if world.queue.rates.duplicate else 1
