"""The judge is just: designs that are not ours are judged by what they promise, and near ones that break it fall."""

from dataclasses import replace

import pytest

from scenarios.catalog import all_scenarios
from scenarios.exploration.campaign import Campaign, explore, violated_by
from scenarios.exploration.targets import make_target
from scenarios.mutants.elusive import LeavesNoMargin
from scenarios.mutants.workloads import ALL as WORKLOADS
from scenarios.simulation.run import leases_items
from scenarios.verdict import Outcome
from services.consumer.assumptions import Assumption
from services.consumer.large_payload import LargePayloadConsumer
from services.consumer.patterns import Pattern
from tests.scenarios.designs import broken, correct, own_patterns, unusual

#: What a scenario asks for that is no matter of receiving, doing once and deleting: it needs its own pattern.
OWN_PATTERN = {
    "backlog-drain": "a freshness rule",
    "large-payload": "the payload from the bucket",
    "out-of-order": "versions",
    "saga": "steps and compensations",
    "schema-evolution": "an upcast",
}
#: Scenarios that a design does not take on, and why.
BEYOND = {
    "KeepsBooksUnderAnotherKey": {
        "duplicates": "its lease is its own, and ends before the work does",
        "check-race": "likewise",
        "heartbeat": "no heartbeat renews its claims",
        "long-work": "likewise",
        "few-receives": "likewise",
    },
    "LeasesAnItem": {
        "business-idempotency": "it keeps its lease when all is done, so copies of an order wait for each other",
        "duplicates": "its lease ends before the work does",
        "check-race": "likewise",
        "heartbeat": "likewise",
        "long-work": "likewise",
        "few-receives": "likewise",
    },
    "LooksClaimsAndLooksAgain": {"zombies": "a slow first look leaves its lease shorter than the work"},
    "SendsACopyAgain": {"dlq-redrive": "what it sends again is never dead-lettered"},
}
#: Scenarios whose consumer is a Lambda function.
FUNCTIONS = [name for name, scenario in all_scenarios().items() if scenario.function is not None]
NAMES = [*all_scenarios(), *(workload.scenario.name for workload in WORKLOADS)]


#: What a design over an idempotent API shows in full: whatever the scenario is about, it must have met it. It has no
#: claim that a partition could take.
CONCLUSIVE = [name for name in all_scenarios() if name not in (*OWN_PATTERN, *FUNCTIONS, "partition")]


def spec(kind):
    return f"{kind.__module__}:{kind.__qualname__}"


def taken_on(kind):
    without = {*OWN_PATTERN, *FUNCTIONS, *BEYOND.get(kind.__name__, {})}
    if Assumption.NO_LATE_REQUESTS in kind.assumes:
        without.add("late-request")
    return [name for name in NAMES if name not in without]


def convictions(simulated, kind, seeds):
    return [
        (name, seed, sorted(found), simulation.counterexample())
        for name in taken_on(kind)
        for seed in seeds
        if (found := violated_by((simulation := simulated(name, seed, consumer=spec(kind), with_faults=True)).verdict))
    ]


@pytest.mark.parametrize("kind", correct.ALL, ids=lambda kind: kind.__name__)
def test_a_correct_design_is_never_convicted(simulated, kind):
    assert convictions(simulated, kind, range(1)) == []


@pytest.mark.thorough
@pytest.mark.parametrize("kind", correct.ALL, ids=lambda kind: kind.__name__)
def test_a_correct_design_is_never_convicted_in_many_histories(simulated, kind):
    assert convictions(simulated, kind, range(1, 100)) == []


def test_a_design_over_an_idempotent_api_comes_to_a_verdict_in_every_scenario(simulated):
    verdicts = {name: simulated(name, 1, consumer=spec(correct.CallsAnIdempotentApi)).verdict for name in CONCLUSIVE}
    assert {name: verdict.reason for name, verdict in verdicts.items() if verdict.outcome is not Outcome.PASS} == {}


def test_a_scenario_about_patterns_that_are_not_declared_shows_nothing(simulated, monkeypatch):
    verdict = simulated("check-race", 1, consumer=spec(correct.CallsAnIdempotentApi)).verdict
    shown = [item for item in verdict.scenario.witnesses if item.pattern is not None]
    narrowed = replace(verdict, scenario=replace(verdict.scenario, witnesses=tuple(shown)))
    assert narrowed.outcome is Outcome.INCONCLUSIVE
    assert "a pattern that this consumer does not declare" in narrowed.reason


@pytest.mark.parametrize("kind", broken.ALL, ids=lambda kind: kind.__name__)
def test_a_broken_design_next_to_a_correct_one_is_convicted(kind):
    where = {broken.LooksOnlyBeforeItClaims: "zombies", broken.GoesOnAfterATimeout: "groups"}
    name = where.get(kind, "orders")
    tally = explore(Campaign(make_target(name, consumer=spec(kind)), 1500, seed=1)).tally
    assert tally.found is not None, tally
    assert tally.found.invariants & broken.ALL[kind]


def test_a_pattern_is_judged_where_it_is_declared_and_the_verdict_names_the_others(simulated):
    declared = simulated("partial-batch", 1).verdict
    assert declared.undeclared == {}
    quiet = simulated("partial-batch", 1, consumer=spec(correct.LeavesFailedDeletesToTheRedelivery)).verdict
    checks = {"refused-and-forgotten", "deleted-again"}
    assert set(quiet.undeclared) == checks | {"deleted-at-a-later-try", "failed-in-part"}
    assert {item.name for item in quiet.invariants} == {item.name for item in declared.invariants} - checks
    assert {item["pattern"] for item in quiet.as_json()["undeclared"]} == {"retried-entries"}


OWN_PAIRS = [(name, kind) for name, kinds in own_patterns.CORRECT.items() for kind in kinds]
OWN_BROKEN = [(name, kind, found) for name, kinds in own_patterns.BROKEN.items() for kind, found in kinds.items()]


@pytest.mark.parametrize(("name", "kind"), OWN_PAIRS, ids=lambda value: getattr(value, "__name__", value))
def test_a_correct_design_with_a_pattern_of_its_own_is_never_convicted_and_can_pass(simulated, name, kind):
    assert simulated(name, 1, consumer=spec(kind)).verdict.outcome is Outcome.PASS
    verdicts = [simulated(name, seed, consumer=spec(kind), with_faults=True).verdict for seed in range(10)]
    assert [violated_by(verdict) for verdict in verdicts] == [frozenset()] * 10


@pytest.mark.thorough
@pytest.mark.parametrize(("name", "kind"), OWN_PAIRS, ids=lambda value: getattr(value, "__name__", value))
def test_a_correct_design_with_a_pattern_of_its_own_is_never_convicted_in_many_histories(name, kind):
    tally = explore(Campaign(make_target(name, consumer=spec(kind)), 1000, seed=1)).tally
    assert tally.found is None, tally.found


@pytest.mark.parametrize(("name", "kind", "found"), OWN_BROKEN, ids=lambda value: getattr(value, "__name__", None))
def test_a_broken_design_with_a_pattern_of_its_own_is_convicted(name, kind, found):
    tally = explore(Campaign(make_target(name, consumer=spec(kind)), 200, seed=1)).tally
    assert tally.found is not None
    assert tally.found.invariants & found


@pytest.mark.parametrize("kind", unusual.PAIRS, ids=lambda kind: kind.__name__)
def test_a_correct_design_that_remembers_elsewhere_is_never_convicted_and_the_one_next_to_it_is(kind):
    assert explore(Campaign(make_target("orders", consumer=spec(kind)), 150, seed=1)).tally.found is None
    near, found = unusual.PAIRS[kind]
    tally = explore(Campaign(make_target("orders", consumer=spec(near)), 400, seed=1)).tally
    assert tally.found is not None
    assert tally.found.invariants & found


@pytest.mark.parametrize(
    ("kind", "dropped", "spared"),
    [
        (unusual.StampsItsLeaseFirst, (), True),
        (unusual.StampsItsLeaseFirst, (Assumption.SHORT_PAUSES,), False),
        (correct.KeepsAnInbox, (), False),
        (correct.LoopOfItsOwn, (), False),
    ],
    ids=["a lease", "a lease, and long pauses", "no short pauses assumed", "no items"],
)
def test_leases_in_items_are_spared_long_pauses_of_who_assumes_short_ones(kind, dropped, spared):
    assert leases_items(make_target("orders", consumer=spec(kind), dropped=dropped).plan(1)) is spared


@pytest.mark.thorough
@pytest.mark.parametrize("kind", unusual.PAIRS, ids=lambda kind: kind.__name__)
def test_a_correct_design_that_remembers_elsewhere_is_never_convicted_in_many_histories(kind):
    assert explore(Campaign(make_target("orders", consumer=spec(kind)), 1500, seed=1)).tally.found is None


class LeavesPayloadsToTheLifeCycle(LargePayloadConsumer):
    """Remove no payload: a rule of the bucket's life cycle does."""

    follows = frozenset(Pattern) - {Pattern.PAYLOAD_REMOVAL}

    def delete(self, messages):
        yield from super(LargePayloadConsumer, self).delete(messages)


class PromisesToRemoveThem(LeavesPayloadsToTheLifeCycle):
    """The same, with a promise that it does not keep."""

    follows = frozenset(Pattern)


@pytest.mark.parametrize(
    ("kind", "found"), [(LeavesPayloadsToTheLifeCycle, set()), (PromisesToRemoveThem, {"payload-forgotten"})]
)
def test_payloads_may_be_left_to_the_life_cycle_by_who_does_not_promise_to_remove_them(simulated, kind, found):
    violated = set()
    for seed in range(10):
        violated |= violated_by(simulated("large-payload", seed, consumer=spec(kind), with_faults=True).verdict)
    assert violated == found


class LeasesForTheWholeTimeout(LeavesNoMargin):
    """Claim for the whole visibility timeout, and promise no less: a crash may cost a message two receives."""

    follows = frozenset(Pattern) - {Pattern.SHORT_LEASE}


@pytest.mark.parametrize(
    ("kind", "found"), [(LeasesForTheWholeTimeout, set()), (LeavesNoMargin, {"wrongly-dead-lettered"})]
)
def test_a_lease_may_outlast_its_delivery_where_nothing_else_is_promised(kind, found):
    tally = explore(Campaign(make_target("poison", consumer=spec(kind)), 400, seed=1)).tally
    assert (tally.found.invariants if tally.found else set()) == found
