"""The local lab: real producers and consumers as subprocesses, each with its own history file and log.

Everything it learns, it learns from the files that the processes append to and from how they end; it looks at both
every few milliseconds. Its own acts (exits seen, the ledger read, dead letters received) go into files like theirs.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property, partial
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infra.stack import endpoint
from infra.stack.paths import stack_paths
from scenarios.checks.functions import OF_MAPPING, Function
from scenarios.checks.program_config import ProgramConfig
from scenarios.errors import DeadlineMissed, LabError, ServiceFailedError, UnsuitableError
from scenarios.history import ENDPOINT, LAB, History, Record, SentMessage
from scenarios.history.events import ASKED_TO_END, LONG_LEASE, REDRIVING
from scenarios.history.files import HistoryTail, TailedFile
from scenarios.lab import (
    GIVEN_UP,
    SIGNAL_SECONDS,
    ConsumerHandle,
    ProducerHandle,
    QueueInfo,
    checked_options,
    checked_settings,
    declared,
    has_ended,
    has_started,
    long_lease,
    redriven,
    sending_seconds,
)
from scenarios.local.environment import as_options, as_variables, service_environment
from scenarios.local.foreign_queue import Emptied
from scenarios.local.functions import Functions
from scenarios.local.functions import Start as FunctionStart
from scenarios.local.logs import last_lines
from scenarios.local.observer import Observer
from scenarios.local.processes import Command, Processes
from scenarios.local.programs import STARTUP_TIMEOUT, Programs, Start
from scenarios.local.spawner import Spawner
from scenarios.local.stack_resources import StackResources
from scenarios.local.supervision import Supervision
from scenarios.local.timing import Timing
from scenarios.local.waits import WaitWatch
from scenarios.model import Scenario
from scenarios.parameters import Parameters
from services.classes import load_class
from services.common.waits import waits_of
from services.consumer.consumer import Consumer
from services.consumer.patterns import Pattern
from services.errors import ConfigurationError, MachineError
from services.faults import DELETED, Fault
from services.history import Recorder, append_to
from services.operations import Message

if TYPE_CHECKING:
    from infra.stack.stacks import ScenarioResources, Stack

#: Seconds between two looks at the processes and their files.
LOOK_EVERY = 0.015
#: Seconds between two looks at a queue and a dead-letter queue that do not tell by themselves what happens in them.
LOOK_AT_QUEUE_EVERY = 0.5
#: Seconds until the counts of a queue on AWS are true, once nothing is sent any more.
#: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_GetQueueAttributes.html
COUNTS_SETTLE = 60.0
#: Seconds that a producer may take to start, and for each message.
PRODUCER_DEADLINE = (30.0, 0.1)
#: Seconds in which a consumer finishes what it has in hand: a long poll, a batch, and the start of Python itself.
STOP_DEADLINE = 30.0
#: How a program ends that leaves SIGTERM to the system, or to a shell: no clean end, and an end.
ENDED_BY_SIGTERM = (0, -signal.SIGTERM, 128 + signal.SIGTERM)
#: A line that says what went wrong, as Python, Node, Java and others write it.
AN_ERROR = re.compile(r"\s*(error: |[\w.]*(Error|Exception)\b[^()]*: )")
#: Real seconds that a deadline is put off where the lab's clock runs faster: for the work that does not.
SLACK = 20.0


@dataclass(frozen=True, slots=True)
class Setup:
    """What a run is made of.

    Attributes:
        consumer: the class in the place of ours, as ``module:Class``; empty for our own.
        program: the program in the place of ours, and its arguments; empty for a class.
        fresh: the stack was made for this run.
        directory: the run's own.
        spawner: the fork server of its services; None to start each from nothing.
        producer: the class in the place of our producer, as ``module:Class``; empty for our own.
        startup_timeout: real seconds for a program to start, and to ask for its first message.
        config: what the user's configuration file says of the program.
        function: the Lambda handler in the place of ours, and how it is set up; None for a consumer that polls.
        patience: real seconds by which each deadline is put off, for a program that is slower than most.
    """

    scenario: Scenario
    parameters: Parameters
    seed: int
    naive: bool
    consumer: str
    stack: Stack
    resources: ScenarioResources
    fresh: bool
    directory: Path
    spawner: Spawner | None = None
    program: tuple[str, ...] = ()
    producer: str = ""
    startup_timeout: float = STARTUP_TIMEOUT
    config: ProgramConfig = field(default_factory=ProgramConfig)
    function: Function | None = None
    patience: float = 0.0


class SubprocessLab:
    """A lab (see :class:`scenarios.lab.Lab`) of real processes. Close it, and no process is left."""

    def __init__(self, setup: Setup, observer: Observer) -> None:
        self._setup = setup
        self._observer = observer
        self._files = setup.directory / "processes"
        self._environment = service_environment(setup.stack, setup.resources)
        self._processes = Processes(setup.spawner)
        self._programs = (
            Programs(
                setup.program,
                setup.stack,
                setup.resources,
                self._files,
                startup_timeout=setup.startup_timeout,
                config=setup.config,
                seed=setup.seed,
            )
            if setup.program
            else None
        )
        self._functions = (
            Functions(
                setup.function.handler,
                setup.stack,
                setup.resources,
                self._files,
                visibility_timeout=self._visibility_timeout,
                startup_timeout=setup.startup_timeout,
                config=setup.config,
            )
            if setup.function is not None
            else None
        )
        self._names_taken: set[str] = set()
        #: Processes that were killed on purpose, wherever they were.
        self._killed: set[str] = set()
        #: How often each process was asked to end.
        self._asked_to_end: Counter[str] = Counter()
        self._dead_letters: list[str] = []
        sink = append_to(self._files / f"{LAB}.jsonl")
        self._recorder = Recorder(sink, LAB, time.monotonic, wall_clock=time.time)
        self._stack_resources = StackResources(
            setup.stack, setup.resources, append_to(self._files / f"{LAB}-hands.jsonl")
        )
        self._waits = WaitWatch(self._recorder)
        self._tail = HistoryTail(self._files)
        self._supervision = Supervision(self._new_name)
        self._speed = 1.0
        #: What faults are still to delete for good, and when nothing is waited for any more after that.
        self._to_delete: set[str] = set()
        self._given_up_at = inf

    @property
    def parameters(self) -> Parameters:
        """See :class:`scenarios.lab.Lab`."""
        return self._setup.parameters

    @property
    def seed(self) -> int:
        """See :class:`scenarios.lab.Lab`."""
        return self._setup.seed

    @property
    def naive(self) -> bool:
        """See :class:`scenarios.lab.Lab`."""
        return self._setup.naive

    @property
    def queue(self) -> QueueInfo:
        """See :class:`scenarios.lab.Lab`."""
        resources = self._setup.resources
        return QueueInfo(self._visibility_timeout, resources.max_receive_count, resources.fifo)

    @property
    def _visibility_timeout(self) -> float:
        """The queue's visibility timeout in the lab's seconds."""
        return self._setup.resources.visibility_timeout / self._setup.stack.timeout_scale

    @property
    def history(self) -> History:
        """See :class:`scenarios.lab.Lab`."""
        return self._tail.history

    # --- the beginning and the end -----------------------------------------------------------------------------------

    def open(self, *, fifo: bool, bucket: bool = False) -> None:
        """Prepare the stack, and say in the history under what conditions the run begins.

        Raises:
            UnsuitableError: queues or tables are not there, or not what the scenario needs.
        """
        setup, resources = self._setup, self._setup.resources
        self._observer.stage("preparing queues and tables")
        self._stack_resources.check(fifo=fifo, bucket=bucket)
        self._speed = self._stack_resources.speed()
        self._stack_resources.reset(
            setup.seed, setup.scenario.delivery, fresh=setup.fresh, purge_seconds=setup.scenario.purge_seconds
        )
        self._tail = HistoryTail(self._files, self._endpoint_file(), speed=self._speed)
        self._recorder.event(
            "run",
            scenario=setup.scenario.name,
            seed=setup.seed,
            naive=setup.naive,
            queue=resources.queue_name,
            dead_letter_queue=resources.dead_letter_queue_name,
            fifo=resources.fifo,
            visibility_timeout=self._visibility_timeout,
            max_receive_count=resources.max_receive_count,
            speed=self._speed,
            program=bool(setup.program or setup.function),
            parameters=asdict(setup.parameters),
            **_declared(setup),
        )

    def _endpoint_file(self) -> list[TailedFile]:
        path = self._setup.stack.endpoint_history
        if path is None:
            return []
        resources = self._setup.resources
        ours = {resources.queue_name, resources.dead_letter_queue_name}

        functions = self._functions

        def keep(record: Record) -> bool:
            about_ours = record.get("queue") in ours or (functions is not None and functions.events.knows(record))
            return record["process"] == ENDPOINT and about_ours

        def translate(record: Record) -> Sequence[Record]:
            if functions is not None and functions.events.knows(record):
                return functions.events.translate(record)
            return (record,)

        end = path.stat().st_size if path.exists() else 0
        names = {*ours, *((functions.prefix,) if functions is not None else ())}
        return [TailedFile(path, offset=end, keep=keep, names=names, speed=self._speed, translate=translate)]

    def finish(self) -> History:
        """End what still runs, read what is left in queues and ledger, and return the whole history."""
        self._observer.stage("reading the ledger and what is left in the queues")
        try:
            self.stop()
        except DeadlineMissed:
            self._processes.kill()
            self._note_exits()
        self._close_watched()
        self.collect_dead_letters()
        self._look()
        if not self._stack_resources.embedded and self.history.unsettled:
            found, held = self._stack_resources.take_what_is_left(self._is_ours)
            queue = self._setup.resources.queue_name
            self._recorder.event("left-in-queue", queue=queue, message_ids=found, in_flight=held)
        watched = self._programs.executions() if self._programs is not None else None
        executions = self._stack_resources.executions() if watched is None else watched
        self._recorder.event("ledger", executions=executions)
        if self.history.calls("WriteState"):
            self._recorder.event("states", versions=self._stack_resources.versions())
        if self._setup.resources.bucket:
            self._recorder.event("payloads", keys=self._stack_resources.payload_keys())
        self._look()
        self._check_recording()
        return self.history

    def _check_recording(self) -> None:
        """Refuse to judge by a history that the endpoint could not write to its end."""
        stack = self._setup.stack
        fault = endpoint.fault_of(stack.endpoint_url) if stack.endpoint_history and stack.endpoint_url else ""
        if fault:
            raise LabError(f"{fault} Make room, take the stack down and up again, and repeat the run.")

    def close(self) -> None:
        """Kill what still runs, and let the queues deliver as before; safe at any time, more than once."""
        self._processes.kill()
        self._note_exits()
        self._close_watched()
        self._stack_resources.give_back()

    def _close_watched(self) -> None:
        """End what watches consumers that are not ours, and their functions."""
        for watched in (self._programs, self._functions):
            if watched is not None:
                watched.close()

    # --- what a scenario does ----------------------------------------------------------------------------------------

    def produce(self, **options: Any) -> tuple[SentMessage, ...]:
        """See :class:`scenarios.lab.Lab`."""
        producer = self.start_producer(**options)
        given = checked_options(options, self.parameters.count)
        seconds, per_message = PRODUCER_DEADLINE
        deadline = seconds + per_message * given.count + sending_seconds(given)
        self.wait_for(has_ended(producer), deadline=deadline, what=f"{given.count} messages to be sent")
        return tuple(message for message in self.history.sends if message.call.process == producer.name)

    def start_producer(
        self, name: str | None = None, *, faults: Sequence[Fault] = (), **options: Any
    ) -> ProducerHandle:
        """See :class:`scenarios.lab.Lab`."""
        name = self._new_name(name or "producer")
        # The first producer takes the run's own seed: the same seed by hand sends the same messages.
        seed = self.seed if name == "producer" else self._seed_of(name)
        given = checked_options(options, self.parameters.count)
        arguments = as_options({**self._timing.options(given.model_dump(exclude_unset=True)), "seed": seed})
        variables = {
            "SEED": str(seed),
            "FAULTS": json.dumps([fault.as_json() for fault in self._timing.faults(faults)]),
            **({"PRODUCER": self._setup.producer} if self._setup.producer else {}),
        }
        self._start(name, ["-m", "services.producer", *arguments], variables)
        return ProducerHandle(name)

    def start_consumer(
        self, name: str | None = None, *, faults: Sequence[Fault] = (), **settings: Any
    ) -> ConsumerHandle:
        """See :class:`scenarios.lab.Lab`."""
        settings = checked_settings(settings)
        name = self._new_name(name or "consumer")
        self._observer.stage(f"starting {name}")
        if long := long_lease(settings, self._visibility_timeout):
            self._recorder.event(LONG_LEASE, consumer=name, **long)
        timing = self._timing
        self._expect_deletion(faults)
        if self._functions is not None:
            self._functions.start(self._function_start(name, faults, settings), self._environment)
            return ConsumerHandle(name)
        begin = partial(self._begin_consumer, timing.settings(settings))
        has_limit = bool(settings.get("message_limit"))
        self._supervision.start(name, timing.faults(faults), begin, has_limit=has_limit)
        return ConsumerHandle(name)

    def _expect_deletion(self, faults: Sequence[Fault]) -> None:
        """Be ready to delete what a fault deletes.

        Raises:
            UnsuitableError: it cannot be made again after the run.
        """
        reaches = {fault.reach for fault in faults if fault.kind == DELETED}
        if not reaches:
            return
        if not self._stack_resources.embedded:
            raise UnsuitableError(
                "A queue or table is deleted at the embedded endpoint alone, and the stack "
                f"{self._setup.stack.name} has another one; leave out --stack and --endpoint."
            )
        if "queue" in reaches and self._functions is not None:
            raise UnsuitableError(
                "The queue of a Lambda handler cannot be deleted while its event source mapping polls; let the fault "
                "delete the tables (reach store)."
            )
        self._to_delete |= reaches

    def _delete(self) -> None:
        """Delete what a fault has deleted for one consumer, for all the others as well."""
        struck = {strike.fault["reach"] for strike in self.history.faults if strike.kind == DELETED}
        for reach in struck & self._to_delete:
            self._to_delete.remove(reach)
            self._stack_resources.deletion.delete(reach)
            # No consumer could start again.
            self._supervision.dismiss_all()
            self._given_up_at = time.monotonic() + GIVEN_UP * self._visibility_timeout / self._speed

    def _begin_consumer(self, settings: Mapping[str, Any], name: str, faults: Sequence[Fault]) -> None:
        """Start a consumer of a name, for the first time or again."""
        if self._programs is not None:
            kill = partial(self._processes.kill_one, name)
            start = Start(name, faults, settings, self._seed_of(name), kill)
            self._processes.start(self._programs.prepare(start, self._environment))
            self._programs.began(name)
            return
        variables = {
            "SEED": str(self._seed_of(name)),
            "FAULTS": json.dumps([fault.as_json() for fault in faults]),
            **({"CONSUMER": self._setup.consumer} if self._setup.consumer else {}),
            **as_variables(settings),
        }
        self._start(name, ["-m", "services.consumer"], variables)

    def _function_start(self, name: str, faults: Sequence[Fault], settings: Mapping[str, Any]) -> FunctionStart:
        """Return what is deployed for a consumer: part of its options are the mapping's, by AWS's names."""
        function = self._setup.function
        assert function is not None  # noqa: S101 - who asks has seen to it
        timing = self._timing
        own = dict(timing.settings(settings))
        batch_size, limit = own.pop("max_messages", 1), own.pop("message_limit", 0)
        # A consumer that is to die receives no more than its death needs: its mapping survives the function.
        deaths = [fault.nth for fault in faults if fault.kind == "crash" and not fault.where]
        limit = limit or max(deaths, default=0)
        delay = own.pop("side_effect_delay_seconds", 0.0)
        # What strikes the mapping is timed by the queue's clock, as the function itself is.
        return FunctionStart(
            name,
            [
                fault if fault.operation in OF_MAPPING else real
                for fault, real in zip(faults, timing.faults(faults), strict=True)
            ],
            {**function.variables, **as_variables(own)},
            function.settings.batch_size or batch_size,
            limit,
            function.settings,
            self._seed_of(name),
            delay,
            str(own.get("business_idempotency_field", "")),
        )

    def stop(self, *consumers: ConsumerHandle) -> None:
        """See :class:`scenarios.lab.Lab`."""
        of_functions = self._functions.running if self._functions is not None else ()
        self._dismiss(consumers)
        named = tuple(self._supervision.current(consumer.name) for consumer in consumers)
        names = named or (*self._processes.running, *of_functions)
        if not names:
            return
        self._let_finish(names)
        self._asked_to_end.update(names)
        self._processes.terminate(names)
        if self._functions is not None:
            self._functions.stop(names)
        self.wait_for(
            lambda history: all(name in history.exits for name in names),
            deadline=STOP_DEADLINE,
            what=f"{', '.join(names)} to end",
        )

    def _dismiss(self, consumers: Sequence[ConsumerHandle]) -> None:
        """Let no supervisor start these consumers again; without any, none at all."""
        if consumers:
            self._supervision.dismiss(consumer.name for consumer in consumers)
        else:
            self._supervision.dismiss_all()

    def _let_finish(self, names: Sequence[str]) -> None:
        """Let programs have what a delay held back from them: our own consumer has it in hand by then."""
        programs = self._programs
        if programs is None or not programs.are_at_work(names):
            return
        end = time.monotonic() + STOP_DEADLINE
        while programs.are_at_work([name for name in names if name in self._processes.running]):
            if time.monotonic() > end:
                return
            self._look()
            self._observer.waited()
            time.sleep(LOOK_EVERY)

    def ask_to_end(self, *consumers: ConsumerHandle) -> None:
        """See :class:`scenarios.lab.Lab`."""
        self._supervision.dismiss(consumer.name for consumer in consumers)
        names = tuple(self._supervision.current(consumer.name) for consumer in consumers)
        self._asked_to_end.update(names)
        for name in names:
            self._recorder.event(ASKED_TO_END, asked=name, heard_within=SIGNAL_SECONDS * self._speed)
        self._processes.terminate(names)

    # --- what a soak does beside -------------------------------------------------------------------------------------

    @property
    def running(self) -> tuple[str, ...]:
        """The names of the processes that run, as far as is known."""
        return self._processes.running

    def kill(self, name: str) -> None:
        """Send SIGKILL to a process, wherever it is in its work; its end is no failure then."""
        self._killed.add(name)
        self._recorder.event("killed", killed=name)
        self._processes.kill_one(name)

    def let_pass(self, seconds: float) -> None:
        """Let real seconds pass; notice which processes end, and do not read the history.

        Raises:
            ServiceFailedError: a process ended unasked.
        """
        end = time.monotonic() + seconds
        while True:
            for name, code in self._note_exits():
                self._check_exit(name, code)
            left = end - time.monotonic()
            if left <= 0:
                return
            self._observer.waited()
            time.sleep(min(LOOK_EVERY, left))

    def end_without_endpoint(self, seconds: float) -> tuple[History, Mapping[str, int]]:
        """Ask all to end whose endpoint has died, and return the history, and how each process ended.

        Args:
            seconds: real ones, after which what has not ended is killed.
        """
        self._processes.terminate(self._processes.running)
        end = time.monotonic() + seconds
        codes: dict[str, int] = {}
        while self._processes.running and time.monotonic() < end:
            codes.update(self._note_exits())
            time.sleep(LOOK_EVERY)
        for name in self._processes.running:
            self.kill(name)
        self._processes.kill()
        codes.update(self._note_exits())
        while self._tail.poll():
            pass
        return self.history, codes

    def log_of(self, name: str) -> str:
        """Return what a process has printed."""
        return (self._files / f"{name}.log").read_text(errors="replace")

    def wait_for(self, condition: Callable[[History], bool], *, deadline: float, what: str) -> None:
        """See :class:`scenarios.lab.Lab`."""
        self._observer.stage(f"waiting for {what}")
        end = time.monotonic() + self._real(deadline) - self._supervision.made_up
        grown = True
        while True:
            grown = self._look() or grown
            if grown and condition(self.history):
                return
            grown = False
            if self._is_starting():
                # Only what is ready can be late: how long a program takes to start is its own affair.
                end = time.monotonic() + self._real(deadline) - self._supervision.made_up
            if time.monotonic() > min(end + self._supervision.made_up, self._given_up_at):
                raise DeadlineMissed(f"Timed out after {deadline:g} s waiting for {what}.")
            self._observer.waited()
            time.sleep(LOOK_EVERY)

    def watch(self, look: Callable[[History, float], bool], *, every: float, deadline: float, what: str) -> None:
        """See :class:`scenarios.lab.Lab`."""
        self._observer.stage(f"waiting for {what}")
        end = time.monotonic() + self._real(deadline)
        while True:
            began = time.monotonic()
            self._look()
            if look(self.history, began * self._speed):
                return
            while (left := began + every / self._speed - time.monotonic()) > 0:
                self._look()
                self._observer.waited()
                time.sleep(min(LOOK_EVERY, left))
            if time.monotonic() > end:
                raise DeadlineMissed(f"Timed out after {deadline:g} s waiting for {what}.")

    def note(self, event: str, **details: Any) -> None:
        """See :class:`scenarios.lab.Lab`."""
        self._recorder.event(event, **details)

    def _is_starting(self) -> bool:
        # A deadline makes up for those that start again by itself, or it would never end.
        first = self._supervision.first_of(self._processes.running)
        return self._programs is not None and self._programs.are_starting(first)

    @property
    def _timing(self) -> Timing:
        return Timing(self._speed, self.queue.visibility_timeout)

    def _real(self, deadline: float) -> float:
        """Return a deadline of the lab's in real seconds; no process starts the quicker for a quicker clock."""
        return deadline / self._speed + (SLACK if self._speed > 1 else 0) + self._setup.patience

    def collect_dead_letters(self) -> tuple[str, ...]:
        """See :class:`scenarios.lab.Lab`."""
        self._dead_letters += self._stack_resources.take_dead_letters(self._is_ours)
        return tuple(self._dead_letters)

    def _is_ours(self, message: Message) -> bool:
        """Return whether a process of this run sent a message; a redrive gives it a new MessageId."""
        return message.message_id in self.history.messages or message.body in self.history.attempted_bodies

    def redrive(self, *, deadline: float) -> int:
        """See :class:`scenarios.lab.Lab`."""
        what = "what was dead-lettered to be moved back"
        self._observer.stage(f"waiting for {what}")
        if not self._stack_resources.embedded:
            # From here on a copy of a message, under an id that no send was answered with, is the message itself.
            self._recorder.event(REDRIVING)
        task = self._stack_resources.start_redrive()
        end = time.monotonic() + self._real(deadline)
        while (told := task.told()).running:
            if time.monotonic() > end:
                raise DeadlineMissed(f"Timed out after {deadline:g} s waiting for {what}.")
            self._look()
            self._observer.waited()
            time.sleep(LOOK_EVERY)
        self._look()
        return redriven(self._recorder, told.status, told.moved, told.failure)

    def remove_payload(self, message: SentMessage) -> None:
        """See :class:`scenarios.lab.Lab`."""
        self._stack_resources.remove_payload(message.key)

    def sweep_payloads(self) -> tuple[str, ...]:
        """See :class:`scenarios.lab.Lab`."""
        return self._stack_resources.sweep_payloads()

    def settle(self, *, deadline: float, leave_dead_letters: bool = False) -> None:
        """See :class:`scenarios.lab.Lab`."""
        what = "every message to be deleted or dead-lettered"
        if self._stack_resources.embedded:
            self.wait_for(lambda history: not history.unsettled, deadline=deadline, what=what)
            return
        end = time.monotonic() + self._real(deadline)
        emptied = Emptied(
            self._stack_resources.quiet + (COUNTS_SETTLE if self._setup.stack.endpoint_url is None else 0)
        )
        while not self._settles_within(min(LOOK_AT_QUEUE_EVERY, max(0.0, end - time.monotonic())), what):
            # What no consumer deletes may be dead-lettered, purged or taken by others: then only the queue can tell.
            if emptied.for_long(self._stack_resources.counts().total, time.monotonic()):
                return
            if time.monotonic() > end and not emptied:
                raise DeadlineMissed(f"Timed out after {deadline:g} s waiting for {what}.")
            limit = self.queue.max_receive_count
            unsettled = self.history.unsettled
            if not leave_dead_letters and any(
                len(self.history.deliveries_of.get(it.message_id, ())) >= limit for it in unsettled
            ):
                self.collect_dead_letters()

    def _settles_within(self, seconds: float, what: str) -> bool:
        """Wait some real seconds for the history to know where every message is; return whether it does."""
        try:
            self.wait_for(lambda history: not history.unsettled, deadline=seconds * self._speed, what=what)
        except DeadlineMissed:
            return False
        return True

    # --- processes ---------------------------------------------------------------------------------------------------

    def _start(self, name: str, arguments: Sequence[str], variables: Mapping[str, str]) -> None:
        environment = {
            **self._environment,
            **variables,
            "PROCESS_NAME": name,
            "HISTORY_PATH": str(self._files / f"{name}.jsonl"),
        }
        log = self._files / f"{name}.log"
        command = Command(name, [sys.executable, *arguments], environment, self._setup.directory, log)
        self._processes.start(command)

    def _look(self) -> bool:
        """Take in what is new; return whether there was anything."""
        self._recorder.look_at_clock()
        self._waits.look(self._waits_now, time.monotonic(), self._speed)
        # First who ended, then the files: what a process wrote before its end is then read before its end is known.
        ended = self._note_exits()
        grown = self._tail.poll()
        if grown and self._to_delete:
            self._delete()
        if self._programs is not None:
            done = set(self._programs.look(self._processes.running)) - self._asked_to_end.keys()
            self._asked_to_end.update(done)
            self._processes.terminate(tuple(done))
        if self._functions is not None:
            self._functions.look()
        for name, code in ended:
            self._check_exit(name, code)
        self._supervision.start_due(time.monotonic(), self.history)
        if grown:
            self._observer.grown(self.history)
        return grown

    def _waits_now(self) -> Mapping[str, Mapping[int, float]]:
        """Return who waited for a processor: the run's processes and functions, and what answers them.

        The endpoint starts the functions, and this process the consumers. What one of those waits for is its own
        affair, so the endpoint, and the proxy in this process, count without what they have started.
        """
        waits = {name: waits_of(pid) for name, pid in self._processes.pids.items()}
        waits |= {name: waits_of(pid, alone=True) for name, pid in self._endpoint_pid.items()}
        if self._functions is not None:
            waits |= self._functions.waits_in(self.history)
        if self._programs is not None or self._functions is not None:
            waits[LAB] = waits_of(os.getpid(), alone=True)
        return waits

    @cached_property
    def _endpoint_pid(self) -> Mapping[str, int]:
        if self._setup.stack.endpoint_history is None:
            return {}
        noted = endpoint.read_endpoint(stack_paths(self._setup.stack.name))
        return {} if noted is None else {ENDPOINT: noted.pid}

    def _note_exits(self) -> list[tuple[str, int]]:
        ended = self._processes.ended()
        if self._functions is not None:
            of_functions = self._functions.ended(self.history, tuple(self._asked_to_end))
            for name, _ in of_functions:
                self._functions.stopped(name, requests=self._asked_to_end[name])
            ended += of_functions
        for name, code in ended:
            if self._programs is not None and name in self._programs:
                # What it started and what left its session ends with it.
                self._processes.kill_escaped(*self._programs.mark_of(name))
            if self._programs is not None and name in self._programs and code in ENDED_BY_SIGTERM:
                self._programs.stopped(name, requests=self._asked_to_end[name])
            self._recorder.event("exited", exited=name, code=code)
        return ended

    def _check_exit(self, name: str, code: int) -> None:
        killed_by_fault = code == -signal.SIGKILL and any(
            fault.process == name and fault.kind == "crash" for fault in self.history.faults
        )
        # Until Python has started and the consumer listens to signals, SIGTERM ends it as it ends anything.
        ended_while_starting = (
            code == -signal.SIGTERM
            and name in self._asked_to_end
            and not has_started(ConsumerHandle(name))(self.history)
        )
        is_program = self._programs is not None and name in self._programs
        if is_program and self._programs is not None:
            may_end = name in self._asked_to_end or self._programs.is_done(name)
            fine = (may_end and code in ENDED_BY_SIGTERM) or self._setup.scenario.tolerates_exits
        else:
            may_end = name in self._asked_to_end
            fine = may_end and code == 0
        killed = code == -signal.SIGKILL and name in self._killed
        if fine or killed_by_fault or ended_while_starting or killed or self._given_up_at < inf:
            return
        if not may_end and self._supervision.takes_over(
            name, code, self.history, now=time.monotonic(), speed=self._speed
        ):
            return
        if code == 0 and not is_program:
            return  # a producer that has sent everything, or a consumer that was not ready
        log = self._files / f"{name}.log"
        if code == MachineError.exit_code and self._programs is None:
            raise MachineError(f"{name}: {_exit_message(log)}")
        how = f"exit code {code}" if code >= 0 else signal.Signals(-code).name
        unasked = "" if code else " unasked"
        raise ServiceFailedError(
            f"{name} ended with {how}{unasked}: {_exit_message(log)} (its log: {log})", last_lines(log)
        )

    def _new_name(self, wanted: str) -> str:
        number = 1
        name = f"{wanted}-1" if wanted == "consumer" else wanted
        while name in self._names_taken:
            number += 1
            name = f"{wanted}-{number}"
        self._names_taken.add(name)
        return name

    def _seed_of(self, name: str) -> int:
        """Return a process's own seed, which follows from the run's seed and the process's name."""
        digest = hashlib.blake2b(f"{self.seed}:{name}".encode(), digest_size=4).digest()
        return int.from_bytes(digest, "big")


def _exit_message(log: Path) -> str:
    try:
        lines = log.read_text(errors="replace").strip().splitlines()
    except OSError:
        lines = []
    if not lines:
        return "it said nothing"
    # Some runtimes end with a word on themselves after what went wrong.
    errors = [line for line in lines if AN_ERROR.match(line)]
    return (errors or lines)[-1].strip().removeprefix("error: ")


def _declared(setup: Setup) -> dict[str, list[str]]:
    """Return what the run's event says of the patterns that the consumer declares (see ``scenarios.lab.declared``)."""
    if setup.function is not None:
        # The poller is AWS's: what it makes of a batch of deletes is no promise of the handler's.
        return {"follows": [Pattern.BUSINESS_KEY]}
    if setup.program:
        return {"follows": sorted(setup.config.follows)}
    if not setup.consumer:
        return {}
    try:
        return declared(load_class(setup.consumer, Consumer, "The consumer"))
    except ConfigurationError:
        return {}  # the consumer's own process says so
