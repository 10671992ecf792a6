"""Programs whose side effects are rows or lines: the careful one passes, and each bug is convicted."""

import shlex
import sys
from pathlib import Path

import pytest

from scenarios.checks.program_config import CONFIG, read_config
from scenarios.errors import RequestError
from scenarios.runs.plan import RunRequest
from scenarios.runs.run import run_scenario
from scenarios.verdict import Outcome
from tests.consumers.postgres import server

pytestmark = [pytest.mark.processes, pytest.mark.thorough]

PROGRAM = Path(__file__).resolve().parents[2] / "consumers" / "plain" / "effects.py"
SQLITE = """
[env]
DATABASE = "{run}/payments.db"
[effect]
sql = "sqlite:///{run}/payments.db"
table = "payments"
key = "order_id"
"""
LOG = """
[env]
CHARGES = "{run}/charges.txt"
[effect]
log = "{run}/charges.txt"
pattern = 'charged (?P<key>\\S+)$'
"""


@pytest.fixture(scope="module")
def postgres():
    with server() as url:
        yield f"""
[env]
DATABASE = "{url}"
[effect]
sql = "{url}"
table = "payments"
key = "order_id"
prepare = ["DROP TABLE IF EXISTS payments, processed"]
"""


@pytest.fixture
def config_of(request):
    kinds = {"sqlite": lambda: SQLITE, "log": lambda: LOG, "postgres": lambda: request.getfixturevalue("postgres")}
    return lambda kind: kinds[kind]()


def verdict_of(project, config, scenario, option):
    (project / CONFIG).write_text(config)
    consumer = shlex.join([sys.executable, str(PROGRAM), option])
    result = run_scenario(RunRequest(scenario, seed=3, consumer=consumer, program=read_config(project)))
    return result.verdict


@pytest.mark.parametrize("kind", ["sqlite", "postgres", "log"])
@pytest.mark.parametrize("scenario", ["happy", "crash", "duplicates", "side-effects", "poison"])
def test_a_careful_program_passes(project, config_of, kind, scenario):
    verdict = verdict_of(project, config_of(kind), scenario, "--careful")
    assert verdict.outcome is Outcome.PASS, verdict.reason


@pytest.mark.parametrize("kind", ["sqlite", "postgres", "log"])
@pytest.mark.parametrize(
    ("scenario", "option"),
    [
        ("happy", "--naive"),
        ("crash", "--naive"),
        ("duplicates", "--naive"),
        ("side-effects", "--naive"),
        ("crash", "--mark-first"),
        ("side-effects", "--mark-first"),
    ],
)
def test_a_broken_program_is_convicted(project, config_of, kind, scenario, option):
    verdict = verdict_of(project, config_of(kind), scenario, option)
    violated = {"--naive": "duplicated-side-effect", "--mark-first": "lost"}[option]
    assert [name for name, found in verdict.violations.items() if found] == [violated], verdict.reason


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
@pytest.mark.parametrize("scenario", ["crash", "side-effects"])
def test_a_mark_in_the_same_database_that_is_committed_first_is_lost(project, config_of, kind, scenario):
    verdict = verdict_of(project, config_of(kind), scenario, "--mark-in-database")
    assert [name for name, found in verdict.violations.items() if found] == ["lost"], verdict.reason


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        (('table = "payments"', 'table = "refunds"'), "there is no table refunds in sqlite:///{run}/payments.db, so"),
        (('key = "order_id"', 'key = "number"'), "has no column number, which effect.key names; it has order_id"),
        (("{run}/payments.db", "payments.db"), "Before the run there were rows of its messages in the table payments"),
    ],
)
def test_what_cannot_be_this_runs_effect_is_one_sentence_and_no_verdict(project, changed, sentence):
    config = SQLITE.replace(*changed)
    if changed[1] == "payments.db":
        verdict_of(project, config, "happy", "--careful")
    with pytest.raises(RequestError) as refused:
        verdict_of(project, config, "happy", "--careful")
    assert sentence in str(refused.value)


def test_a_pattern_that_no_line_matches_is_one_sentence_and_no_verdict(project):
    with pytest.raises(RequestError, match=r"no side effect of this run's messages was seen \(there was none\)"):
        verdict_of(project, LOG.replace("charged", "paid"), "happy", "--careful")


def test_a_scenario_that_strikes_at_the_side_effect_itself_is_refused(project):
    with pytest.raises(RequestError, match=r"check-race strikes at the side effect itself, and the table payments is"):
        verdict_of(project, SQLITE, "check-race", "--careful")
