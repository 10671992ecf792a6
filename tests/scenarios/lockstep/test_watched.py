"""Side effects that the explorer watches: rows of SQLite, lines of a log, and what a program prints."""

import shlex
import sys
from pathlib import Path

import pytest

from scenarios.checks.program_config import CONFIG
from scenarios.errors import RequestError
from scenarios.exploration.bounded import space_of
from scenarios.exploration.programs import rehearse
from scenarios.exploration.replay import history_bytes
from scenarios.exploration.targets import make_target
from scenarios.lockstep import launcher
from scenarios.lockstep.clock import why_not
from scenarios.lockstep.crew import close_crews
from scenarios.simulation.choices import ReplayedChoices, SeededChoices
from scenarios.simulation.lab import NoFaults
from scenarios.simulation.random_faults import Kind, RandomFault
from scenarios.simulation.run import simulate
from tests.scenarios.conftest import project
from tests.scenarios.local.test_effects import LOG, SQLITE
from tests.scenarios.local.test_effects import PROGRAM as EFFECTS
from tests.scenarios.lockstep.small_programs import written
from tests.scenarios.lockstep.test_programs import _schedule

__all__ = ["project"]

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(bool(why_not()), reason="a program's clock cannot be set here"),
]
PRINTS = """
[effect]
log = "stdout"
pattern = 'charged (\\S+)$'
"""


@pytest.fixture(autouse=True)
def nothing_left():
    yield
    close_crews()


def run(project, config, *options, command="", faults=None, choices=None):
    (project / CONFIG).write_text(config)
    command = command or shlex.join([sys.executable, str(EFFECTS), *options])
    plan = make_target("deliveries", consumer=command, count=1).plan(0)
    return simulate(plan, choices or ReplayedChoices(()), faults or NoFaults())


def violated(simulation):
    return {name for name, found in simulation.verdict.violations.items() if found}


@pytest.mark.parametrize("config", [SQLITE, LOG], ids=["sqlite", "log"])
def test_a_side_effect_is_seen_between_two_requests_of_the_program_that_caused_it(project, config):
    simulation = run(project, config)
    assert str(simulation.verdict.outcome) == "pass", simulation.verdict.reason
    (effect,) = simulation.history.calls("PerformSideEffect")
    (deleted,) = simulation.history.calls("Delete")
    received = next(call for call in simulation.history.calls("Receive") if call.result)
    assert effect.process == deleted.process == received.process
    assert received.ended <= effect.started <= deleted.started


@pytest.mark.parametrize("config", [SQLITE, LOG], ids=["sqlite", "log"])
def test_a_crash_before_the_delete_convicts_a_naive_program_and_no_careful_one(project, config):
    # The numbers of what the first consumer does: it asks for the queue's attributes, receives, writes, deletes.
    faults = lambda: _schedule(("consumer-1", RandomFault(Kind.CRASH_BEFORE, 4)))  # noqa: E731
    naive = run(project, config, "--naive", faults=faults())
    assert violated(naive) == {"duplicated-side-effect"}, naive.verdict.reason
    careful = run(project, config, faults=faults())
    assert (violated(careful), str(careful.verdict.outcome)) == (set(), "pass"), careful.verdict.reason


def test_what_a_program_prints_is_a_side_effect(project):
    charges = """
    while True:
        for message in receive():
            print("charged", key_of(message), flush=True)
            delete(message)
    """
    simulation = run(project, PRINTS, command=written(project, charges))
    assert str(simulation.verdict.outcome) == "pass", simulation.verdict.reason
    assert [effect.status for effect in simulation.history.effects] == ["ok"]


def test_a_delete_before_the_row_is_a_violation(project):
    deletes_first = """
    import sqlite3
    stopped = []
    signal.signal(signal.SIGTERM, lambda *_: stopped.append(True))
    while not stopped:
        for message in receive():
            delete(message)
            with sqlite3.connect(ENV["DATABASE"]) as database:
                database.execute("CREATE TABLE IF NOT EXISTS payments (order_id TEXT)")
                database.execute("INSERT INTO payments VALUES (?)", [key_of(message)])
    """
    simulation = run(project, SQLITE, command=written(project, deletes_first))
    assert violated(simulation) == {"deleted-before-done"}


def test_each_history_has_a_database_of_its_own(project):
    # A second history with the same keys: what the first one left would be taken for done.
    for _ in range(2):
        simulation = run(project, SQLITE)
        assert str(simulation.verdict.outcome) == "pass", simulation.verdict.reason


@pytest.mark.parametrize(
    ("config", "name", "said"),
    [
        (SQLITE.replace("{run}/", ""), "deliveries", "give each its own by {run}"),
        (
            SQLITE.replace("sqlite:///{run}/payments.db", "postgresql://lab@127.0.0.1/{run}"),
            "deliveries",
            "SQLite alone",
        ),
        (SQLITE, "crash", "strikes at the side effect itself.*backlog-drain, deliveries, poison"),
    ],
)
def test_what_cannot_be_watched_in_virtual_time_is_one_sentence(project, config, name, said):
    (project / CONFIG).write_text(config)
    with pytest.raises(RequestError, match=said):
        make_target(name, consumer=shlex.join([sys.executable, str(EFFECTS)]))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (('table = "payments"', 'table = "refunds"'), r"no side effect of the messages was seen \(there was none\)"),
        (('key = "order_id"', 'key = "number"'), "has no column number"),
    ],
)
def test_a_configuration_that_shows_no_side_effect_is_one_sentence(project, changed, said):
    (project / CONFIG).write_text(SQLITE.replace(*changed))
    with pytest.raises(RequestError, match=said):
        rehearse(make_target("deliveries", consumer=shlex.join([sys.executable, str(EFFECTS)]), count=1))


# --- where a program begins to write ----------------------------------------------------------------------------------


def begun(simulation, process="consumer-1"):
    """Return the operations of a process in their order, with the file of a watched write."""
    calls = [call for call in simulation.history.all_calls if call.process == process]
    return [call.arguments.get("file") or call.operation for call in calls]


def test_each_transaction_that_writes_is_a_point_at_which_a_fault_may_strike(project):
    expected = ["OtherRequest", "Receive", "payments.db", "payments.db", "PerformSideEffect", "Delete"]
    assert begun(run(project, SQLITE, "--mark-in-database"))[:6] == expected
    assert begun(run(project, SQLITE, "--both-in-one"))[:5] == expected[:2] + expected[3:]


@pytest.mark.parametrize(
    ("config", "broken", "careful"),
    [
        (SQLITE, "--mark-in-database", "--both-in-one"),
        (SQLITE, "--mark-in-database", "--careful"),
        (LOG, "--mark-in-file", "--careful"),
    ],
    ids=["one transaction", "a unique key", "a log"],
)
def test_a_crash_between_mark_and_effect_loses_a_message_and_a_careful_program_none(project, config, broken, careful):
    # The numbers of what the first consumer does: it asks for the queue's attributes, receives, writes ...
    convicted = {}
    for option in (broken, careful):
        for at, kind in [(at, kind) for at in (3, 4) for kind in (Kind.CRASH_BEFORE, Kind.CRASH_AFTER)]:
            faults = _schedule(("consumer-1", RandomFault(kind, at)))
            simulation = run(project, config, option, faults=faults)
            if found := violated(simulation):
                convicted[option, at, kind] = found
    assert {option for option, _, _ in convicted} == {broken}, convicted
    assert set().union(*convicted.values()) == {"lost"}


@pytest.mark.parametrize(("marks", "found"), [(True, {"lost"}), (False, set())])
def test_a_crash_strikes_before_a_program_prints_its_side_effect(project, marks, found):
    prints = f"""
    from pathlib import Path
    while True:
        for message in receive():
            mark = Path(ENV["DIRECTORY"], key_of(message))
            if not mark.exists():
                if {marks}: mark.touch()
                print("charged", key_of(message), flush=True)
            delete(message)
    """
    config = '[env]\nDIRECTORY = "{run}"\n' + PRINTS
    faults = _schedule(("consumer-1", RandomFault(Kind.CRASH_BEFORE, 2)))
    simulation = run(project, config, command=written(project, prints), faults=faults)
    assert violated(simulation) == found, simulation.counterexample()
    assert begun(simulation) == ["Receive", "stdout"]


@pytest.mark.parametrize("mode", ["DELETE", "TRUNCATE", "PERSIST", "WAL"])
def test_a_transaction_is_held_in_each_way_in_which_sqlite_keeps_a_journal(project, mode):
    # The journal's name is no value, and SQLite takes no parameter in its place.
    marks_first = f"""
    import sqlite3
    def do(statement, *values):
        database = sqlite3.connect(ENV["DATABASE"])
        with database:
            return database.execute(statement, values).rowcount
    do("PRAGMA journal_mode = {mode}")
    do("CREATE TABLE IF NOT EXISTS marks (order_id TEXT PRIMARY KEY)")
    do("CREATE TABLE IF NOT EXISTS payments (order_id TEXT)")
    while True:
        for message in receive():
            key = key_of(message)
            if do("INSERT OR IGNORE INTO marks VALUES (?)", key):
                do("INSERT INTO payments VALUES (?)", key)
            delete(message)
    """  # noqa: S608
    command = written(project, marks_first)
    # To open a write-ahead log takes the lock as well, so its transactions are the second and the third write.
    first, second = (3, 4) if mode == "WAL" else (2, 3)
    for at, found in ((first, set()), (second, {"lost"})):
        faults = _schedule(("consumer-1", RandomFault(Kind.CRASH_BEFORE, at)))
        simulation = run(project, SQLITE, command=command, faults=faults)
        assert violated(simulation) == found, simulation.counterexample()


def test_no_other_fault_strikes_at_a_write(project):
    for kind in (Kind.THROTTLE, Kind.REPLY_LOST, Kind.PAUSE, Kind.DELAY, Kind.SIGTERM, Kind.CRASH_DURING):
        simulation = run(project, SQLITE, faults=_schedule(("consumer-1", RandomFault(kind, 3))))
        struck = {strike.call.operation for strike in simulation.history.faults}
        assert struck == {"Delete"}, (kind, struck)


def test_histories_with_held_writes_are_the_same_byte_for_byte(project):
    histories = [
        history_bytes(run(project, SQLITE, "--mark-in-database", choices=SeededChoices(3)).history) for _ in range(3)
    ]
    assert len(set(histories)) == 1


def test_a_program_starts_where_the_system_holds_nothing(project, monkeypatch):
    refused = (
        Path(launcher.__file__)
        .read_text()
        .replace("_SET_MODE_FILTER, _NEW_LISTENER = 1,", "_SET_MODE_FILTER, _NEW_LISTENER = 99,")
    )
    (project / "launcher.py").write_text(refused)
    monkeypatch.setattr("scenarios.lockstep.writes._LAUNCHER", str(project / "launcher.py"))
    simulation = run(project, SQLITE)
    assert str(simulation.verdict.outcome) == "pass", simulation.verdict.reason
    assert "payments.db" not in begun(simulation)


def test_bounded_histories_begin_with_a_crash_before_each_write_and_try_nothing_there_that_cannot_strike(project):
    (project / CONFIG).write_text(LOG)
    target = make_target("deliveries", consumer=shlex.join([sys.executable, str(EFFECTS), "--mark-in-file"]), count=1)
    history = run(project, LOG, "--mark-in-file").history
    space = space_of(target)
    aimed = [(name, fault.at, fault.kind) for ((name, fault),) in space.singles]
    writes = [
        (call.process, at)
        for process in {call.process for call in history.all_calls}
        for at, call in enumerate((each for each in history.all_calls if each.process == process), 1)
        if call.operation == "WriteFile"
    ]
    assert writes
    assert set(aimed[: len(writes)]) == {(*write, Kind.CRASH_BEFORE) for write in writes}
    assert {kind for name, at, kind in aimed if (name, at) in writes} == {Kind.CRASH_BEFORE, Kind.CRASH_AFTER}
