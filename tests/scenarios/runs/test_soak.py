"""The soak: how its rounds are judged, what its exit codes say, and a short one with a good and a bad consumer."""

import json
from pathlib import Path

import pytest

from scenarios.commands.soak import soak as soak_command
from scenarios.errors import BROKEN
from scenarios.runs.soak import (
    MAX_PAUSE,
    MIN_PAUSE,
    TABLE,
    Round,
    Soak,
    SoakRequest,
    dead_lettered_by_no_kill,
    lost_from_queue,
    soak,
)
from scenarios.verdict import Conditions, judge
from tests.scenarios.recorded import DLQ, Told


class Silent:
    def ended(self, round_, so_far):
        pass

    def waited(self):
        pass


# --- judging -------------------------------------------------------------------------------------------------------


@pytest.fixture
def told():
    """A message that left the queue before the endpoint died."""
    told = Told()
    told.send("a", endpoint=True)
    told.receive("c", "a")
    return told


def gone(told):
    told.endpoint("deleted", "a")
    return told.history


def test_what_left_the_queue_and_was_never_begun_is_lost(told):
    (violation,) = lost_from_queue(gone(told))
    assert violation.message_ids == ("m-a",)


def test_what_waited_in_the_queue_when_the_endpoint_died_is_not_lost(told):
    assert lost_from_queue(told.history) == []


def test_what_a_consumer_set_out_to_do_may_be_in_the_ledger_that_is_gone(told):
    told.begin("c", "PerformSideEffect", **told.about("a"))
    assert lost_from_queue(gone(told)) == []


def test_what_was_refused_was_not_done(told):
    at = told.begin("c", "PerformSideEffect", **told.about("a"))
    told.fail("c", at, "PerformSideEffect", transient=False)
    assert len(lost_from_queue(gone(told))) == 1


@pytest.mark.parametrize(("found", "lost"), [(True, 0), (False, 1)])
def test_what_a_consumer_found_in_the_ledger_was_done(told, found, lost):
    told.do("c", "LookUpSideEffect", found, key="a")
    assert len(lost_from_queue(gone(told))) == lost


def dead_lettered(*killed):
    told = Told()
    told.send("a")
    told.receive("c", "a")
    for name in killed:
        told.event("lab", "killed", killed=name)
    told.receive("lab-dead-letters", "a", count=2, queue=DLQ)
    return dead_lettered_by_no_kill(told.history)


def test_kills_may_cost_a_message_all_of_its_receives():
    assert dead_lettered("c") == []


@pytest.mark.parametrize("killed", [(), ("another",)])
def test_a_message_that_no_kill_struck_belongs_in_no_dead_letter_queue(killed):
    assert len(dead_lettered(*killed)) == 1


# --- what it comes to ----------------------------------------------------------------------------------------------


def verdict_of(twice=1):
    told = Told()
    told.send("a")
    for _ in range(twice):
        told.effect("c", "a")
    told.delete("c", "a")
    from scenarios.runs.soak import _cut_scenario  # noqa: PLC0415 - what a round that was cut short is judged by

    scenario = _cut_scenario()
    return judge(scenario, told.history, Conditions(1, scenario.defaults, "local"))


GOOD = {"again": 1, "kills": {"consumer": 1}}


@pytest.mark.parametrize(
    ("rounds", "code", "said"),
    [
        ([], 2, "No process was killed"),
        ([{**GOOD, "again": 0}], 2, "No message came again after a kill"),
        ([GOOD], 0, "Nothing was lost and nothing done twice"),
        ([GOOD, {**GOOD, "twice": 2}], 1, "duplicated-side-effect"),
        (
            [GOOD, {**GOOD, "disorderly": ["consumer-1 (3): it said nothing"]}],
            BROKEN,
            "Did not end in order: consumer-1",
        ),
        ([{**GOOD, "error": "consumer-1 ended", "broken": True}], BROKEN, "consumer-1 ended"),
        ([{**GOOD, "disorderly": ["x"]}, {**GOOD, "twice": 2}], 1, "duplicated-side-effect"),
    ],
)
def test_the_worst_round_decides_and_a_soak_without_a_kill_at_work_shows_nothing(rounds, code, said):
    made = [Round(**{**each, "verdict": verdict_of(each.get("twice", 1))}) for each in rounds]
    found = Soak(SoakRequest(), Path("runs/x"), made)
    assert found.exit_code == code
    assert said in found.reason


def test_kills_fall_the_closer_the_less_time_there_is():
    assert SoakRequest(10, 1000).pause == pytest.approx(0.18)
    assert SoakRequest(0.1, 1000).pause == MIN_PAUSE
    assert SoakRequest(600, 1).pause == MAX_PAUSE
    assert SoakRequest(0.5, 3, 7, "m:C").command == "invoke soak --minutes 0.5 --kills 3 --seed 7 --consumer m:C"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"minutes": "0"}, "--minutes must be a number above 0, up to 1440, and is '0'."),
        ({"minutes": "soon"}, "--minutes must be a number above 0"),
        ({"kills": "0"}, "--kills must be a whole number, from 1 to 1000000, and is 0."),
        (
            {"consumer": "node my.js"},
            "soak takes a class such as my.module:MyConsumer, and --consumer is 'node my.js'.",
        ),
    ],
)
def test_bad_usage_is_a_sentence(project, capsys, options, sentence):
    assert soak_command(**options) == 64
    assert sentence in capsys.readouterr().err
    assert not (project / "runs").exists()


# --- for real ------------------------------------------------------------------------------------------------------


@pytest.mark.processes
@pytest.mark.thorough
def test_a_short_soak_loses_nothing_and_reports_every_kill(project):
    request = SoakRequest(minutes=3, kills=30, seed=3)
    found = soak(request, Silent())
    assert found.exit_code == 0, found.reason
    assert sum(found.kills.values()) == 30
    assert found.kills["endpoint"] >= 1, "this seed kills the endpoint, too"
    assert found.total("outlived")
    assert found.memory > 10_000_000
    document = json.loads((found.directory / TABLE).read_text())
    assert document["kills"] == dict(found.kills)
    assert (document["lost"], document["twice"]) == (0, 0)
    assert document["sent"] > 100
    assert [path.name for path in found.directory.iterdir()] == [TABLE], (
        "a round that is as it should be leaves nothing"
    )
    assert not list((project / ".queue-fundamentals").glob("tmp-*"))


@pytest.mark.processes
@pytest.mark.thorough
def test_a_soak_convicts_a_consumer_that_does_not_guard_itself(project):
    (project / "careless.py").write_text(
        "from scenarios.catalog.happy.naive import WithoutGuard\n\n\nclass Careless(WithoutGuard):\n    pass\n"
    )
    found = soak(SoakRequest(minutes=2, kills=25, seed=3, consumer="careless:Careless"), Silent())
    assert found.exit_code == 1
    assert found.total("twice")
    (kept,) = {each.directory for each in found.rounds if each.twice and each.directory}
    assert (kept / "history.jsonl").exists()
