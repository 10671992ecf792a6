import json
from dataclasses import replace

import pytest

from scenarios.catalog import all_scenarios, find_scenario
from scenarios.catalog.happy.checks import ALL_DELETED
from scenarios.checks.invariants import STANDARD
from scenarios.checks.witnesses import Evidence, Witness
from scenarios.errors import RequestError
from scenarios.model import NaiveTwin, Scenario
from scenarios.parameters import Parameters
from scenarios.verdict import SCHEMA, Conditions, Outcome, judge
from services.consumer.patterns import Pattern
from tests.scenarios.recorded import Told

SEEN = Witness("seen", "something is seen", lambda _: Evidence("there", 1))
UNSEEN = Witness("unseen", "something else is seen", lambda _: None)
OPTIONAL = Witness("optional", "a third thing is seen", lambda _: None, required=False)


def scenario(*witnesses):
    twin = NaiveTwin("m:C", "sense", "duplicated-side-effect")
    return Scenario("s", "a story", "fast", lambda lab: None, STANDARD, witnesses, twin, Parameters(10, 5))


def conditions(**changes):
    return Conditions(**{"seed": 7, "parameters": Parameters(10, 5), "tier": "local"} | changes)


def good(**facts):
    told = Told(**facts)
    told.send("a")
    told.handle("c", "a")
    told.ledger(a=1)
    return told


def paid_twice(**facts):
    told = good(**facts)
    told.effect("d", "a", executions=2)
    told.ledger(a=2)
    return told


def dead_lettered_by(*faults):
    """Tell of a message whose every receive was struck by a fault, or not, and that was then dead-lettered."""
    told = Told(max_receive_count=len(faults), visibility_timeout=0.1)
    told.send("a")
    for number, kind in enumerate(faults, 1):
        told.now = 10.0 * number
        told.receive(f"c{number}", "a", count=number)
        invocation = told.begin(f"c{number}", "Claim", key="a")
        if kind:
            told.fault(f"c{number}", invocation, "Claim", kind)
    told.dead_letter("a")
    told.ledger()
    return told.history


def test_a_message_that_faults_alone_dead_lettered_is_shown_and_never_passed():
    verdict = judge(scenario(SEEN), dead_lettered_by("crash", "error"), conditions())
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert not any(verdict.violations.values())
    assert "none of its 2 receives was clean: a crash, an error" in verdict.reason
    assert [item["message_id"] for item in verdict.as_json()["excused"]] == ["m-a"]


def test_a_message_that_had_a_clean_receive_convicts():
    verdict = judge(scenario(SEEN), dead_lettered_by("crash", ""), conditions())
    assert verdict.outcome is Outcome.FAIL
    assert verdict.excused == ()
    assert [name for name, found in verdict.violations.items() if found] == ["wrongly-dead-lettered"]


@pytest.mark.parametrize(
    ("told", "witnesses", "missed", "outcome", "code"),
    [
        (good, (SEEN,), "", Outcome.PASS, 0),
        (good, (SEEN, OPTIONAL), "", Outcome.PASS, 0),
        (good, (SEEN, UNSEEN), "", Outcome.INCONCLUSIVE, 2),
        (good, (SEEN,), "5 s were not enough.", Outcome.INCONCLUSIVE, 2),
        (paid_twice, (SEEN,), "", Outcome.FAIL, 1),
        (paid_twice, (UNSEEN,), "5 s were not enough.", Outcome.FAIL, 1),
    ],
)
def test_the_verdict_follows_from_violations_then_witnesses_then_deadlines(told, witnesses, missed, outcome, code):
    verdict = judge(scenario(*witnesses), told().history, conditions(missed=missed))
    assert verdict.outcome is outcome
    assert verdict.outcome.exit_code == code


def relying_on_heartbeats(*witnesses):
    return replace(scenario(*witnesses), relies_on={"duplicated-side-effect": Pattern.HEARTBEAT})


def test_what_only_a_pattern_survives_convicts_who_declares_it_and_nobody_else():
    declares = paid_twice(follows=["heartbeat"])
    assert judge(relying_on_heartbeats(SEEN), declares.history, conditions()).outcome is Outcome.FAIL
    verdict = judge(relying_on_heartbeats(SEEN), paid_twice(follows=[]).history, conditions())
    assert (verdict.outcome, verdict.is_undeclared) == (Outcome.INCONCLUSIVE, True)
    assert verdict.reason == (
        "What this scenario stages takes the pattern heartbeat, which this consumer does not declare: "
        "duplicated-side-effect (1). If it follows the pattern, declare it (`follows`); if not, this run says nothing "
        "against it."
    )
    assert verdict.as_json()["unprotected"] == {"duplicated-side-effect": 1}
    # Where it was not needed the promise was kept, and is judged.
    assert judge(relying_on_heartbeats(SEEN), good(follows=[]).history, conditions()).outcome is Outcome.PASS
    # What else it violates is its own affair.
    lost = paid_twice(follows=[])
    lost.send("b")
    lost.delete("c", "b")
    assert judge(relying_on_heartbeats(SEEN), lost.history, conditions()).outcome is Outcome.FAIL
    # And what was not seen, or was late, is not for want of a pattern.
    assert not judge(relying_on_heartbeats(UNSEEN), paid_twice(follows=[]).history, conditions()).is_undeclared
    assert not judge(relying_on_heartbeats(SEEN), paid_twice(follows=[]).history, conditions(missed="x")).is_undeclared


def test_a_pass_names_the_patterns_that_it_did_not_judge():
    beats = Witness("beats", "it beats", lambda _: None, pattern=Pattern.HEARTBEAT)
    reason = judge(scenario(SEEN, beats), good(follows=[]).history, conditions()).reason
    assert reason.startswith("Not declared: heartbeat. Every invariant that was judged holds")
    assert judge(scenario(SEEN, beats), good(follows=["heartbeat"]).history, conditions()).missing == ("beats",)


def test_the_reason_of_a_failure_names_each_invariant_with_an_example():
    verdict = judge(scenario(SEEN), paid_twice().history, conditions())
    assert verdict.reason == (
        "Violated: duplicated-side-effect (1); for example the side effect of message #0 was done 2 times."
    )


def test_the_reason_of_an_inconclusive_run_says_what_was_not_seen_and_what_took_too_long():
    verdict = judge(scenario(UNSEEN), good().history, conditions(missed="Timed out after 5 s waiting for it."))
    assert (
        verdict.reason
        == "Timed out after 5 s waiting for it. No invariant is violated, but a witness is missing: unseen."
    )


def test_the_reason_names_what_the_queue_delivered_twice_where_a_duplicate_convicts():
    told = paid_twice()
    told.endpoint("delivered", "a", receive_count=2, chaos=["duplicate"])
    verdict = judge(scenario(SEEN), told.history, conditions())
    assert verdict.reason.endswith(" The queue itself delivered twice, as SQS may: message #0.")
    assert verdict.as_json()["queue_duplicates"] == ["message #0"]
    # What is innocent of duplicates is told nothing of them.
    innocent = good()
    innocent.endpoint("delivered", "a", receive_count=2, chaos=["duplicate"])
    assert "queue itself" not in judge(scenario(SEEN), innocent.history, conditions()).reason
    assert "queue itself" not in judge(scenario(SEEN), paid_twice().history, conditions()).reason


@pytest.mark.parametrize(("told", "met"), [(paid_twice, True), (good, False)])
def test_a_naive_run_knows_whether_it_showed_what_it_must(told, met):
    assert judge(scenario(SEEN), told().history, conditions(naive=True)).twin_met is met


def test_a_run_that_is_not_naive_owes_no_violation():
    assert judge(scenario(SEEN), good().history, conditions()).twin_met is None


def test_the_json_form_carries_all_that_a_reader_needs():
    verdict = judge(scenario(SEEN, UNSEEN), paid_twice().history, conditions(naive=True, command="invoke x"))
    document = json.loads(json.dumps(verdict.as_json()))
    assert document["schema"] == SCHEMA
    assert {name: document[name] for name in ("scenario", "seed", "naive", "tier", "verdict", "exit_code")} == {
        "scenario": "s",
        "seed": 7,
        "naive": True,
        "tier": "local",
        "verdict": "fail",
        "exit_code": 1,
    }
    assert document["parameters"] == {"count": 10, "batch_size": 5}
    assert document["command"] == "invoke x"
    assert document["naive_twin"] == {"without": "sense", "violation": "duplicated-side-effect", "met": True}
    violated = {item["name"]: item for item in document["invariants"]}["duplicated-side-effect"]
    assert violated["holds"] is False
    assert violated["violations"][0]["keys"] == ["a"]
    assert violated["violations"][0]["records"]
    seen, unseen = document["witnesses"]
    assert (seen["evidence"]["summary"], unseen["evidence"]) == ("there", None)


def test_judging_twice_gives_the_same_bytes():
    told = paid_twice()
    first, second = (json.dumps(judge(scenario(ALL_DELETED), told.history, conditions()).as_json()) for _ in range(2))
    assert first == second


# --- the catalogue -----------------------------------------------------------------------------------------------


def test_the_catalogue_holds_each_scenario_under_its_own_name():
    assert {"crash", "duplicates", "fifo-order", "happy", "poison"} <= all_scenarios().keys()
    assert all(name == found.name for name, found in all_scenarios().items())


@pytest.mark.parametrize("name", all_scenarios())
def test_a_scenarios_twin_violates_an_invariant_that_the_scenario_has(name):
    found = find_scenario(name)
    assert found.naive_twin.violation in {invariant.name for invariant in found.invariants}
    assert any(witness.required for witness in found.witnesses)
    assert found.parameters({}) == found.defaults


def test_an_unknown_scenario_is_answered_with_the_nearest():
    with pytest.raises(RequestError, match=r"There is no scenario 'chrash'; did you mean crash\?"):
        find_scenario("chrash")


def test_a_name_like_none_is_answered_with_the_list():
    with pytest.raises(RequestError, match=r"there are: .*crash, .*duplicates"):
        find_scenario("zzz")


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"count": 4}, r"--count is 4; the scenario crash needs 6 to 100000\."),
        ({"batch_size": 11}, r"--batch-size is 11; the scenario crash needs 1 to 10\."),
        ({"batch_size": 0}, r"--batch-size is 0; the scenario crash needs 1 to 10\."),
    ],
)
def test_parameters_with_which_the_scenario_cannot_be_staged_are_refused(given, sentence):
    with pytest.raises(RequestError, match=sentence):
        find_scenario("crash").parameters(given)


def with_clock(told, *offsets):
    """Have processes tell of a wall clock that was set like this during the run."""
    for number, offset in enumerate(offsets):
        told.event(f"c-{number % 2}", "clock", wall_minus_monotonic=1000.0 + offset)
    return told


@pytest.mark.parametrize(
    ("offsets", "timeout", "speed", "steady"),
    [
        ((0.0, 0.0), 10.0, 1.0, True),
        ((0.0, 0.39), 10.0, 1.0, True),
        ((0.0, 0.41), 10.0, 1.0, False),
        ((0.0, -0.41), 10.0, 1.0, False),
        ((0.0, -1.0, 0.0), 30.0, 1.0, False),
        ((0.0, 60.0), 900.0, 1.0, False),
        ((0.0, 0.04), 10.0, 20.0, False),
        ((0.0, 0.01), 10.0, 20.0, True),
    ],
)
@pytest.mark.parametrize("spoiled", [False, True])
def test_a_step_of_the_wall_clock_neither_convicts_nor_acquits(spoiled, offsets, timeout, speed, steady):
    told = Told(visibility_timeout=timeout)
    told.send("a")
    told.handle("c", "a")
    if spoiled:
        told.effect("d", "a", executions=2)
    told.ledger(a=1 + spoiled)
    verdict = judge(scenario(SEEN), with_clock(told, *offsets).history, conditions(speed=speed))
    if steady:
        assert verdict.outcome is (Outcome.FAIL if spoiled else Outcome.PASS)
        assert verdict.as_json()["clock_step_seconds"] == 0.0
    else:
        assert verdict.outcome is Outcome.INCONCLUSIVE
        assert verdict.reason.startswith("The wall clock of this machine was stepped by ")


def test_a_naive_twin_that_violates_nothing_proves_nothing():
    spared = judge(scenario(), good().history, conditions(naive=True))
    assert spared.outcome is Outcome.INCONCLUSIVE
    assert spared.reason == "The naive twin violated nothing: the failure that it does not survive did not occur."
    assert judge(scenario(), good().history, conditions()).outcome is Outcome.PASS
