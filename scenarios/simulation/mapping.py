"""A function at its event source mapping in virtual time: the same state machine as the endpoint's, driven here.

    the mapping ── asks ──▶ receive, invoke, delete   each takes effect on the simulation's world
                ◀── reports ──

An execution environment is a consumer with its memory, or a handler of a user's own. An invocation is a simulated
process that steps one of its tasks, or the handler. It ends by its answer, by a fault, or at the function's timeout.
What happens is told as the endpoint tells it, and translated as the endpoint's events are, so that both tiers leave the
same history.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Protocol, TypeAlias

from infra.localaws.lambda_ import source
from infra.localaws.lambda_.actions import Action, Delete, Failure, Invoke, Receive, Result, StopReceiving
from infra.localaws.lambda_.concurrency import Concurrency
from infra.localaws.lambda_.errors import LambdaError
from infra.localaws.lambda_.faults import OF_INVOCATIONS, FaultKind, FaultPlan, parse_faults
from infra.localaws.lambda_.faults import Fault as FunctionFault
from infra.localaws.lambda_.mapping import EventSourceMapping
from infra.localaws.lambda_.settings import MappingSettings
from scenarios.checks.functions import FunctionSettings, split_faults
from scenarios.errors import RequestError
from scenarios.history import ENDPOINT
from scenarios.history.mapping_events import MappingEvents
from scenarios.simulation.background import BackgroundTasks
from scenarios.simulation.process import Program, SimulatedProcess
from scenarios.simulation.random_faults import SIZES, Kind, RandomFault
from scenarios.simulation.scheduler import Sleeper, Strand
from scenarios.simulation.world import World, WorldRecorder
from services.consumer.lambda_handler import FIFO_SUFFIX, LambdaConsumer, message_of
from services.faults import Fault, Point
from services.faults import FaultPlan as FaultPlanOfCalls
from services.operations import Operation

#: Seconds that a cold start takes, as the source of choices picks.
COLD_STARTS = (0.2, 0.3, 0.5, 0.8)
#: Seconds from the invocation of an environment that is warm to its handler.
WARM_START = 0.001
#: Seconds after its event at which a random fault stops a handler, for each step of its size.
INTO_THE_HANDLER = 0.005
#: The place of a fault that no scenario scripted, so that it is told from one that was.
BY_CHANCE = -1
#: By which part of the visibility timeout a random throttle lasts at most.
THROTTLED_PART = 0.5

#: What a random fault of a consumer comes to where the consumer is a function.
RANDOM_KINDS = {
    Kind.CRASH_BEFORE: FaultKind.CRASH_BEFORE,
    Kind.CRASH_AFTER: FaultKind.CRASH_AFTER,
    Kind.PAUSE: FaultKind.HANG,
    Kind.REPLY_LOST: FaultKind.ANSWER_LOST,
    Kind.THROTTLE: FaultKind.THROTTLE,
    Kind.OUTAGE: FaultKind.COLD_START,
    Kind.PARTIAL_FAILURE: FaultKind.DELETE_FAILED,
}
#: What it comes to at one of the handler's own calls; a crash there by the point that its size picks.
OF_CALLS = frozenset({Kind.CRASH_DURING, Kind.SERVER_ERROR, Kind.PARTIAL_REPLY_LOST})
POINTS: tuple[Point, ...] = ("during", "before", "after")
#: Those after which a batch is not deleted, and waits out its visibility timeout.
COSTLY = frozenset(
    {FaultKind.CRASH_BEFORE, FaultKind.CRASH_DURING, FaultKind.CRASH_AFTER, FaultKind.HANG, FaultKind.ANSWER_LOST}
)


#: Takes what a handler answers as the runtime sends it, and why that is no answer.
Taken: TypeAlias = Callable[[bytes, Failure | None], None]


class Environment(Protocol):
    """An execution environment: it handles one invocation at a time, and keeps its memory.

    Attributes:
        has_work: whether a handler has left something to the background that has not ended.
    """

    @property
    def has_work(self) -> bool:
        """See the class."""

    def begin(self, mapping: SimulatedMapping, action: Invoke, take: Taken) -> tuple[SimulatedProcess, Program]:
        """Return the process by which an invocation is stepped, and what it runs.

        Args:
            mapping: what invokes.
            action: the invocation.
            take: is handed the answer.
        """

    def freeze(self) -> None:
        """Let what is left to the background stand still."""

    def thaw(self) -> None:
        """Let it go on."""

    def end(self) -> None:
        """End the environment, with all that is left."""


class ConsumerEnvironment(Environment):
    """The environment of a handler of ours, whose consumer is stepped.

    Args:
        consumer: with its memory.
    """

    def __init__(self, consumer: LambdaConsumer) -> None:
        self._consumer = consumer
        self._background = BackgroundTasks(self._process_beside)
        self._mapping: SimulatedMapping | None = None
        self._invocation: SimulatedProcess | None = None
        consumer.beside = self._background.start

    @property
    def has_work(self) -> bool:
        """See :class:`Environment`."""
        return self._background.are_at_work

    def freeze(self) -> None:
        """See :class:`Environment`."""
        self._background.freeze()

    def thaw(self) -> None:
        """See :class:`Environment`."""
        self._background.thaw()

    def end(self) -> None:
        """See :class:`Environment`."""
        self._background.end()

    def _process_beside(self) -> SimulatedProcess:
        mapping, invocation = self._mapping, self._invocation
        assert mapping is not None  # noqa: S101 - its handler starts the task, and a mapping has invoked that
        assert invocation is not None  # noqa: S101
        process = self._process(mapping)
        mapping.add(process)
        # A fault that kills a task has killed its environment.
        process.on_end = lambda _: self._invocation.kill() if self._invocation is not None else None
        return process

    @staticmethod
    def _process(mapping: SimulatedMapping) -> SimulatedProcess:
        return SimulatedProcess(
            mapping.world, mapping.name, is_consumer=False, recorder=mapping.recorder, plan=mapping.handler_faults
        )

    def begin(self, mapping: SimulatedMapping, action: Invoke, take: Taken) -> tuple[SimulatedProcess, Program]:
        """See :class:`Environment`."""
        records = json.loads(action.payload)["Records"]
        fifo = records[0]["eventSourceARN"].endswith(FIFO_SUFFIX)
        messages = [message_of(record) for record in records]
        task = self._consumer.handle_event(messages, remaining=mapping.timeout, fifo=fifo)
        process = self._process(mapping)
        process.in_hand = tuple(messages)
        self._mapping, self._invocation = mapping, process

        def answered(answer: Any) -> int:
            take(encode(answer), None)
            return 0

        return process, Program(task, (), _never_asked, answered)


@dataclass(frozen=True, slots=True)
class Setup:
    """What a mapping and its function are made of.

    Attributes:
        name: the consumer's name in the history.
        settings: of the function and its mapping.
        batch_size: messages in a batch.
        message_limit: the mapping stops after so many messages; 0 for never.
        make: makes a new environment, by its number.
        faults: the scenario's own.
        random_faults: what goes wrong beyond them.
        seed: where the jitter of backoffs comes from.
    """

    name: str
    settings: FunctionSettings
    batch_size: int
    message_limit: int
    make: Callable[[int], Environment]
    faults: Sequence[Fault]
    random_faults: Sequence[RandomFault]
    seed: int


class SimulatedMapping:
    """One consumer that is a function at its mapping.

    Attributes:
        exit_code: 0 once the mapping has ended; None before.
        on_end: is told of the end.

    Raises:
        RequestError: Lambda would refuse the settings.
    """

    def __init__(self, world: World, setup: Setup, events: MappingEvents) -> None:
        self.name = setup.name
        self.exit_code: int | None = None
        self.on_end: Callable[[SimulatedMapping], None] = lambda _: None
        self.world = world
        self.recorder = WorldRecorder(world, setup.name, world.names.queue)
        self._setup = setup
        self._events = events
        self._timeout = setup.settings.timeout_at(world.info.visibility_timeout)
        of_mapping, of_handler = split_faults(setup.faults)
        self._faults = FaultPlan(parse_faults(of_mapping))
        self._scripted_costs = len(setup.faults)
        self._random = [fault for fault in setup.random_faults if fault.kind in RANDOM_KINDS]
        self._of_calls = [fault for fault in setup.random_faults if fault.kind in OF_CALLS]
        self._handler_faults = CallFaults(of_handler, self)
        #: By batch, the messages of an invocation that goes on.
        self._in_hand: dict[int, tuple[str, ...]] = {}
        #: How many operations its consumer has begun: receives, invocations, the handler's own calls, deletes.
        self._begun = 0
        self._concurrency = Concurrency()
        if setup.settings.reserved_concurrency is not None:
            self._concurrency.reserve(self.name, setup.settings.reserved_concurrency)
        self._idle: list[Environment] = []
        #: Those that were frozen with work left over, and since when.
        self._frozen: dict[Environment, float] = {}
        self._made = 0
        self._invocations = 0
        self._deletes = 0
        self._throttled_until = 0.0
        self._receives: dict[int, Sleeper] = {}
        self._processes: list[SimulatedProcess] = []
        self._reuses: dict[Environment, int] = {}
        self._alarm = Sleeper()
        events.add(self.name, self.name)
        self.mapping = EventSourceMapping(
            self._mapping_settings(),
            source.source_queue(world.model, world.names.queue),
            clock=world.scheduler.time,
            rng=Random(setup.seed),  # noqa: S311 - chance in a lab must be reproducible, not secret
            observer=lambda event, _, fields: self._tell(event, **fields),
            message_limit=setup.message_limit,
        )

    @property
    def runs(self) -> bool:
        """Whether the mapping has not ended."""
        return self.exit_code is None

    def start(self, at: float) -> None:
        """Begin to poll at a time."""

        def begin() -> Strand:
            self.recorder.event("started")
            self._idle.append(self._environment())
            self.step()
            yield None

        self.world.scheduler.start(begin(), at)

    def stop(self) -> None:
        """Poll no more; what was received is still handled, and deleted."""
        self.mapping.disable()
        self.step()

    def kill(self) -> None:
        """End at once, whatever is under way."""
        for process in self._processes:
            process.on_end = _no_more
            process.kill()
        for sleeper in (self._alarm, *self._receives.values()):
            self.world.scheduler.silence(sleeper)
            self.world.stop_waiting(sleeper)
        self._end()

    def close(self) -> None:
        """Drop what is left of the invocations."""
        for process in self._processes:
            process.close()

    # --- the mapping -------------------------------------------------------------------------------------------------

    def step(self) -> None:
        """Perform all that there is to do now, and set the alarm to what comes next."""
        if not self.runs or not self.mapping.perform_all(self._perform):
            return
        due = self.mapping.next_at()
        if due is not None:
            self._alarm.strand = self._ring()
            self.world.scheduler.wake(self._alarm, max(due, self.world.scheduler.now))
        if not self.mapping.enabled and self.mapping.is_idle:
            self._end()

    def _ring(self) -> Strand:
        self.step()
        yield None

    def _end(self) -> None:
        if self.exit_code is None:
            self.exit_code = 0
            self._end_idle()
            self.on_end(self)

    def _perform(self, action: Action) -> None:
        match action:
            case Receive():
                sleeper = self._receives[action.poller] = Sleeper()
                sleeper.strand = self._receive(action, sleeper)
                self.world.scheduler.wake(sleeper, self.world.scheduler.now)
            case StopReceiving():
                sleeper = self._receives.pop(action.poller)
                self.world.scheduler.silence(sleeper)
                self.world.stop_waiting(sleeper)
                self.mapping.received(action.poller, [], self.world.scheduler.now)
            case Invoke():
                self._invoke(action)
            case Delete():
                self._delete(action)

    def _receive(self, action: Receive, sleeper: Sleeper) -> Strand:
        world, name = self.world, self.world.names.queue
        deadline = world.scheduler.now + action.wait
        while not (deliveries := world.take(source.receive_request(action))) and world.scheduler.now < deadline:
            yield min(world.wait_for_messages(sleeper), deadline)
            world.stop_waiting(sleeper)
        del self._receives[action.poller]
        if deliveries:
            self.mapping.note_received(action.poller, deliveries)
        self.mapping.received(action.poller, deliveries, source.visible_at(world.model, name))
        self.step()

    def _delete(self, action: Delete) -> None:
        self._deletes += 1
        fault = self._faults.take(FaultKind.DELETE_FAILED, self._deletes) or self._chance(FaultKind.DELETE_FAILED, ())
        failed: dict[str, bool] = {}
        if fault is not None:
            failed = {entry.entry_id: True for at, entry in enumerate(action.entries) if fault.fails(at)}
            self._strike(fault)
        kept = tuple(entry for entry in action.entries if entry.entry_id not in failed)
        failed |= source.delete(self.world.model, self.world.names.queue, Delete(action.number, kept, action.attempt))
        self.mapping.note_deleted(action, failed)
        self.mapping.deleted(action.number, failed)

    # --- the function ------------------------------------------------------------------------------------------------

    def _invoke(self, action: Invoke) -> None:
        throttle = self._faults.take(FaultKind.THROTTLE, self._invocations + 1) or self._chance(FaultKind.THROTTLE, ())
        if throttle is not None:
            self._throttled_until = self.world.scheduler.now + throttle.seconds
            self._strike(throttle, action.batch)
        if self.world.scheduler.now < self._throttled_until or not self._concurrency.acquire(self.name):
            self._later(lambda: self.mapping.throttled(action.batch))
            return
        self._invocations += 1
        fault = self._faults.take_any(OF_INVOCATIONS, self._invocations) or self._chance_of_invocation(action)
        if fault is not None:
            self._strike(fault, action.batch)
            if fault.kind is FaultKind.COLD_START:
                self._end_idle()
        is_cold = not self._idle
        environment = self._environment() if is_cold else self._idle.pop()
        reuse = self._reuses.get(environment, 0)
        self._reuses[environment] = reuse + 1
        self._in_hand[action.batch] = action.message_ids
        self._thaw(environment)
        self._tell("function-invoked", batch=action.batch, cold=not reuse, reuse=reuse)
        delay = self.world.choices.pick(COLD_STARTS) if is_cold else WARM_START
        _Invocation(self, action, environment, fault).start(self.world.scheduler.now + delay)

    def _thaw(self, environment: Environment) -> None:
        """Let an environment go on; where it has work left over it goes on with that as well, and this is told."""
        frozen = self._frozen.pop(environment, None)
        if frozen is not None:
            self._tell("environment-thawed", seconds=round(self.world.scheduler.now - frozen, 6))
            environment.thaw()

    def _end_idle(self) -> None:
        idle, self._idle[:] = tuple(self._idle), ()
        for environment in idle:
            environment.end()

    def _environment(self) -> Environment:
        self._made += 1
        return self._setup.make(self._made)

    def _chance_of_invocation(self, action: Invoke) -> FunctionFault | None:
        for kind in OF_INVOCATIONS:
            fault = self._chance(kind, action.message_ids)
            if fault is not None:
                return fault
        return None

    def _chance(self, kind: FaultKind, message_ids: Sequence[str]) -> FunctionFault | None:
        """Return the random fault of a kind that is due, where each of the messages has a receive to spare for it."""
        # A delete is told when it is done.
        number = self._begun + (kind is FaultKind.DELETE_FAILED)
        for fault in self._random:
            if RANDOM_KINDS[fault.kind] is not kind or number < fault.at:
                continue
            if kind in COSTLY and not all(self._can_spare(message_id) for message_id in message_ids):
                return None
            self._random.remove(fault)
            timeout = self.world.info.visibility_timeout
            self.world.lose(timeout)
            throttled = kind is FaultKind.THROTTLE
            seconds = (1 + fault.size) * (THROTTLED_PART * timeout / SIZES if throttled else INTO_THE_HANDLER)
            return FunctionFault(kind, BY_CHANCE, seconds)
        return None

    @property
    def awaits_call(self) -> bool:
        """Whether a random fault waits for one of the handler's own calls."""
        return bool(self._of_calls)

    def chance_at_call(self, operation: Operation) -> CallFault | None:
        """Count one of the handler's own calls; return the random fault that strikes it."""
        self._begun += 1
        for fault in self._of_calls:
            if self._begun < fault.at:
                continue
            if not all(self._can_spare(message_id) for batch in self._in_hand.values() for message_id in batch):
                return None
            self._of_calls.remove(fault)
            self.world.lose(self.world.info.visibility_timeout)
            name = type(operation).__name__
            if fault.kind is Kind.CRASH_DURING:
                return CallFault("crash", name, POINTS[fault.size % len(POINTS)])
            return CallFault("error" if fault.kind is Kind.SERVER_ERROR else "reply-lost", name)
        return None

    def _can_spare(self, message_id: str) -> bool:
        held = self.world.held.get(message_id)
        received = 0 if held is None else held.receive_count
        return received + 1 + self._scripted_costs < self.world.info.max_receive_count

    def answered(self, invocation: _Invocation, result: Result) -> None:
        """Hear how an invocation has ended."""
        del self._in_hand[invocation.action.batch]
        self._concurrency.release(self.name)
        environment = invocation.environment
        if not invocation.survives:
            environment.end()
        else:
            if environment.has_work:
                self._frozen[environment] = self.world.scheduler.now
                environment.freeze()
            self._idle.append(environment)
        self.mapping.answered(invocation.action.batch, result)
        self.step()

    # --- within ------------------------------------------------------------------------------------------------------

    @property
    def invocations(self) -> int:
        """How often the function was invoked."""
        return self._invocations

    @property
    def timeout(self) -> float:
        """The function's timeout in seconds."""
        return self._timeout

    @property
    def handler_faults(self) -> CallFaults:
        """What strikes the handler's own operations; it counts over all invocations."""
        return self._handler_faults

    def add(self, process: SimulatedProcess) -> None:
        """Know a process by which an invocation is stepped."""
        self._processes.append(process)

    def _mapping_settings(self) -> MappingSettings:
        setup, info = self._setup, self.world.info
        settings = setup.settings
        try:
            made = MappingSettings(
                batch_size=settings.batch_size or setup.batch_size,
                window=settings.batch_window,
                report_item_failures=settings.report_batch_item_failures,
                maximum_concurrency=settings.maximum_concurrency,
                filters=settings.filters,
            )
            made.check_against(
                fifo=info.fifo, visibility_timeout=int(info.visibility_timeout), function_timeout=self._timeout
            )
        except LambdaError as error:
            raise RequestError(f"Lambda refuses the event source mapping: {error}.") from None
        return made

    def _strike(self, fault: FunctionFault, batch: int | None = None) -> None:
        self._tell(
            "fault-struck",
            kind=fault.kind.value,
            at=None if fault.at == BY_CHANCE else fault.at,
            batch=batch,
            seconds=fault.seconds,
            entries=list(fault.entries),
        )

    def _tell(self, event: str, **fields: Any) -> None:
        """Take an event down as the endpoint does, and translate it."""
        self._begun += event in _BEGINS
        told = {"time": self.world.tick(), "process": ENDPOINT, "event": event, "function": self.name, **fields}
        self.world.records.extend(self._events.translate(told))

    def tell(self, event: str, **fields: Any) -> None:
        """Say what has become of an environment."""
        self._tell(event, **fields)

    def _later(self, report: Callable[[], None]) -> None:
        """Report what the state machine must not hear while it hands out its actions."""

        def go() -> Strand:
            report()
            self.step()
            yield None

        self.world.scheduler.start(go(), self.world.scheduler.now)


class CallFault(Fault):
    """A random fault at one of the handler's own calls."""

    __slots__ = ()

    def as_json(self) -> dict[str, Any]:
        """Return the fault as a history holds it: it says not which call it was scripted for."""
        return {name: value for name, value in super().as_json().items() if name != "nth"}


class CallFaults(FaultPlanOfCalls):
    """What strikes the handler's own calls: the scenario's faults, then a random one.

    Args:
        faults: the scenario's.
        mapping: knows when a random one is due.
    """

    def __init__(self, faults: Sequence[Fault], mapping: SimulatedMapping) -> None:
        super().__init__(faults, now=lambda: mapping.world.scheduler.now)
        self._mapping = mapping
        self._striking: CallFault | None = None

    def may_strike(self, operation: Operation) -> bool:
        """See :class:`services.faults.FaultPlan`."""
        return self._mapping.awaits_call or super().may_strike(operation)

    def before(self, operation: Operation) -> Iterable[Fault]:
        """See :class:`services.faults.FaultPlan`."""
        yield from super().before(operation)
        self._striking = chance = self._mapping.chance_at_call(operation)
        if chance is not None and (chance.kind == "error" or chance.point == "before"):
            self._striking = None
            yield chance

    def on_reply(self, operation: Operation, result: Any) -> Iterable[Fault]:
        """See :class:`services.faults.FaultPlan`."""
        yield from super().on_reply(operation, result)
        chance = self._striking
        if chance is not None and (chance.kind == "reply-lost" or chance.point == "during"):
            self._striking = None
            yield chance

    def after(self, operation: Operation, result: Any) -> Iterable[Fault]:
        """See :class:`services.faults.FaultPlan`."""
        yield from super().after(operation, result)
        chance, self._striking = self._striking, None
        if chance is not None:
            yield chance


#: The events with which an operation begins in the history.
_BEGINS = frozenset({"mapping-received", "batch-sent", "mapping-deleted"})


class _Invocation:
    """One invocation of an environment.

    Attributes:
        survives: whether the environment can be used again.
    """

    def __init__(
        self, function: SimulatedMapping, action: Invoke, environment: Environment, fault: FunctionFault | None
    ) -> None:
        self.action = action
        self.environment = environment
        self.survives = True
        self._function = function
        self._fault = fault
        self._answer = b"null"
        self._failure: Failure | None = None
        self._refused: Failure | None = None
        self._is_over = False

    def start(self, at: float) -> None:
        """Hand the event to the handler at a time."""
        function = self._function
        world = function.world
        process, program = self.environment.begin(function, self.action, self._take)
        process.on_end = self._ended
        function.add(process)
        self._process = process
        kind = None if self._fault is None else self._fault.kind
        if kind is FaultKind.CRASH_BEFORE:
            world.scheduler.start(self._kill(Failure.EXIT), at)
            return
        process.start(program, at)
        seconds = self._fault.seconds if self._fault is not None else 0.0
        if kind is FaultKind.CRASH_DURING:
            world.scheduler.start(self._kill(Failure.EXIT), at + seconds)
        elif kind is FaultKind.HANG:
            world.scheduler.start(self._stand_still(), at + seconds)
        world.scheduler.start(self._kill(Failure.TIMEOUT), at + function.timeout)

    def _take(self, answer: bytes, failure: Failure | None) -> None:
        self._answer = answer
        self._refused = failure

    def _kill(self, failure: Failure) -> Strand:
        if not self._is_over:
            self._failure = failure
            if failure is Failure.TIMEOUT:
                self._function.tell("environment-timed-out", batch=self.action.batch)
            self._process.kill()
        yield None

    def _stand_still(self) -> Strand:
        self._process.paused_until = float("inf")
        self.environment.freeze()
        yield None

    def _ended(self, process: SimulatedProcess) -> None:
        if self._is_over:
            return
        self._is_over = True
        function = self._function
        kind = None if self._fault is None else self._fault.kind
        if process.exit_code == 0 and kind is FaultKind.CRASH_AFTER:
            self._failure = Failure.EXIT
        if process.exit_code == 0 and self._failure is None:
            failure = Failure.LOST if kind is FaultKind.ANSWER_LOST else self._refused
            result = Result(self._answer, failure)
        else:
            self.survives = False
            killed = process.exit_code == 0 or (process.exit_code or 0) < 0
            failure = self._failure or (Failure.EXIT if killed else Failure.ERROR)
            if failure is Failure.EXIT:
                function.tell("environment-crashed", batch=self.action.batch)
            if failure is Failure.ERROR:
                self.survives = True  # an exception ends the invocation alone
            result = Result(b"{}", failure)
        function.answered(self, result)


def encode(answer: Any) -> bytes:
    """Return what a handler returns as the runtime sends it: JSON, or the text itself where a handler answers bytes."""
    return answer if isinstance(answer, bytes) else json.dumps(answer).encode()


def _never_asked() -> None:
    """Do nothing: a function hears of no end."""


def _no_more(_process: SimulatedProcess) -> None:
    """Do nothing: the mapping has ended."""
