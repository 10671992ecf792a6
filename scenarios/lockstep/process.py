"""A simulated process that is a real program: what it asks for are its operations, and it computes in no time.

Each request has a strand of its own. The scheduler decides which goes on and when, faults strike as they strike our own
consumer's operations, and the records are the same. When a strand has answered, the program computes until it is at
rest; what it asks for by then are new strands, at this very moment of virtual time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from signal import SIGTERM
from typing import Any, Final, Protocol, runtime_checkable

from infra.localaws.http import Request as WireRequest
from infra.localaws.http import Response as WireResponse
from infra.localaws.sqs.context import LongPoll
from infra.localaws.sqs.message import State
from scenarios.checks.external_program import WriteFile
from scenarios.errors import BrokenProgramError
from scenarios.local.http_reader import CONTRACT, BreaksContractError, Reading
from scenarios.local.interpreter import Interpreter, as_failure, concluded, injected, json_answer, left_out
from scenarios.local.observed_exchange import Request, Response
from scenarios.lockstep.endpoint import Endpoint
from scenarios.lockstep.watched import Watched
from scenarios.lockstep.writes import Write
from scenarios.simulation.fault_injector import FaultInjector
from scenarios.simulation.process import Program, SimulatedProcess, Steps
from scenarios.simulation.scheduler import Sleeper, Strand
from scenarios.simulation.world import EPOCH, World, WorldRecorder
from services.consumer.assumptions import Assumption
from services.faults import Fault, FaultPlan
from services.injection import TIMEOUT, LateRequest, perform_with_faults, record_arrival
from services.operations import (
    ChangeVisibility,
    Delete,
    Message,
    Operation,
    OperationFailed,
    PerformSideEffect,
    Receive,
    WriteState,
)

#: How a program ends that leaves SIGTERM to the system, or to a shell: no clean end, and an end.
ENDED_BY_SIGTERM: Final = (0, -SIGTERM, 128 + SIGTERM)
#: Seconds for which a receive waits that a program makes after it is done.
AFTERWARDS: Final = 0.2


class Asking(Protocol):
    """A request that waits for its answer; see :class:`scenarios.lockstep.server.PendingRequest`."""

    @property
    def request(self) -> WireRequest:
        """What was asked."""

    @property
    def client(self) -> Any:
        """The connection's socket."""

    def reply(self, response: WireResponse) -> None:
        """Answer."""

    def reset(self) -> None:
        """Close the connection without an answer."""


class Computing(Protocol):
    """Code of any make that computes only while the explorer waits for it; see :class:`scenarios.lockstep.child.Child`.

    Attributes:
        exit_code: how it ended, or minus the signal; None while it runs.
        forked_away: it ended, and what it had started went on.
    """

    exit_code: int | None
    forked_away: bool

    @property
    def next_due(self) -> float | None:
        """When the next of its waits is over; None for never."""

    def begin(self) -> None:
        """Wait until it has begun."""

    def show(self, elapsed: float, wall: float) -> None:
        """Set its clocks."""

    def expect(self) -> None:
        """Take note that an answer is about to be sent."""

    def settle(self) -> Sequence[Asking]:
        """Let it compute until it is at rest; return what it has asked for by then."""

    def end_waits(self, elapsed: float) -> None:
        """End the waits whose time has come."""

    def terminate(self) -> None:
        """Ask it to end."""

    def kill(self) -> None:
        """End it."""

    def last_lines(self) -> Sequence[str]:
        """Return the last lines that it has printed."""

    def failure(self, what: str) -> BrokenProgramError:
        """Return the error that it does something which cannot be explored."""


@runtime_checkable
class Writing(Computing, Protocol):
    """What stands still at its watched writes as well."""

    def next_write(self) -> Write | None:
        """Return a write to a watched file that it stands still at; None where there is none."""

    def let_write(self, write: Write) -> None:
        """Let a write go on."""


@dataclass(frozen=True, slots=True)
class Hired:
    """What a program process stands on.

    Attributes:
        endpoint: answers its requests.
        interpreter: understands them.
        start: starts the program.
        watched: the side effects that a real process causes past the endpoint; None where each is a request.
    """

    endpoint: Endpoint
    interpreter: Interpreter
    start: Callable[[], Computing]
    watched: Watched | None = None


class ProgramProcess(SimulatedProcess):
    """One program of a simulation."""

    def __init__(
        self,
        world: World,
        name: str,
        hired: Hired,
        faults: Sequence[Fault] = (),
        *,
        is_consumer: bool = True,
        recorder: WorldRecorder | None = None,
        plan: FaultPlan | None = None,
    ) -> None:
        super().__init__(world, name, is_consumer=is_consumer, faults=faults, recorder=recorder, plan=plan)
        self.respawns = True
        self._hired = hired
        self._child: Computing | None = None
        self._watch = Sleeper(self)
        self._asked = False
        #: The last lines that it printed, once it has ended.
        self.log: tuple[str, ...] = ()
        #: By the strand that serves it: the request that is under way.
        self._steps: dict[Sleeper, _Step] = {}

    # --- life and death ----------------------------------------------------------------------------------------------

    def start(self, program: Program, at: float, injector: FaultInjector | None = None) -> None:
        """Begin at a time; see :class:`SimulatedProcess`."""
        self.program = program
        self._injector = injector
        if injector is not None:
            self.expect_random_fault(injector.next_at)
        self._watch.strand = self._run()
        self._sleepers.append(self._watch)
        self.world.scheduler.wake(self._watch, at)

    def signal(self) -> None:
        """Send SIGTERM to the program; one that has not started yet never will."""
        if self.exit_code is not None:
            return
        self._signalled = True
        if self._child is None:
            self._end(0)
            return
        self._show_time()
        self._child.terminate()
        # What is paused hears of the signal when it goes on; its own strand then looks at what it does.
        self.world.scheduler.wake(self._watch, self.world.scheduler.now)

    def close(self) -> None:
        """End the program, where it still runs."""
        super().close()
        self._release()

    def _end(self, code: int, exit_message: str = "") -> None:
        if self.exit_code is None:
            self._release()
            if self._signalled and code in ENDED_BY_SIGTERM:
                self.recorder.event("stopped", signalled=True, requests=1)
                code = 0
        super()._end(code, exit_message)

    def _release(self) -> None:
        child, self._child = self._child, None
        if child is not None:
            self.log = tuple(child.last_lines())
            child.kill()

    # --- computing ---------------------------------------------------------------------------------------------------

    def _run(self) -> Strand:
        """Start the program, and look at it whenever a wait of its own is over."""
        self._child = child = self._hired.start()
        child.begin()
        self._show_time()
        self._advance()
        while self._child is not None:
            yield None  # until ``_advance`` has it woken
            if self._child is not None:
                self._show_time()
                self._child.end_waits(self.world.scheduler.now)
                self._advance()

    def _show_time(self) -> None:
        """Set the program's clock, before anything sets the program going."""
        if self._child is not None:
            self._child.show(self.world.scheduler.now, self._wall_clock())

    def _advance(self) -> None:
        """Let the program compute until it is at rest, and see what it then wants.

        Raises:
            BrokenProgramError: it does what cannot be explored.
        """
        child, scheduler = self._child, self.world.scheduler
        if child is None:
            return
        arrived = self._compute(child)
        if self._child is None:
            return  # a fault has ended it
        for pending in arrived:
            sleeper = Sleeper(self)
            sleeper.strand = self._serve(pending, sleeper)
            self._sleepers.append(sleeper)
            scheduler.wake(sleeper, scheduler.now)
        if child.exit_code is not None:
            self._note_end(child)
            return
        due = child.next_due
        if due is None:
            scheduler.silence(self._watch)
        else:
            scheduler.wake(self._watch, max(due, scheduler.now))

    def _compute(self, child: Computing) -> Sequence[Asking]:
        """Let the program compute until it is at rest; a crash may strike wherever it begins a watched write."""
        arrived = [*child.settle()]
        if self._hired.watched is not None and isinstance(child, Writing):
            self._note_effects(child)
            while self._child is not None and (write := child.next_write()) is not None:
                arrived += self._let_write(child, write)
        return arrived

    def _let_write(self, child: Writing, write: Write) -> Sequence[Asking]:
        """Let a watched write go on, in no time; return what the program has asked for when it is at rest again."""
        operation = WriteFile(write.file)
        self.operations += 1
        arrived: Sequence[Asking] = ()
        steps = perform_with_faults(operation, self.recorder, self)
        with suppress(StopIteration):
            step = next(steps)
            while True:
                if step is operation:
                    child.let_write(write)
                    arrived = child.settle()
                    self._note_effects(child)
                else:
                    assert not isinstance(step, Operation | LateRequest)  # noqa: S101 - no fault asks for any here
                    next(self._carry_out(step), None)
                if self._child is None:
                    break  # the fault was a crash
                step = steps.send(None)
        return arrived

    def _note_effects(self, child: Computing) -> None:
        """Record the side effects that the program has caused since it was last at rest.

        Raises:
            ScenarioError: they cannot be read.
        """
        if self._hired.watched is None:
            return
        executions = self.world.tables.executions
        for key in self._hired.watched.caused(self.name, child):
            effect = self._hired.interpreter.reader.effect(key)
            # It has a number, as a request has; a fault that would strike it strikes the next request.
            self.operations += 1
            count = executions[key] = executions.get(key, 0) + 1
            self.recorder.ok(self.recorder.invoke(effect), effect, count)
            self.unperformed.pop(key, None)

    def _note_end(self, child: Computing) -> None:
        code = child.exit_code or 0
        if child.forked_away and not self._signalled:
            raise child.failure(
                f"has forked away: {self.name}'s first process ended with exit code {code}, and what it had started "
                "went on; have it stay in the foreground"
            )
        undisturbed = not (self._signalled or any(record["type"] == "fault" for record in self.world.records))
        # One that has asked for messages and ends in order may be a batch job: a supervisor starts it again.
        if undisturbed and not (code == 0 and self._asked):
            how = f"exit code {code}" if code >= 0 else f"signal {-code}"
            raise child.failure(f"ended by itself with {how}, and nothing had gone wrong")
        self._end(code)

    # --- requests ----------------------------------------------------------------------------------------------------

    def _serve(self, pending: Asking, sleeper: Sleeper) -> Strand:
        """See a request through: from its arrival to its answer, and to what the program makes of that."""
        request = _as_observed(pending)
        understood = self._hired.interpreter.understand(request)
        self._check_contract()
        if isinstance(understood, Response):
            self._reply(pending, understood)
        elif isinstance(understood[1].operation, Receive) and self._is_done():
            yield self.world.scheduler.now + AFTERWARDS
            self._reply(pending, json_answer(b"{}"))
        else:
            inner, reading = understood
            step = self._steps[sleeper] = _Step(self._hired.endpoint, inner, reading)
            yield from self._perform_for(pending, step, sleeper)
            del self._steps[sleeper]
        self._sleepers.remove(sleeper)
        self._check_contract()
        self._advance()

    def _is_done(self) -> bool:
        """Take note of a receive; return whether the program has done as many messages as it may, and shall end."""
        if not self._asked:
            self._asked = True
            self.recorder.event("started")
        done = self._hired.interpreter.reader.is_done
        if done and not self._signalled:
            self.signal()
        return done

    def _check_contract(self) -> None:
        complaint = self._hired.interpreter.complaint
        if complaint and self._child is not None:
            raise self._child.failure(f"{complaint}; see {CONTRACT}")

    def _perform_for(self, pending: Asking, step: _Step, sleeper: Sleeper) -> Steps:
        reading = step.reading
        self.operations += 1
        try:
            result = yield from self._perform(reading.operation, sleeper, self)
        except OperationFailed as error:
            step.given_up = True
            if error.code == TIMEOUT:
                self._show_time()
                self._expect()
                pending.reset()
            else:
                self._reply(pending, step.response or injected(step.request, error))
            return
        response = step.response
        if response is None or step.is_cut:
            response = left_out(step.request, reading, result, response)
        self._reply(pending, response)

    def _reply(self, pending: Asking, response: Response) -> None:
        self._show_time()
        self._expect()
        pending.reply(_on_the_wire(response))

    def _expect(self) -> None:
        if self._child is not None:
            self._child.expect()

    def is_batch(self, operation: Operation) -> bool:
        """Return whether a request is a batch call, which alone is answered entry by entry."""
        return any(step.reading.operation is operation and step.reading.entries for step in self._steps.values())

    # --- what an operation takes -------------------------------------------------------------------------------------

    def act(self, operation: Operation, sleeper: Sleeper) -> Steps:
        """Let a request take effect, or what is left of it."""
        step = self._steps[sleeper]
        world = self.world
        reading = step.reading.part(operation)
        step.is_cut |= reading is not step.reading
        answer = step.endpoint.answer(step.request, reading.body, self.name)
        if isinstance(answer, LongPoll):
            poll, deadline = answer, world.scheduler.now + answer.seconds
            answer = step.endpoint.nothing(poll)
            while world.scheduler.now < deadline:
                yield min(world.wait_for_messages(sleeper), deadline)
                world.stop_waiting(sleeper)
                found = step.endpoint.take(poll)
                if found is not None:
                    answer = found
                    break
        result = step.conclude(answer, reading)
        self._keep_books(operation, result)
        return result

    def _send_late(self, late: LateRequest) -> None:
        world = self.world
        arrives = world.scheduler.now + late.seconds
        world.late_until = max(world.late_until, arrives)
        step = next(step for step in self._steps.values() if step.reading.operation is late.operation)
        world.scheduler.start(self._arrive_as(late, step), arrives)

    def _arrive_as(self, late: LateRequest, step: _Step) -> Strand:
        error = None
        try:
            answer = step.endpoint.answer(step.request, step.reading.body)
            if isinstance(answer, Response):
                if answer.status >= HTTPStatus.BAD_REQUEST:
                    raise as_failure(answer)
                step.conclude(answer, step.reading)
                self._keep_books(late.operation, None)
        except OperationFailed as failed:
            error = failed
        record_arrival(self.recorder, late, error)
        yield None

    def _keep_books(self, operation: Operation, result: Any) -> None:
        """Remember what the program holds: what a fault may cost depends on it, and its claims are not seen."""
        match operation:
            case Receive() if result:
                self._hold(result)
            case PerformSideEffect():
                self._hired.endpoint.note_effect(operation.key)
                self.unperformed.pop(operation.key, None)
            case WriteState():
                self._hired.endpoint.note_state(operation.entity)
            case Delete() | ChangeVisibility():
                self.let_go(operation.messages)

    def _hold(self, received: Sequence[Message]) -> None:
        world = self.world
        now = world.scheduler.now
        still = tuple(
            message
            for message in self.in_hand
            if (held := world.held[message.message_id]).state is not State.GONE and held.visible_at > now
        )
        self.in_hand = (*still, *received)
        self.has_received = True
        keys = {world.key_of(world.held[message.message_id]) for message in self.in_hand}
        self.unperformed = {key: until for key, until in self.unperformed.items() if key in keys}
        if Assumption.SHORT_PAUSES in world.assumes:
            self.take_unseen_leases(received)

    def _wall_clock(self) -> float:
        return EPOCH + self.world.scheduler.now + self.skew


@dataclass(slots=True)
class _Step:
    """One request that is under way.

    Attributes:
        response: the answer, once there is one.
        is_cut: a part of the batch was left out.
        given_up: the program was told that it failed.
    """

    endpoint: Endpoint
    request: Request
    reading: Reading
    response: Response | None = None
    is_cut: bool = False
    given_up: bool = False

    def conclude(self, answer: Response, reading: Reading) -> Any:
        """Take an answer; return what it says.

        Raises:
            OperationFailed: it is an error.
        """
        self.response = answer
        try:
            result, self.response = concluded(answer, reading)
        except BreaksContractError as error:
            raise BrokenProgramError(f"The program {error}; see {CONTRACT}.") from None
        return result


def _as_observed(pending: Asking) -> Request:
    request = pending.request
    return Request(request.method, request.target, request.headers, request.body, pending.client)


def _on_the_wire(response: Response) -> WireResponse:
    headers = dict(response.headers)
    kind = headers.pop("Content-Type", "application/json")
    with suppress(KeyError):
        del headers["Content-Length"]
    return WireResponse(response.status, response.body, kind, headers)
