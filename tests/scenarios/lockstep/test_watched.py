"""Side effects that the explorer watches: rows of SQLite, lines of a log, and what a program prints."""

import shlex
import sys

import pytest

from scenarios.checks.program_config import CONFIG
from scenarios.errors import RequestError
from scenarios.exploration.programs import rehearse
from scenarios.exploration.targets import make_target
from scenarios.lockstep.clock import why_not
from scenarios.lockstep.crew import close_crews
from scenarios.simulation.choices import ReplayedChoices
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


def run(project, config, *options, command="", faults=None):
    (project / CONFIG).write_text(config)
    command = command or shlex.join([sys.executable, str(EFFECTS), *options])
    plan = make_target("deliveries", consumer=command, count=1).plan(0)
    return simulate(plan, ReplayedChoices(()), faults or NoFaults())


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
    # The numbers of what the first consumer does: it asks for the queue's attributes, receives, causes, deletes.
    faults = lambda: _schedule(("consumer-1", RandomFault(Kind.CRASH_BEFORE, 3)))  # noqa: E731
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
