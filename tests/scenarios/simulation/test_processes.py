"""A simulated process: what it records, how it dies, stands still, and is asked to end."""

from contextlib import suppress

import pytest

from infra.localaws.sqs.rates import STRICT
from scenarios.checks.external_program import OtherRequest
from scenarios.errors import RequestError, Terminated
from scenarios.lab import QueueInfo
from scenarios.simulation.choices import DrawnChoices
from scenarios.simulation.process import UNHANDLED, UNUSABLE, Program, SimulatedProcess
from scenarios.simulation.tables import TableModel
from scenarios.simulation.world import Setting, World, names_for
from services import operations as op
from services.consumer.consumer import Consumer
from services.drivers.recorded import RecordedDriver
from services.faults import Fault, FaultPlan
from services.history import Recorder
from services.runtime import step

TAME = DrawnChoices(lambda bound: 0)


@pytest.fixture
def world():
    info = QueueInfo(visibility_timeout=2, max_receive_count=5, fifo=False)
    return World(Setting(info, names_for("test", fifo=False), STRICT, TableModel), TAME, seed=0)


@pytest.fixture
def start(world):
    def start_process(*tasks, faults=(), stop=lambda: None, name="p"):
        process = SimulatedProcess(world, name, is_consumer=True, faults=faults)
        process.start(Program(tasks[0], tasks[1:], stop), at=0.0)
        return process

    return start_process


def run(world, seconds=100.0):
    world.scheduler.run_until(lambda: False, deadline=seconds)


def shapes(records):
    return [(record["type"], record.get("operation") or record["event"]) for record in records]


def perform(*operations, results=None):
    for operation in operations:
        result = yield operation
        if results is not None:
            results.append(result)


PATH = (op.Note("hello", {}), op.Claim("k", "me", 1.0), op.PerformSideEffect("k", "m"), op.Complete("k", 1))


@pytest.mark.parametrize(
    "faults",
    [
        (),
        (Fault("crash", "Claim", "before"),),
        (Fault("crash", "PerformSideEffect", "after"),),
        (Fault("crash", "PerformSideEffect", "during"),),
        (Fault("reply-lost", "Complete"),),
        (Fault("delay", "Complete", seconds=1.5),),
        (Fault("error", "PerformSideEffect", code="ThrottlingException"),),
        (Fault("delay", "Claim", seconds=0.5), Fault("crash", "Claim", "after")),
    ],
)
def test_scripted_faults_leave_the_same_records_as_in_a_real_process(world, start, faults):
    class Crash(BaseException):
        pass

    class Handler:
        def crash(self):
            raise Crash

        def delay(self, seconds):
            pass

    class Tables:
        def perform(self, operation):
            return None if isinstance(operation, op.Note) else other.perform(operation, lambda: 0.0)

    other = World(Setting(world.info, world.names, STRICT, TableModel), TAME, seed=0)
    real = []
    recorder = Recorder(real.append, "p", lambda: 0.0, world.names.queue)
    driver = RecordedDriver(Tables(), recorder, FaultPlan(faults), Handler())
    with suppress(Crash, op.OperationFailed):
        step(perform(*PATH), driver)

    start(perform(*PATH), faults=faults)
    run(world)
    without_time = [{**record, "time": 0.0} for record in world.records]
    assert without_time == real


def test_one_entry_without_a_group_fails_a_whole_fifo_batch_and_a_malformed_one_fails_alone():
    info = QueueInfo(visibility_timeout=2, max_receive_count=5, fifo=True)
    world = World(Setting(info, names_for("test", fifo=True), STRICT, TableModel), TAME, seed=0)
    good, lacking, bad = (
        op.OutgoingMessage("{}", group, deduplication_id)
        for group, deduplication_id in (("g", "1"), (None, "2"), ("with space", "3"))
    )
    with pytest.raises(op.OperationFailed, match="must contain the parameter MessageGroupId"):
        world.perform(op.Send((good, lacking)), lambda: 0.0)
    assert world.queue.visible == 0
    result = world.perform(op.Send((good, bad)), lambda: 0.0)
    assert ([entry.entry for entry in result.sent], [entry.entry for entry in result.failed]) == ([0], [1])
    assert result.failed[0].code == "InvalidParameterValueException"


def test_a_crash_abandons_the_task_and_no_clean_up_reaches_the_outside(world, start):
    cleaned = []

    def careless():
        try:
            yield op.Claim("k", "me", 1.0)
            yield op.PerformSideEffect("k", "m")
        finally:
            cleaned.append("ran")
            yield op.PerformSideEffect("clean-up", "m")
            yield op.PerformSideEffect("clean-up", "m")

    process = start(careless(), faults=[Fault("crash", "Claim")])
    run(world)
    assert process.exit_code == -9
    assert cleaned == [], "nothing of a killed process runs"
    before = list(world.records)
    process.close()
    assert cleaned == ["ran"], "dropping a generator runs its clean-up"
    assert world.records == before
    assert world.tables.executions == {}


def test_a_killed_process_takes_its_other_tasks_with_it(world, start):
    beats = []

    def heartbeat():
        while (yield op.Sleep(1.0)):
            beats.append(world.scheduler.now)

    start(perform(op.Sleep(2.5), op.Claim("k", "me", 1.0)), heartbeat(), faults=[Fault("crash", "Claim", "before")])
    run(world)
    assert beats == [1.0, 2.0]


def test_a_pause_stops_every_task_of_the_process(world, start):
    woke = []

    def sleeper(seconds):
        yield op.Sleep(seconds)
        woke.append(world.scheduler.now)

    process = start(sleeper(3.0), sleeper(1.0))
    run(world, 0.5)
    process.paused_until = 2.0
    run(world)
    assert woke == [2.0, 3.0]


def test_a_signal_cuts_waits_short_but_no_long_poll(world, start):
    results = []
    process = start(perform(op.Sleep(50.0), op.Sleep(50.0), op.Receive(1, 20), results=results), stop=lambda: None)
    world.scheduler.run_until(lambda: world.scheduler.now >= 1.0, deadline=1.0)
    process.signal()
    run(world, 10.0)
    assert results == [False, False]
    run(world, 40.0)
    assert results == [False, False, ()]


def test_an_uninterrupted_wait_is_waited_for_after_a_signal(world, start):
    results = []
    process = start(perform(op.Sleep(5.0, uninterrupted=True), op.Sleep(5.0, uninterrupted=True), results=results))
    world.scheduler.run_until(lambda: False, deadline=1.0)
    process.signal()
    run(world, 4.0)
    assert results == []
    run(world, 20.0)
    assert results == [True, True]


def test_a_long_poll_ends_as_soon_as_a_message_is_there(world, start):
    received = []

    def consumer():
        received.append((yield op.Receive(10, 20)))
        received.append(world.scheduler.now)

    start(consumer())
    start(perform(op.Sleep(3.0), op.Send((op.OutgoingMessage("{}"),))), name="producer")
    run(world)
    messages, at = received
    assert len(messages) == 1
    assert 3.0 < at < 3.1


def test_a_message_in_flight_ends_a_long_poll_when_it_is_visible_again(world, start):
    times = []

    def consumer():
        yield op.Send((op.OutgoingMessage("{}"),))
        for _ in range(2):
            assert (yield op.Receive(1, 20))
            times.append(world.scheduler.now)

    start(consumer())
    run(world)
    assert times[1] - times[0] == pytest.approx(2.0, abs=0.05)


@pytest.mark.parametrize(
    ("error", "code"),
    [(ValueError("a bug"), UNHANDLED), (op.OperationFailed("Gone", "for good", transient=False), UNUSABLE)],
)
def test_an_error_ends_the_process_and_not_the_simulation(world, start, error, code):
    def faulty():
        yield op.CheckTables()
        raise error

    process = start(faulty())
    run(world)
    assert process.exit_code == code
    assert str(error) in process.exit_message


def test_no_two_records_have_the_same_time(simulated):
    history = simulated("crash", 3, with_faults=True).history
    times = [record["time"] for record in history.records]
    assert times == sorted(set(times))


class ReadsTheClock(Consumer):
    def poll(self):
        while (yield op.ReadClock()) >= 0:
            pass


class SleepsOnAfterSigterm(Consumer):
    def poll(self):
        while True:
            yield op.Sleep(0.5)


@pytest.mark.parametrize("kind", [ReadsTheClock, SleepsOnAfterSigterm])
def test_a_loop_in_which_no_time_passes_ends_with_a_sentence(simulated, kind):
    with pytest.raises(RequestError, match="is in a loop without end"):
        simulated("happy", 1, consumer=f"{__name__}:{kind.__name__}")


def test_the_simulation_performs_every_operation_that_is_recorded(world):
    recorded = {kind for kind in op.OPERATIONS.values() if kind.recorded and kind.part != "program"}
    assert all(callable(world._methods[kind]) for kind in recorded)
    with pytest.raises(KeyError):
        world._methods[OtherRequest]


class IsTerminated(Consumer):
    """A signal asks the process to end in the middle of a step."""

    def process(self, _delivery):
        raise Terminated(143)
        yield


def test_a_signal_that_ends_the_process_is_not_taken_for_an_end_that_a_consumer_wanted(simulated):
    with pytest.raises(Terminated):
        simulated("happy", 1, consumer=f"{__name__}:IsTerminated")
