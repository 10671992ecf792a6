"""A simulated process: steps a producer's or consumer's own tasks, and has their operations recorded and faulted.

It is to the simulation what ``services.runtime`` and ``services.drivers.recorded`` are to a real process. What a fault
means is the same in both, see ``services.injection``; here it takes virtual time.

The tasks are the services' own generators. They learn nothing of where they run.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import inf
from signal import SIGKILL
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from zlib import crc32

from infra.localaws.sqs.message import State
from scenarios.errors import RequestError
from scenarios.simulation.choices import ChosenRandom
from scenarios.simulation.lasting_faults import LastingFaults
from scenarios.simulation.scheduler import Sleeper, Strand
from scenarios.simulation.world import EPOCH, World, WorldRecorder
from services.batches import BATCHES
from services.consumer.assumptions import Assumption
from services.errors import ServiceError
from services.faults import DELETED, Fault, FaultPlan
from services.injection import FaultSource, InjectedFault, LateRequest, perform_with_faults, record_arrival
from services.operations import (
    CallApi,
    ChangeVisibility,
    Claim,
    Claimed,
    Complete,
    Delete,
    Gather,
    Message,
    Note,
    Operation,
    OperationFailed,
    PerformSideEffect,
    PutItem,
    ReadClock,
    ReadWallClock,
    Receive,
    ReleaseClaim,
    RenewClaim,
    Sleep,
    Task,
    Transact,
    no_operation,
    place_of,
)

if TYPE_CHECKING:
    from scenarios.simulation.fault_injector import FaultInjector

#: Seconds that a request or a reply takes, as likely as they stand here often; the tamest first.
LATENCIES = (0.001, 0.001, 0.002, 0.002, 0.003, 0.004, 0.006, 0.010)
_ROUND_TRIPS = len(LATENCIES) ** 2
#: By round trip, the seconds of its request and those of its reply.
_REQUESTS = tuple(seconds for seconds in LATENCIES for _ in LATENCIES)
_REPLIES = LATENCIES * len(LATENCIES)
#: The exit code of a process that meets an error that is not handled.
UNHANDLED = 1
#: The exit code of a service that cannot do its work (see ``services.process``).
UNUSABLE = 2
#: How often a generator that refuses to end is told to.
BURIALS = 100

#: A part of a strand: yields when to go on, returns an operation's result.
Steps: TypeAlias = Generator[float | None, None, Any]


@dataclass(frozen=True, slots=True)
class Program:
    """What a process runs.

    Attributes:
        main: the task with whose end the process ends.
        beside: tasks that run beside it, and end with it.
        stop: asks for the end, as the handler of SIGTERM does.
        exit_code: from the main task's value.
        heartbeat_seconds: how often it extends the claims of what it has in hand; 0 for never.
    """

    main: Task[Any]
    beside: tuple[Task[Any], ...]
    stop: Callable[[], None]
    exit_code: Callable[[Any], int] = lambda _: 0
    heartbeat_seconds: float = 0.0


class SimulatedProcess:
    """One process of a simulation.

    Attributes:
        name: its name in the history.
        is_consumer: whether it receives.
        exit_code: how it ended; None while it runs.
        exit_message: why it ended, where it ended badly.
        exit_place: where the error was raised that ended it, where that was an error of its own.
        killed_by_a_fault: a random fault ended it, or asked it to end; a supervisor should start it again.
        known_as: the name under which a scenario knows a producer that is started again; empty for any other process.
        successor: the name of the process that takes its place.
        start_again: has it started again, after ``restart_after`` seconds at the earliest.
        story_faults: the story's faults that have not struck yet.
        paused_until: before this time no part of it runs.
        skew: by how many seconds its wall clock is ahead.
        respawns: a supervisor starts it again however it ends by itself, a message limit or not.
        has_received: a receive has brought a message.
        in_hand: what its last receive brought.
        recorder: takes its records; several processes that share a name share one.
        unperformed: the keys that it has claimed and not yet performed, with the true time of each lease's end.
        lasting: what goes on to strike it.
    """

    def __init__(
        self,
        world: World,
        name: str,
        *,
        is_consumer: bool,
        faults: Sequence[Fault] = (),
        recorder: WorldRecorder | None = None,
        plan: FaultPlan | None = None,
    ) -> None:
        self.world = world
        self.name = name
        self.is_consumer = is_consumer
        self.exit_code: int | None = None
        self.exit_message = self.exit_place = ""
        self.killed_by_a_fault = False
        self.restart_after = 0.0
        self.known_as = self.successor = ""
        self.start_again: Callable[[], None] = _do_nothing
        self.story_faults = list(faults)
        self.paused_until = 0.0
        self.skew = 0.0
        self.respawns = self.has_received = False
        #: Seconds by which its wall clock drifts: at most, each second, and since when.
        self._drift = (0.0, 0.0, 0.0)
        #: By how many seconds its monotonic clock is behind: each machine's begins somewhere else, and does not count
        #: what it was frozen for.
        self._behind = -float(crc32(name.encode()) % ORIGINS)
        #: When something that takes no time was asked for last, and how often at that moment.
        self._counted_at, self._at_once = 0.0, 0
        #: While it stands still: when each of its strands would have gone on.
        self._standing: dict[Sleeper, float] = {}
        self.lasting = LastingFaults()
        self.operations = 0
        self.in_hand: tuple[Message, ...] = ()
        self.unperformed: dict[str, float] = {}
        self.on_end: Callable[[SimulatedProcess], None] = _ignore_exit
        self.recorder = recorder or WorldRecorder(world, name, world.names.queue)
        self.program: Program | None = None
        self._plan = plan or (
            FaultPlan(faults, rng=ChosenRandom(world.choices, 0), now=lambda: world.scheduler.now) if faults else None
        )
        self._signalled = False
        self._sleepers: list[Sleeper] = []
        self._asleep: set[Sleeper] = set()
        #: The tasks that it has gathered, and how many gatherings go on.
        self._gathered: list[Task[Any]] = []
        self._side_by_side = 0
        self._injector: FaultInjector | None = None
        self._next_random_fault: float = float("inf")

    @property
    def runs(self) -> bool:
        """Whether it has not ended."""
        return self.exit_code is None

    # --- life and death ----------------------------------------------------------------------------------------------

    def start(self, program: Program, at: float, injector: FaultInjector | None = None) -> None:
        """Begin at a time."""
        self.program = program
        self._injector = injector
        if injector is not None:
            self.expect_random_fault(injector.next_at)
        for task in (program.main, *program.beside):
            sleeper = Sleeper(self)
            sleeper.strand = self._live(task, sleeper)
            self._sleepers.append(sleeper)
            self.world.scheduler.wake(sleeper, at)

    def signal(self) -> None:
        """Ask for the end, as SIGTERM does: waits are cut short, but not a long poll that is under way."""
        if self.exit_code is not None or self.program is None:
            return
        self._signalled = True
        self.program.stop()
        for sleeper in self._asleep:
            self.world.scheduler.wake(sleeper, self.world.scheduler.now)

    def freeze(self, seconds: float) -> None:
        """Stand still, and let the monotonic clock stand still: no wait goes on meanwhile."""
        scheduler = self.world.scheduler
        self.paused_until = scheduler.now + seconds
        self._behind += seconds
        for sleeper in self._asleep:
            scheduler.wake(sleeper, sleeper.wakes_at + seconds)

    def add(self, task: Task[Any]) -> None:
        """Step one more task, beside the main one and from now on."""
        sleeper = Sleeper(self)
        sleeper.strand = self._live(task, sleeper)
        self._sleepers.append(sleeper)
        self._gathered.append(task)
        self.world.scheduler.wake(sleeper, self.world.scheduler.now)

    def stand_still(self) -> None:
        """Stand still until :meth:`go_on`; the clocks go on."""
        if not self._standing:
            self.paused_until = inf
            self._standing = {sleeper: sleeper.wakes_at for sleeper in self._sleepers}

    def go_on(self) -> None:
        """Go on; what would have come meanwhile comes now."""
        standing, self._standing = self._standing, {}
        self.paused_until = 0.0
        scheduler = self.world.scheduler
        for sleeper, at in standing.items():
            if self.runs and at < inf:
                scheduler.wake(sleeper, max(at, scheduler.now))

    def set_clock(self, ahead: float) -> None:
        """Set the wall clock to be ahead of the right time by so many seconds."""
        self.skew, self._drift = ahead, (0.0, 0.0, 0.0)

    def let_clock_drift(self, ahead: float, within: float) -> None:
        """Let the wall clock come to be ahead by so many seconds, within so many."""
        now = self.world.scheduler.now
        off = self._off()
        self.skew, self._drift = off, (ahead - off, (ahead - off) / within, now)

    def expect_random_fault(self, at: float) -> None:
        """Have the injector asked from the operation of this number on."""
        self._next_random_fault = at

    def kill(self) -> None:
        """End at once, as by SIGKILL: no generator gets another turn, so nothing of it can reach the outside."""
        self._end(-SIGKILL)

    def close(self) -> None:
        """Drop what is left of the tasks. A clean-up in one of them may ask for operations; none is performed."""
        for sleeper in self._sleepers:
            sleeper.strand.close()
        if self.program is not None:
            for task in (self.program.main, *self.program.beside, *self._gathered):
                _close(task)

    def _end(self, code: int, exit_message: str = "") -> None:
        if self.exit_code is not None:
            return
        self.exit_code = code
        self.exit_message = exit_message
        for sleeper in self._sleepers:
            self.world.scheduler.silence(sleeper)
            self.world.stop_waiting(sleeper)
        self.on_end(self)

    def _live(self, task: Task[Any], sleeper: Sleeper) -> Strand:
        """Step a task to its end; with the main task's end the process ends."""
        program = self.program
        code, exit_message = 0, ""
        try:
            value = yield from self._stepped(task, sleeper)
        except _TaskError as failed:
            code, exit_message = _ending(failed.error)
            self.exit_place = place_of(failed.error) if code == UNHANDLED else ""
        else:
            code = program.exit_code(value) if program is not None and task is program.main else 0
        if program is not None and task is program.main:
            self._end(code, exit_message)

    def _stepped(self, task: Task[Any], sleeper: Sleeper) -> Steps:
        """Perform what a task yields, and return its value.

        Raises:
            _TaskError: the task ended with an error.
        """
        result: Any
        its_own_turn = True
        try:
            operation = next(task)
            while True:
                its_own_turn = False
                try:
                    if isinstance(operation, ReadClock):
                        result = self._monotonic_clock()
                    elif isinstance(operation, Note):
                        self.recorder.event(operation.event, **operation.details)
                        result = None
                    else:
                        result = yield from self._steps_of(operation, sleeper, task)
                except OperationFailed as error:
                    its_own_turn = True
                    operation = task.throw(error)
                except _TaskError as failed:  # of a task that was gathered
                    its_own_turn = True
                    operation = task.throw(failed.error)
                else:
                    its_own_turn = True
                    operation = task.send(result)
        except StopIteration as stop:
            return stop.value
        except BaseException as error:
            if _is_of_a_task(error, its_own=its_own_turn):
                raise _TaskError(error) from error
            raise  # Ctrl-C, the end of the strand, Hypothesis that has seen enough

    def _gather(self, operation: Gather, sleeper: Sleeper) -> Steps:
        """Step tasks side by side, and return what each came to."""
        scheduler, to_come = self.world.scheduler, list(enumerate(operation.tasks))[::-1]
        results: dict[int, Any] = {}

        def live(place: int, task: Task[Any], its_sleeper: Sleeper) -> Strand:
            try:
                results[place] = yield from self._stepped(task, its_sleeper)
            except _TaskError as failed:
                results[place] = failed.error
            if to_come:
                begin(*to_come.pop())
            scheduler.wake(sleeper, scheduler.now)

        def begin(place: int, task: Task[Any]) -> None:
            its_sleeper = Sleeper(self)
            its_sleeper.strand = live(place, task, its_sleeper)
            self._sleepers.append(its_sleeper)
            self._gathered.append(task)
            scheduler.wake(its_sleeper, scheduler.now)

        for _ in range(min(operation.at_once or len(to_come), len(to_come))):
            begin(*to_come.pop())
        self._side_by_side += 1
        while len(results) < len(operation.tasks):
            yield inf
            if _failure(results.values(), passing=operation.until_first_failure):
                break
        self._side_by_side -= 1
        if failure := _failure(results.values(), passing=operation.until_first_failure):
            raise failure if isinstance(failure, OperationFailed) else _TaskError(failure)
        return tuple(results[place] for place in range(len(operation.tasks)))

    # --- operations --------------------------------------------------------------------------------------------------

    def _steps_of(self, operation: Operation, sleeper: Sleeper, task: Task[Any]) -> Steps:
        """Return the steps of one operation.

        Raises:
            RequestError: what the task yields is no operation.
        """
        if not isinstance(operation, Operation):
            raise RequestError(no_operation(task, operation))
        if not operation.recorded:
            return self._unrecorded(operation, sleeper)
        self.operations += 1
        if type(operation) is ReleaseClaim:
            self.unperformed.pop(operation.key, None)  # it has given up: no side effect will follow
        plan = self._plan
        if plan is not None and plan.may_strike(operation):
            return self._perform(operation, sleeper, self)
        injector = self._injector
        if injector is None or not self._may_meet_a_random_fault:
            return self._perform_unharmed(operation, sleeper)
        # Most that may be struck are not: a fault waits for an operation that it fits.
        struck = tuple(injector.before(self, operation))
        if struck or injector.awaits(operation):
            return self._perform(operation, sleeper, _RandomFaults(injector, struck))
        return self._perform_unharmed(operation, sleeper)

    @property
    def _may_meet_a_random_fault(self) -> bool:
        due = self.operations >= self._next_random_fault
        return due or bool(self.lasting.going_on or self.world.lasting.going_on)

    def _perform(self, operation: Operation, sleeper: Sleeper, faults: FaultSource) -> Steps:
        """Perform one operation that faults may strike, in as many steps as it takes."""
        steps = perform_with_faults(operation, self.recorder, faults)
        try:
            step = next(steps)
            while True:
                try:
                    if isinstance(step, Operation):
                        result = yield from self.exchange(step, sleeper)
                    elif isinstance(step, LateRequest):
                        self._send_late(step)
                        result = None
                    else:
                        result = yield from self._carry_out(step)
                except OperationFailed as error:
                    step = steps.throw(error)
                else:
                    step = steps.send(result)
        except StopIteration as stop:
            return stop.value

    def _perform_unharmed(self, operation: Operation, sleeper: Sleeper) -> Steps:
        """Perform an operation that no fault can strike: what ``perform_with_faults`` does then, in fewer steps."""
        world, recorder = self.world, self.recorder
        scheduler = world.scheduler
        invocation = recorder.invoke(operation)
        try:
            round_trip = world.choices.draw(_ROUND_TRIPS)
            yield scheduler.now + _REQUESTS[round_trip]
            if isinstance(operation, Receive):
                result = yield from self._receive(operation, sleeper)
            else:
                result = self._take_effect(operation)
            yield scheduler.now + _REPLIES[round_trip]
        except OperationFailed as error:
            recorder.fail(invocation, operation, error)
            raise
        recorder.ok(invocation, operation, result)
        return result

    # --- faults: what ``services.injection`` asks for ----------------------------------------------------------------

    def before(self, operation: Operation) -> Iterable[InjectedFault]:
        """Return the scripted faults, then a random one where it is due."""
        cut = False
        if self._plan is not None:
            for fault in self._plan.before(operation):
                cut = cut or bool(fault.entries)
                yield fault
        # An operation of which a scripted fault takes a part has its fault; a random one waits for the next.
        if self._injector is not None and not cut and self._may_meet_a_random_fault:
            yield from self._injector.before(self, operation)

    def on_reply(self, operation: Operation, result: Any) -> Iterable[InjectedFault]:
        """Return the random fault that waited for the operation to take effect, then the scripted ones."""
        if self._injector is not None:
            yield from self._injector.on_reply(operation, result)
        if self._plan is not None:
            yield from self._plan.on_reply(operation, result)

    def after(self, operation: Operation, result: Any) -> Iterable[InjectedFault]:
        """Return the scripted faults, then a random crash that waited for the record."""
        if self._plan is not None:
            yield from self._plan.after(operation, result)
        if self._injector is not None:
            yield from self._injector.after(operation)

    def _carry_out(self, fault: InjectedFault) -> Steps:
        """Let a fault take its time, or end the process."""
        if not isinstance(fault, Fault):
            assert self._injector is not None  # noqa: S101 - it is where all other faults come from
            yield from self._injector.carry_out(fault)
            return
        if fault.nth:
            with suppress(ValueError):
                self.story_faults.remove(fault)
        if fault.kind == "crash":
            self.kill()
            yield None
        elif fault.kind == "delay":
            yield self.world.scheduler.now + fault.seconds
        elif fault.kind == DELETED and fault.reach:
            self.world.delete_for_good(fault.reach)

    # --- what an operation takes -------------------------------------------------------------------------------------

    def is_batch(self, operation: Operation) -> bool:
        """Return whether an operation is answered entry by entry, so that it can fail in part."""
        return isinstance(operation, BATCHES)

    def exchange(self, operation: Operation, sleeper: Sleeper) -> Steps:
        """Send a request, let it take effect, and hear of it."""
        scheduler = self.world.scheduler
        if self._injector is not None and self._injector.awaits(operation):
            round_trip = 0  # its fault is all the chance there is in it
        else:
            round_trip = self.world.choices.draw(_ROUND_TRIPS)
        yield scheduler.now + _REQUESTS[round_trip]
        result = yield from self.act(operation, sleeper)
        yield scheduler.now + _REPLIES[round_trip]
        return result

    def act(self, operation: Operation, sleeper: Sleeper) -> Steps:
        """Let an operation take effect."""
        if isinstance(operation, Receive):
            return (yield from self._receive(operation, sleeper))
        return self._take_effect(operation)

    def _send_late(self, late: LateRequest) -> None:
        world = self.world
        arrives = world.scheduler.now + late.seconds
        world.late_until = max(world.late_until, arrives)
        world.scheduler.start(self._arrive(late), arrives)

    def _arrive(self, late: LateRequest) -> Strand:
        """Let a late request take effect, whatever has become of this process."""
        error = None
        try:
            if isinstance(late.operation, Receive):
                self.world.receive(
                    late.operation
                )  # no consumer has them: they come again after their visibility timeout
            else:
                self.world.perform(late.operation, self._wall_clock)
        except OperationFailed as failed:
            error = failed
        record_arrival(self.recorder, late, error)
        yield None

    def _unrecorded(self, operation: Operation, sleeper: Sleeper) -> Steps:
        match operation:
            case Sleep():
                return (yield from self._sleep(operation, sleeper))
            case ReadWallClock():
                return self._wall_clock()
            case Gather():
                return (yield from self._gather(operation, sleeper))
        raise TypeError(f"{type(operation).__name__} is no operation that a simulation knows.")

    def _sleep(self, operation: Sleep, sleeper: Sleeper) -> Steps:
        now = self.world.scheduler.now
        if operation.uninterrupted:
            yield now + operation.seconds
            return True
        if not self._signalled:
            self._asleep.add(sleeper)
            yield now + operation.seconds
            self._asleep.discard(sleeper)
        if self._signalled:
            self._count_at_once()
        return not self._signalled

    def _receive(self, operation: Receive, sleeper: Sleeper) -> Steps:
        """Take what is there, or what comes within the wait."""
        world = self.world
        if not self._side_by_side:
            self.in_hand = ()
            self.unperformed.clear()
        deadline = world.scheduler.now + operation.wait_seconds
        while not (messages := world.receive(operation)) and world.scheduler.now < deadline:
            yield min(world.wait_for_messages(sleeper), deadline)
            world.stop_waiting(sleeper)
        self.has_received = self.has_received or bool(messages)
        # Another task that runs beside may have received as well.
        kept = [message for message in self.in_hand if world.held[message.message_id].state is not State.GONE]
        self.in_hand = (*kept, *messages) if self._side_by_side else messages
        if self.world.leases_items:
            self.take_unseen_leases(messages)
        return messages

    def _take_effect(self, operation: Operation) -> Any:
        result = self.world.perform(operation, self._wall_clock)
        if type(operation) in _CLAIMING:
            self._keep_account(operation, result)
        return result

    def _monotonic_clock(self) -> float:
        self._count_at_once()
        return self.world.scheduler.now - self._behind

    def _count_at_once(self) -> None:
        """Refuse a loop in which no time passes.

        Raises:
            RequestError: it does not end.
        """
        now = self.world.scheduler.now
        self._at_once = self._at_once + 1 if now == self._counted_at else 0
        self._counted_at = now
        if self._at_once > MOST_AT_ONCE:
            raise RequestError(_SPINS.format(self.name))

    def _wall_clock(self) -> float:
        return EPOCH + self.world.scheduler.now + self._off()

    def _off(self) -> float:
        """Return by how many seconds the wall clock is ahead now."""
        most, rate, since = self._drift
        if not rate:
            return self.skew
        drifted = rate * (self.world.scheduler.now - since)
        return self.skew + (min(drifted, most) if most > 0 else max(drifted, most))

    def _keep_account(self, operation: Operation, result: Any) -> None:
        """Remember which claims await their side effect: then a process that stands still is dangerous."""
        if Assumption.SHORT_PAUSES not in self.world.assumes:
            return
        now = self.world.scheduler.now
        match operation:
            case Claim() if isinstance(result, Claimed):
                self.unperformed[operation.key] = now + operation.lease_seconds
            case RenewClaim() if result and operation.key in self.unperformed:
                self.unperformed[operation.key] = now + operation.lease_seconds
            case PerformSideEffect() | CallApi() | Complete():
                self.unperformed.pop(operation.key, None)
            case Transact() if operation.effect is not None:
                self.unperformed.pop(operation.effect.key, None)
            case PutItem() if result and operation.is_conditional:
                self.world.leases_items = True
                self.take_unseen_leases(self.in_hand)
            case Delete() | ChangeVisibility() if self.world.leases_items:
                self.let_go(operation.messages)

    def take_unseen_leases(self, messages: Iterable[Message]) -> None:
        """Suppose that an item is a lease for these messages: only its owner knows what it is."""
        until = self.world.scheduler.now + UNSEEN_LEASE * self.world.info.visibility_timeout
        for message in messages:
            self.unperformed.setdefault(self.world.key_of(self.world.held[message.message_id]), until)

    def let_go(self, messages: Iterable[Message]) -> None:
        """Forget that a side effect is to come for these messages, which their consumer gives up."""
        for message in messages:
            if message.message_id in self.world.held:
                self.unperformed.pop(self.world.key_of(self.world.held[message.message_id]), None)


#: A process that asks more often at one moment for what takes no time is in a loop that does not end.
MOST_AT_ONCE: Final = 100_000
_SPINS: Final = (
    "{} is in a loop without end. In a simulation time stands still while a consumer computes, reads the clock, or "
    "sleeps after a request to end: let it end then, or sleep with uninterrupted=True."
)
#: Monotonic clocks of different machines differ by less than so many seconds, about a day.
ORIGINS: Final = 1 << 16
#: For this part of the visibility timeout a consumer may be held up between a receive and a side effect whose lease is
#: not seen. It may have been taken at once; whatever it is, it lasts for longer.
UNSEEN_LEASE: Final = 0.5
_CLAIMING = frozenset(
    {Claim, RenewClaim, PerformSideEffect, CallApi, Complete, Transact, PutItem, Delete, ChangeVisibility}
)


def _do_nothing() -> None:
    pass


def _ignore_exit(_process: SimulatedProcess) -> None:
    pass


@dataclass(frozen=True, slots=True)
class _RandomFaults:
    """The faults of an operation that the scenario's own faults spare; see :class:`services.injection.FaultSource`.

    Attributes:
        struck: those that strike before it.
    """

    injector: FaultInjector
    struck: Sequence[InjectedFault]

    def before(self, operation: Operation) -> Iterable[InjectedFault]:  # noqa: ARG002 - it is known by now
        """Return the random fault that strikes."""
        return self.struck

    def on_reply(self, operation: Operation, result: Any) -> Iterable[InjectedFault]:
        """Return the random fault that waited for the operation to take effect."""
        return self.injector.on_reply(operation, result)

    def after(self, operation: Operation, result: Any) -> Iterable[InjectedFault]:  # noqa: ARG002 - the injector knows
        """Return a random crash that waited for the record."""
        return self.injector.after(operation)


class _TaskError(Exception):
    """A task ended with an error."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(str(error))
        self.error = error


def _is_of_a_task(error: BaseException, *, its_own: bool) -> bool:
    """Return whether an error is a task's.

    Args:
        error: what came out of the task's stepping.
        its_own: the task itself raised it, and not what was done for it meanwhile.
    """
    if isinstance(error, RequestError):
        return False  # what it yields is no operation, and would be none at any message
    return isinstance(error, Exception) or (its_own and not isinstance(error, KeyboardInterrupt | SystemExit))


def _failure(results: Iterable[Any], *, passing: bool) -> BaseException | None:
    """Return the first error among results that the gatherer does not get as a result."""
    errors = (item for item in results if isinstance(item, BaseException))
    return next((item for item in errors if passing or not isinstance(item, OperationFailed)), None)


def _ending(error: BaseException) -> tuple[int, str]:
    """Return the exit code and the last words of a process whose task ends with an error."""
    if isinstance(error, OperationFailed | ServiceError):
        return UNUSABLE, str(error)
    return UNHANDLED, ": ".join(filter(None, (type(error).__name__, str(error))))


def _close(task: Task[Any]) -> None:
    """Close a generator, also one that answers by asking for more."""
    for _ in range(BURIALS):
        try:
            task.close()
        except RuntimeError:
            continue
        except KeyboardInterrupt:
            raise
        except BaseException:  # noqa: BLE001, S110 - a dead process has no last words
            pass
        return
