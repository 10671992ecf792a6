"""The simulated lab: the same scenarios, on the same services, in virtual time and in this very process.

It starts nothing, opens nothing and waits for nothing: a wait lets the scheduler run until the condition holds. A
consumer that a random fault ended, or that ended by itself, is started again after a while.
"""

from __future__ import annotations

import hashlib
import sys
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass, fields
from functools import cache, partial
from math import inf
from random import Random
from signal import SIGKILL
from typing import Any, Protocol, TypeAlias, TypeVar

from scenarios.checks.functions import FunctionSettings
from scenarios.errors import DeadlineMissed, RequestError, ServiceFailedError
from scenarios.history import LAB, History, SentMessage
from scenarios.history.events import ASKED_TO_END, LONG_LEASE, REMOVER, SWEEPER
from scenarios.history.mapping_events import MappingEvents
from scenarios.lab import (
    GIVEN_UP,
    WAIT_TIME_SECONDS,
    ConsumerHandle,
    ProducerHandle,
    QueueInfo,
    checked_options,
    checked_settings,
    declared,
    long_lease,
    redriven,
    sending_seconds,
)
from scenarios.model import DeliveryRates
from scenarios.parameters import Parameters
from scenarios.simulation.choices import Choices
from scenarios.simulation.cold_start import cold_start
from scenarios.simulation.fault_injector import FaultInjector
from scenarios.simulation.incremental import IncrementalHistory
from scenarios.simulation.mapping import ConsumerEnvironment, Environment, SimulatedMapping
from scenarios.simulation.mapping import Setup as MappingSetup
from scenarios.simulation.process import Program, SimulatedProcess
from scenarios.simulation.random_faults import RandomFault, Role
from scenarios.simulation.scheduler import Strand
from scenarios.simulation.tables import TableModel
from scenarios.simulation.world import Names, Setting, World, WorldRecorder
from scenarios.supervisor import Supervisor, ended_as_told
from services.batches import MAX_ENTRIES
from services.classes import load_class
from services.consumer.assumptions import ALL, Assumption
from services.consumer.consumer import Consumer
from services.consumer.lambda_handler import HandlerOptions, LambdaConsumer, make_consumer
from services.consumer.options import ConsumerOptions
from services.consumer.patterns import Pattern
from services.errors import ConfigurationError
from services.faults import LASTING, Fault
from services.operations import (
    Delete,
    ListObjects,
    Operation,
    OutgoingMessage,
    Receive,
    RemoveObject,
    Sleep,
    Task,
    not_a_task,
)
from services.producer.large_payload import LargePayloadProducer
from services.producer.messages import plan_messages
from services.producer.producer import Producer, SendReport
from services.references import object_key

#: Seconds from the start of a process to its first operation, as the source of choices picks.
START_UP = (0.2, 0.2, 0.25, 0.3, 0.4, 0.6, 0.8, 1.0)
#: Seconds after which a process that a random fault ended is started again.
RESTART_AFTER = 0.5
#: In so many lives a process meets random faults of its own; it is spared in all later ones.
MOST_LIVES_STRUCK = 10
#: Seconds in which a consumer finishes what it has in hand, and a producer has sent what it was told to.
STOP_DEADLINE = 60.0
PRODUCER_DEADLINE = 120.0
#: How often a message is tried at most while the scenario has every side effect fail: by a consumer that backs off.
TRIES_IN_AN_OUTAGE = 4

#: A program may sleep for longer than a scenario of ours waits: a deadline is so many times as long for it.
PATIENCE = 4.0

#: A consumer's options, as its scenario sets them.
Settings: TypeAlias = Mapping[str, Any]
Service = TypeVar("Service", Consumer, Producer)


class RandomFaults(Protocol):
    """Says what is to go wrong with a process beyond its story."""

    def of(self, role: Role, name: str) -> Sequence[RandomFault]:
        """Return the random faults of a process that is about to start."""


class NoFaults:
    """Nothing goes wrong but what the scenario asks for."""

    def of(self, role: Role, name: str) -> Sequence[RandomFault]:  # noqa: ARG002 - whoever it is
        """Return none."""
        return ()


class Programs(Protocol):
    """The consumers of one history that are programs of any make."""

    @property
    def follows(self) -> Sequence[str]:
        """The patterns that they declare."""

    def consumer(self, world: World, name: str, faults: Sequence[Fault], settings: Settings) -> SimulatedProcess:
        """Return a consumer that is about to start."""

    @property
    def logs(self) -> Mapping[str, Sequence[str]]:
        """The last lines that they printed, by process."""

    def close(self) -> None:
        """Leave no process behind."""


class Handlers(Protocol):
    """The consumers of one history that are Lambda handlers of a user's own."""

    def environments(
        self, world: World, name: str, settings: Settings, *, timeout: int, memory: int, seed: int
    ) -> Callable[[int], Environment]:
        """Return what makes the execution environments of a function, each by its number.

        Args:
            world: what is outside.
            name: the consumer's name in the history.
            settings: its own options.
            timeout: of the function, in seconds.
            memory: of the function, in MB.
            seed: where its chance comes from.
        """

    def close(self) -> None:
        """Leave nothing behind."""


@dataclass(frozen=True, slots=True)
class Cut:
    """What is left out of a story, to see whether a violation needs it.

    Attributes:
        messages: messages that are not sent, by their place in the order of all that producers plan, from 0.
        idle: the names of consumers that do nothing but wait for their end.
    """

    messages: frozenset[int] = frozenset()
    idle: frozenset[str] = frozenset()


NOTHING = Cut()


@dataclass(frozen=True, slots=True)
class Staging:
    """What a simulation is made of.

    Attributes:
        scenario: the name that the run bears.
        consumer: the class of the consumers.
        producer: the class of the producers.
        tables: the status table and the ledger.
        delivery: how a standard queue delivers.
        business_field: the payload field by which a side effect is known, empty for the message's own id.
        random_faults: what goes wrong beyond the story.
        purge_seconds: within how many seconds a purge is complete.
        delay_budget: for how many seconds random faults may hold the scenario up in all.
        gives_back: the scenario asks a consumer to end that holds messages, and they go back.
        assumes: what random faults keep to.
        cut: what is left out of the scenario.
        function: how a consumer that is a Lambda function is set up; None for one that polls.
        programs: the consumers, where they are programs; None for ``consumer``.
        handlers: the functions' environments, where their handler is a user's own; None for ``consumer``.
        leases_items: the consumer is known to write items with a condition, which may be leases.
        staleness: how often an answer that may be stale is stale, in percent.
    """

    scenario: str
    parameters: Parameters
    seed: int
    naive: bool
    queue: QueueInfo
    names: Names
    consumer: type[Consumer]
    delivery: DeliveryRates
    random_faults: RandomFaults
    producer: type[Producer] = Producer
    tables: type[TableModel] = TableModel
    business_field: str = ""
    purge_seconds: float = 0.0
    delay_budget: float = inf
    gives_back: bool = False
    assumes: frozenset[Assumption] = ALL
    cut: Cut = NOTHING
    function: FunctionSettings | None = None
    programs: Programs | None = None
    handlers: Handlers | None = None
    leases_items: bool = False
    staleness: int = 0


class SimulatedLab:
    """A lab (see :class:`scenarios.lab.Lab`) in virtual time.

    Attributes:
        choices: where all that is left open is decided.
        world: what is outside of the producers and consumers.
    """

    def __init__(self, staging: Staging, choices: Choices) -> None:
        from infra.localaws.sqs.rates import DeliveryRates as Rates  # noqa: PLC0415 - two of a name, one a layer

        self._staging = staging
        self.choices = choices
        delivery = staging.delivery
        # The worst that SQS may do with an old receipt handle: the delete succeeds, and the message stays.
        rates = Rates(delivery.reorder, delivery.duplicate, delivery.underfill, stale_delete=1.0)
        setting = Setting(staging.queue, staging.names, rates, staging.tables, staging.purge_seconds)
        self.world = World(setting, choices, staging.seed)
        self.world.business_field = staging.business_field
        self.world.assumes = staging.assumes
        self.world.staleness = staging.staleness
        self.world.leases_items = staging.leases_items
        if Assumption.BOUNDED_DELAY in staging.assumes:
            self.world.delay_budget = staging.delay_budget
        self._scheduler = self.world.scheduler
        self._recorder = WorldRecorder(self.world, LAB)
        self._processes: dict[str, SimulatedProcess] = {}
        #: By the name under which a scenario knows a consumer: the one that does its work now.
        self._incarnations: dict[str, SimulatedProcess] = {}
        #: Likewise for producers.
        self._senders: dict[str, SimulatedProcess] = {}
        self._mappings: dict[str, SimulatedMapping] = {}
        self._mapping_events = MappingEvents(staging.names.queue)
        self._dismissed: set[str] = set()
        self._supervisor = Supervisor()
        #: How often each process was started, by the name under which the scenario knows it.
        self._lives: Counter[str] = Counter()
        #: The consumers to which the scenario gave a message limit, by the name under which it knows them.
        self._limited: set[str] = set()
        self._planned = 0
        self._gives_back_yet = staging.gives_back
        self._stack_resources = WorldRecorder(self.world, f"{LAB}-dead-letters", staging.names.dead_letter_queue)
        self._acting: dict[str, WorldRecorder] = {}
        self._dead_letters: list[str] = []
        self._growing = IncrementalHistory(self.world.records)

    @property
    def parameters(self) -> Parameters:
        """See :class:`scenarios.lab.Lab`."""
        return self._staging.parameters

    @property
    def seed(self) -> int:
        """See :class:`scenarios.lab.Lab`."""
        return self._staging.seed

    @property
    def naive(self) -> bool:
        """See :class:`scenarios.lab.Lab`."""
        return self._staging.naive

    @property
    def queue(self) -> QueueInfo:
        """See :class:`scenarios.lab.Lab`."""
        return self._staging.queue

    @property
    def history(self) -> History:
        """See :class:`scenarios.lab.Lab`."""
        return self._growing.grown()

    # --- the beginning and the end -----------------------------------------------------------------------------------

    def open(self) -> None:
        """Say in the history under what conditions the run begins."""
        staging = self._staging
        self._recorder.event(
            "run",
            scenario=staging.scenario,
            seed=staging.seed,
            naive=staging.naive,
            queue=staging.names.queue,
            dead_letter_queue=staging.names.dead_letter_queue,
            fifo=staging.queue.fifo,
            visibility_timeout=staging.queue.visibility_timeout,
            max_receive_count=staging.queue.max_receive_count,
            business_field=staging.business_field,
            parameters=asdict(staging.parameters),
            **self._declared(),
        )

    def _declared(self) -> Mapping[str, Any]:
        """Return what the run's event says of the consumer."""
        staging = self._staging
        if staging.handlers:
            # The poller is AWS's: what it makes of a batch of deletes is no promise of the handler's.
            return {"program": True, "follows": [Pattern.BUSINESS_KEY]}
        return _declared_by(staging.programs) or declared(staging.consumer, staging.assumes)

    def finish(self) -> History:
        """End what still runs, read what is left in the dead-letter queue and the ledger, and return the history."""
        try:
            self.stop()
        except DeadlineMissed:
            for process in self._running():
                process.kill()
            for mapping in self._mappings.values():
                mapping.kill()
        self._scheduler.run_until(_never, self.world.late_until)
        self.collect_dead_letters()
        self._recorder.event("ledger", executions=dict(self.world.tables.executions))
        if self.world.tables.states:
            self._recorder.event("states", versions=dict(self.world.tables.states))
        if self.world.objects.in_use:
            self._recorder.event("payloads", keys=sorted(self.world.objects.objects))
        for process in self._processes.values():
            process.close()
        for mapping in self._mappings.values():
            mapping.close()
        return self.history

    def close(self) -> None:
        """Let go of the world and its processes: they know each other, and would all wait for a collector."""
        for process in self._processes.values():
            process.__dict__.clear()
        for mapping in self._mappings.values():
            mapping.__dict__.clear()
        self.world.close()
        self.__dict__.clear()

    # --- what a scenario does ----------------------------------------------------------------------------------------

    def produce(self, **options: Any) -> tuple[SentMessage, ...]:
        """See :class:`scenarios.lab.Lab`."""
        producer = self.start_producer(**options)
        given = checked_options(options, self.parameters.count)
        return self._sent_by(producer, PRODUCER_DEADLINE + sending_seconds(given))

    def start_producer(
        self, name: str | None = None, *, faults: Sequence[Fault] = (), **options: Any
    ) -> ProducerHandle:
        """See :class:`scenarios.lab.Lab`."""
        name = self._new_name(name or "producer")
        seed = self.seed if name == "producer" else self._seed_of(name)
        given = checked_options(options, self.parameters.count)
        planned = plan_messages(given.plan(fifo=self.queue.fifo), Random(seed))  # noqa: S311 - chance in a lab must be reproducible, not secret
        messages = self._without_cut(planned)
        kind: Callable[..., Producer] = self._staging.producer
        if given.payload_bytes:
            kind = partial(LargePayloadProducer, payload_bytes=given.payload_bytes)
        how = (given.batch_size, given.rate, given.purge_wait, given.timestamp_field)
        self._start_sending(name, name, lambda: kind(messages, *how), faults)
        return ProducerHandle(name)

    def send(self, messages: Sequence[OutgoingMessage], batch_size: int = MAX_ENTRIES) -> tuple[SentMessage, ...]:
        """Run a producer that sends just these messages; only this tier can."""
        name = self._new_name("producer")
        sent = self._without_cut(messages)
        self._start_sending(name, name, lambda: self._staging.producer(sent, batch_size, 0.0))
        return self._sent_by(ProducerHandle(name), PRODUCER_DEADLINE)

    def _without_cut(self, messages: Sequence[OutgoingMessage]) -> Sequence[OutgoingMessage]:
        """Leave out the messages that the story is to do without."""
        first, left_out = self._planned, self._staging.cut.messages
        self._planned += len(messages)
        if not left_out:
            return messages
        return tuple(message for number, message in enumerate(messages, first) if number not in left_out)

    def _start_sending(
        self,
        known_as: str,
        name: str,
        make: Callable[[], Producer],
        faults: Sequence[Fault] = (),
        after: float = 0.0,
    ) -> None:
        """Start a producer after so many seconds, for the first time or again."""
        process = SimulatedProcess(self.world, name, is_consumer=False, faults=faults)
        producer = make()
        self._senders[known_as] = process

        def start_again() -> None:
            self._start_sending(known_as, process.successor, make, process.story_faults, RESTART_AFTER)

        process.known_as, process.start_again = known_as, start_again
        program = Program(producer.run(), (), producer.stop, _producer_exit_code)
        role: Role = "stateful producer" if producer.keeps_state else "producer"
        self._start(known_as, process, program, role, after)

    def _sent_by(self, producer: ProducerHandle, deadline: float) -> tuple[SentMessage, ...]:
        self._run_until(lambda: self._senders[producer.name].exit_code is not None, deadline, f"{producer.name} to end")
        return tuple(message for message in self.history.sends if message.call.process == producer.name)

    def start_consumer(
        self, name: str | None = None, *, faults: Sequence[Fault] = (), **settings: Any
    ) -> ConsumerHandle:
        """See :class:`scenarios.lab.Lab`."""
        settings = checked_settings(settings)
        handle = ConsumerHandle(self._new_name(name or "consumer"))
        if self._staging.function is not None:
            self._start_mapping(handle.name, (*faults, *_delay(settings)), settings)
            return handle
        world, timeout = self.world, self.queue.visibility_timeout
        if long := long_lease(settings, timeout):
            world.longest_lease = max(world.longest_lease, long["seconds"])
            self._recorder.event(LONG_LEASE, consumer=handle.name, **long)
        if settings.get("message_limit"):
            self._limited.add(handle.name)
        self._start_incarnation(handle.name, handle.name, (*faults, *_delay(settings)), settings)
        return handle

    def stop(self, *consumers: ConsumerHandle) -> None:
        """See :class:`scenarios.lab.Lab`."""
        names = [consumer.name for consumer in consumers] or [*self._incarnations, *self._mappings]
        self._dismissed.update(names)
        mappings = [self._mappings[name] for name in names if name in self._mappings]
        for mapping in mappings:
            mapping.stop()
        processes = [self._incarnations[name] for name in names if name in self._incarnations]
        if not consumers:
            processes += [process for process in self._running() if not process.is_consumer]
        for process in processes:
            process.signal()
        self._run_until(
            lambda: not any(process.runs for process in processes) and not any(mapping.runs for mapping in mappings),
            STOP_DEADLINE,
            f"{', '.join(names)} to end",
        )

    def ask_to_end(self, *consumers: ConsumerHandle) -> None:
        """See :class:`scenarios.lab.Lab`."""
        self._dismissed.update(consumer.name for consumer in consumers)
        self._gives_back_yet = False
        for consumer in consumers:
            process = self._incarnations[consumer.name]
            self._recorder.event(ASKED_TO_END, asked=process.name, heard_within=0.0)
            process.signal()

    def wait_for(self, condition: Callable[[History], bool], *, deadline: float, what: str) -> None:
        """See :class:`scenarios.lab.Lab`."""
        growing = self._growing
        if condition(growing.grown()):
            return
        self._run_until(lambda: growing.has_news() and condition(growing.grown()), deadline, what)

    def watch(self, look: Callable[[History, float], bool], *, every: float, deadline: float, what: str) -> None:
        """See :class:`scenarios.lab.Lab`."""
        world, scheduler = self.world, self._scheduler
        end = scheduler.now + self._delay_budget(deadline)
        while not look(self.history, scheduler.now):
            if scheduler.now >= end + world.time_lost:
                raise DeadlineMissed(f"Timed out after {deadline:.0f} s waiting for {what}.")
            scheduler.run_until(_never, scheduler.now + every)

    def pass_time(self, seconds: float) -> None:
        """Let so many seconds pass, whatever happens in them."""
        self._scheduler.run_until(_never, self._scheduler.now + seconds)

    def note(self, event: str, **details: Any) -> None:
        """See :class:`scenarios.lab.Lab`."""
        self._recorder.event(event, **details)

    def remove_payload(self, message: SentMessage) -> None:
        """See :class:`scenarios.lab.Lab`."""
        self._act(REMOVER, RemoveObject(object_key(message.key)))

    def sweep_payloads(self) -> tuple[str, ...]:
        """See :class:`scenarios.lab.Lab`."""
        keys: tuple[str, ...] = self._act(SWEEPER, ListObjects())
        for key in keys:
            self._act(SWEEPER, RemoveObject(key))
        return keys

    def _act(self, name: str, operation: Operation) -> Any:
        """Perform an operation of the lab's own, into the history."""
        recorder = self._acting.get(name)
        if recorder is None:
            recorder = self._acting[name] = WorldRecorder(self.world, name, self._staging.names.queue)
        invocation = recorder.invoke(operation)
        result = self.world.perform(operation, self._scheduler.time)
        recorder.ok(invocation, operation, result)
        return result

    def settle(self, *, deadline: float, leave_dead_letters: bool = False) -> None:  # noqa: ARG002 - the world tells
        """See :class:`scenarios.lab.Lab`."""
        what = "every message to be deleted or dead-lettered"
        world = self.world
        self._run_until(lambda: not world.unsettled, deadline, what)

    def redrive(self, *, deadline: float) -> int:
        """See :class:`scenarios.lab.Lab`."""
        task = self.world.start_redrive()
        self._run_until(lambda: not task.is_active, deadline, "what was dead-lettered to be moved back")
        return redriven(self._recorder, task.status.value, task.moved, task.failure)

    def collect_dead_letters(self) -> tuple[str, ...]:
        """See :class:`scenarios.lab.Lab`."""
        while True:
            receive = Receive(MAX_ENTRIES, 0)
            invocation = self._stack_resources.invoke(receive)
            messages = self.world.receive_dead_letters(receive)
            self._stack_resources.ok(invocation, receive, messages)
            if not messages:
                return tuple(self._dead_letters)
            self._dead_letters += [message.message_id for message in messages]
            delete = Delete(messages)
            invocation = self._stack_resources.invoke(delete)
            self._stack_resources.ok(invocation, delete, self.world.delete_dead_letters(delete))

    # --- processes ---------------------------------------------------------------------------------------------------

    def consumers(self) -> Iterable[SimulatedProcess]:
        """Return the consumers that run; see :class:`scenarios.simulation.fault_injector.Surroundings`."""
        return [process for process in self._incarnations.values() if process.runs]

    def scripted_costs(self) -> int:
        """Return what the scenario itself may still cost a message; see ``strikes.Surroundings``."""
        timeout = self.queue.visibility_timeout
        # Who was ended comes back, and what its scenario holds for it comes with it.
        to_come = [process for process in self._incarnations.values() if process.runs or process.killed_by_a_fault]
        faults = sum(_receives(fault, timeout) for process in to_come for fault in process.story_faults)
        return faults + int(self._gives_back_yet)

    def is_sending(self) -> bool:
        """Return whether a producer runs; see :class:`scenarios.simulation.fault_injector.Surroundings`."""
        return any(process.runs for process in self._senders.values())

    def outage(self, seconds: float) -> None:
        """End every consumer that runs; see :class:`scenarios.simulation.fault_injector.Surroundings`."""
        for process in self.consumers():
            process.killed_by_a_fault = True
            process.restart_after = seconds
            process.kill()

    def _running(self) -> list[SimulatedProcess]:
        return [process for process in self._processes.values() if process.runs]

    def _start(
        self, known_as: str, process: SimulatedProcess, program: Program, role: Role, after: float = 0.0
    ) -> None:
        self._processes[process.name] = process
        process.on_end = self._note_exit
        self._lives[known_as] += 1
        # What is struck in each of its lives, and early, never gets to anything, and puts off the deadline each time.
        spared = self._lives[known_as] > MOST_LIVES_STRUCK
        random_faults = () if spared else self._staging.random_faults.of(role, process.name)
        # A lasting fault of the world strikes also who has none of its own.
        calm = isinstance(self._staging.random_faults, NoFaults)
        injector = None if calm else FaultInjector(random_faults, self)
        process.start(program, self._scheduler.now + after + self.choices.pick(START_UP), injector)

    def _start_incarnation(self, known_as: str, name: str, faults: Sequence[Fault], settings: Settings) -> None:
        """Start a consumer, for the first time or again."""
        if self._staging.programs is not None and known_as not in self._staging.cut.idle:
            self._start_program(known_as, name, faults, settings)
            return
        process = SimulatedProcess(self.world, name, is_consumer=True, faults=faults)
        kind = cold_start(self._staging.consumer)
        try:
            consumer = kind(consumer_options(f"{name}-{self.seed:x}", settings))
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a class of the user's own may do anything
            raise ServiceFailedError(f"{kind.__module__}:{kind.__qualname__} cannot be made: {error!r}.") from error
        beats = bool(consumer.options.heartbeat_seconds) or kind.heartbeat is not Consumer.heartbeat
        beside = (consumer.heartbeat(),) if beats else ()
        main = _idle() if known_as in self._staging.cut.idle else consumer.poll()
        if not isinstance(main, Generator):
            raise RequestError(not_a_task(consumer, "poll", main))
        program = Program(main, beside, consumer.stop, heartbeat_seconds=consumer.options.heartbeat_seconds)
        self._incarnations[known_as] = process
        process.start_again = lambda: self._start_again(known_as, process, settings)
        self._start(known_as, process, program, "consumer")

    def _start_mapping(self, name: str, faults: Sequence[Fault], settings: Settings) -> None:
        """Start a consumer that is a function at an event source mapping."""
        function = self._staging.function
        assert function is not None  # noqa: S101 - as its caller has seen
        limit = settings.get("message_limit", 0)
        if self._staging.handlers is not None:
            # A consumer that is to die receives no more than its death needs: its mapping survives the function.
            deaths = [fault.nth for fault in faults if fault.kind == "crash" and not fault.where]
            limit = limit or max(deaths, default=0)
        setup = MappingSetup(
            name,
            function,
            settings.get("max_messages", 1),
            limit,
            self._environments(name, function, settings),
            faults,
            self._staging.random_faults.of("consumer", name),
            self._seed_of(name),
        )
        mapping = self._mappings[name] = SimulatedMapping(self.world, setup, self._mapping_events)
        mapping.on_end = self._note_mapping_end
        mapping.start(self._scheduler.now + self.choices.pick(START_UP))

    def _note_mapping_end(self, mapping: SimulatedMapping) -> None:
        """Say how a mapping has ended: where a crash of the scenario's own struck its function, as SIGKILL would."""
        crashed = any(
            fault.process == mapping.name for fault in self.history.faults if fault.kind == "crash" and fault.planned
        )
        killed = crashed and self._staging.handlers is not None and mapping.name not in self._dismissed
        self._recorder.event("exited", exited=mapping.name, code=-SIGKILL if killed else mapping.exit_code)

    def _environments(self, name: str, function: FunctionSettings, settings: Settings) -> Callable[[int], Environment]:
        """Return what makes a function's environments."""
        kind = self._staging.consumer
        if self._staging.handlers is not None:
            own = {option: value for option, value in settings.items() if option not in _OF_MAPPING}
            timeout = function.timeout_at(self.queue.visibility_timeout)
            return self._staging.handlers.environments(
                self.world, name, own, timeout=timeout, memory=function.memory, seed=self._seed_of(name)
            )
        if not issubclass(kind, LambdaConsumer):
            raise RequestError(
                f"The consumer of {self._staging.scenario} is a Lambda function; {kind.__module__}:{kind.__qualname__} "
                "is no services.consumer.lambda_handler:LambdaConsumer."
            )
        options = {option: value for option, value in settings.items() if option in _HANDLER_OPTIONS}

        def make(number: int) -> Environment:
            made = HandlerOptions(f"{name}-{number}-{self.seed:x}", **options)
            return ConsumerEnvironment(make_consumer(made, cold_start(kind)))

        return make

    def _start_program(self, known_as: str, name: str, faults: Sequence[Fault], settings: Settings) -> None:
        """Start a program, for the first time or again."""
        assert self._staging.programs is not None  # noqa: S101 - as its caller has seen
        process = self._staging.programs.consumer(self.world, name, faults, settings)
        self._incarnations[known_as] = process
        process.start_again = lambda: self._start_again(known_as, process, settings)
        heartbeat = settings.get("heartbeat_seconds", 0.0)
        program = Program(_idle(), (), _do_nothing, heartbeat_seconds=heartbeat)
        self._start(known_as, process, program, "consumer")

    def _start_again(self, known_as: str, before: SimulatedProcess, settings: Settings) -> None:
        def come_back() -> Strand:
            # The time of the wake-up has come; a consumer that was dismissed meanwhile stays away.
            if known_as not in self._dismissed:
                self._start_incarnation(known_as, self._new_name(known_as), before.story_faults, settings)
            yield None

        self._scheduler.start(come_back(), self._scheduler.now + max(RESTART_AFTER, before.restart_after))

    def _note_exit(self, process: SimulatedProcess) -> None:
        said: dict[str, Any] = {"exited": process.name, "code": process.exit_code}
        if process.killed_by_a_fault and process.known_as:
            said["successor"] = process.successor = self._new_name(process.known_as)
        if process.exit_message:
            said["why"] = process.exit_message
        if process.exit_place:
            said["place"] = process.exit_place
        self._recorder.event("exited", **said)
        if process.killed_by_a_fault:
            process.start_again()
        elif process.is_consumer:
            self._supervise(process)
        elif process.exit_message or process.exit_code not in (0, -SIGKILL):
            why = process.exit_message or "it could not send everything"
            raise ServiceFailedError(f"{process.name} ended with exit code {process.exit_code}: {why}")

    def _supervise(self, process: SimulatedProcess) -> None:
        """Start a consumer again that ended by itself; see :mod:`scenarios.supervisor`."""
        known_as = next(name for name, current in self._incarnations.items() if current is process)
        has_limit = known_as in self._limited and not process.respawns
        told = known_as in self._dismissed or ended_as_told(process.exit_code or 0, has_limit=has_limit)
        if told or process.exit_code == -SIGKILL:
            return
        process.restart_after = self._supervisor.restart_after(known_as, received=process.has_received)
        # While something lasting goes on, a deadline makes up for as many restarts as it takes.
        if self._supervisor.is_hopeful(known_as) or self.world.lasting.will_pass or process.lasting:
            self.world.lose(process.restart_after + self.queue.visibility_timeout)
        process.start_again()

    def _run_until(self, condition: Callable[[], bool], deadline: float, what: str) -> None:
        world, scheduler = self.world, self._scheduler
        end = scheduler.now + self._delay_budget(deadline)
        # What was deleted for good comes to no end, however long a consumer goes on to ask.
        patience = GIVEN_UP * world.info.visibility_timeout

        met = False

        def is_over() -> bool:
            nonlocal met
            met = condition()
            return met or scheduler.now > world.deleted_at + patience

        over = False
        while not over and scheduler.now < end + world.time_lost:
            over = scheduler.run_until(is_over, end + world.time_lost)
        if not met:
            raise DeadlineMissed(f"Timed out after {deadline:.0f} s waiting for {what}.")

    def _delay_budget(self, deadline: float) -> float:
        """Return how long to wait, less the time that is lost by now.

        A deadline is the scenario's own. The time that random faults take is added, also of faults that began
        before the wait and are not over, such as consumers that are away for a while.
        """
        world = self.world
        if self._staging.programs is not None:
            deadline *= PATIENCE
        return deadline - world.time_lost + max(0.0, world.held_up_until - world.scheduler.now)

    def _new_name(self, wanted: str) -> str:
        number = 1
        name = f"{wanted}-1" if wanted == "consumer" else wanted
        while name in self._processes or name in self._mappings:
            number += 1
            name = f"{wanted}-{number}"
        return name

    def _seed_of(self, name: str) -> int:
        """Return a process's own seed, which follows from the run's seed and the process's name."""
        digest = hashlib.blake2b(f"{self.seed}:{name}".encode(), digest_size=4).digest()
        return int.from_bytes(digest, "big")


def _receives(fault: Fault, timeout: float) -> int:
    """Return how many receives a fault of the scenario may cost a message."""
    if fault.kind == "error" and not fault.nth:
        return TRIES_IN_AN_OUTAGE
    if fault.kind in LASTING:
        return int(fault.seconds / timeout) + 1
    if fault.kind != "delay":
        return 1
    # Work that outlives its delivery is found in hand meanwhile, and its delete comes with a stale receipt handle.
    return int(fault.seconds / timeout) + 1 if fault.seconds >= timeout else 0


def _producer_exit_code(report: SendReport) -> int:
    return 0 if report.unsent == 0 else 1


def _declared_by(programs: Programs | None) -> dict[str, Any]:
    """Return what a run's event says of consumers that are programs; nothing where they are none."""
    return {} if programs is None else {"program": True, "follows": sorted(programs.follows)}


def _idle() -> Task[int]:
    """Wait for a request to end."""
    yield Sleep(inf)
    return 0


def consumer_options(owner: str, settings: Settings) -> ConsumerOptions:
    """Return the options that a consumer has with these settings."""
    known = ConsumerOptions.model_fields
    given = {name: value for name, value in settings.items() if name in known}
    return ConsumerOptions(owner=owner, **{"wait_time_seconds": WAIT_TIME_SECONDS, **given})


def _delay(settings: Settings) -> tuple[Fault, ...]:
    seconds = settings.get("side_effect_delay_seconds", 0.0)
    return (Fault("delay", "PerformSideEffect", nth=0, seconds=seconds),) if seconds else ()


@cache
def consumer_class(spec: str) -> type[Consumer]:
    """Return the class that ``module:Class`` names, our own for an empty name.

    Raises:
        RequestError: there is no such class, or it is no consumer.
    """
    return _class(spec, Consumer, "consumer")


@cache
def producer_class(spec: str) -> type[Producer]:
    """Return the class that ``module:Class`` names, our own for an empty name.

    Raises:
        RequestError: there is no such class, or it is no producer.
    """
    return _class(spec, Producer, "producer")


def _class(spec: str, base: type[Service], what: str) -> type[Service]:
    if not spec:
        return base
    try:
        with redirect_stdout(sys.stderr):  # so that what its module prints is not taken for our output
            return load_class(spec, base, f"The {what} {spec!r}")
    except ConfigurationError as error:
        raise RequestError(str(error)) from None


#: The consumer's options that a handler has as well.
_HANDLER_OPTIONS = frozenset(item.name for item in fields(HandlerOptions)) - {"owner"}
#: Those that are its mapping's, or the lab's.
_OF_MAPPING = frozenset({"max_messages", "message_limit", "side_effect_delay_seconds"})


def _do_nothing() -> None:
    """Ask nobody to end: a program is sent a signal."""


def _never() -> bool:
    return False
