"""The strategies, as a user's own tests would use them: every pattern under Hypothesis's eyes."""

import json

import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st

from scenarios.catalog import all_scenarios
from scenarios.exploration.campaign import violated_by
from scenarios.mutants.consumers import CompletesBeforeItPerforms
from scenarios.mutants.workloads import ALL as WORKLOADS
from scenarios.simulation.message_mixes import MALFORMED, MessageMix
from scenarios.strategies import (
    FaultSchedule,
    fault_schedules,
    message_mixes,
    messages,
    random_faults,
    simulations,
    story_faults,
)
from services.faults import Fault, parse_faults
from services.payload import MalformedPayload, parse_payload

NAMES = [*all_scenarios(), *(workload.scenario.name for workload in WORKLOADS)]
FEW = settings(max_examples=15, suppress_health_check=list(HealthCheck), deadline=None)


@pytest.mark.parametrize("examples", [4, pytest.param(15, marks=pytest.mark.thorough)])
@pytest.mark.parametrize("name", NAMES)
def test_a_pattern_holds_whatever_hypothesis_chooses(name, examples):
    @settings(FEW, max_examples=examples)
    @given(simulations(name))
    def holds(simulation):
        assert not violated_by(simulation.verdict), simulation.counterexample()

    holds()


@pytest.mark.parametrize("name", ["orders", "crash"])
@FEW
@given(schedule=fault_schedules(), seed=st.integers(0, 1000))
def test_a_pattern_holds_with_a_schedule_of_ones_own(simulated, name, schedule, seed):
    simulation = simulated(name, seed, schedule=schedule)
    assert not violated_by(simulation.verdict), simulation.counterexample()


def lasting(simulation):
    return [strike for strike in simulation.history.faults if "during" in strike.record["fault"]]


@pytest.mark.thorough
def test_a_broken_consumer_of_ones_own_is_found_and_shrunk():
    found = find(
        simulations("orders", consumer=CompletesBeforeItPerforms, count=1),
        # A fault that lasts strikes many times; what is looked for here is a history of few strikes.
        lambda simulation: bool(simulation.verdict.violations["lost"]) and not lasting(simulation),
        settings=settings(
            max_examples=2000,
            deadline=None,
            database=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
            phases=(Phase.generate, Phase.shrink),
        ),
    )
    # Two would do. Hypothesis shrinks one choice after another, and three faults stand by the times of those two.
    assert len(found.history.faults) <= 5
    assert "lost: message #0" in found.counterexample()


@settings(max_examples=50)
@given(message_mixes(fifo=True, business_field="order_id").flatmap(lambda mix: st.tuples(st.just(mix), messages(mix))))
def test_messages_are_of_their_mix(drawn):
    mix, sent = drawn
    assert 1 <= len(sent) <= 10
    assert {message.group for message in sent} <= {f"g{number}" for number in range(mix.groups)}
    assert len({message.deduplication_id for message in sent}) == len(sent)
    for message in sent:
        assert message.body in MALFORMED or "order_id" in parse_payload(message.body) or mix.no_key


@pytest.mark.parametrize(
    ("mix", "has"),
    [
        (MessageMix(poison=30), lambda sent: any('"poison": true' in message.body for message in sent)),
        (MessageMix(malformed=30), lambda sent: any(_is_malformed(message.body) for message in sent)),
        (MessageMix(repeated=30), lambda sent: len({message.body for message in sent}) < len(sent)),
        (MessageMix(), lambda sent: any(len(message.body) > 1000 for message in sent)),
        (MessageMix(odd_key=30, business_field="order_id"), lambda sent: "01" in _keys(sent)),
        (MessageMix(no_key=30, business_field="order_id"), lambda sent: None in _keys(sent) and "" in _keys(sent)),
        (
            MessageMix(shared_key=30, business_field="order_id"),
            lambda sent: len({json.loads(message.body)["order_id"] for message in sent}) < len(sent),
        ),
    ],
)
def test_what_a_mix_may_hold_it_can_hold(mix, has):
    assert has(find(messages(mix, min_count=2), has, settings=settings(database=None, derandomize=True)))


def _keys(sent):
    return [parse_payload(message.body).get("order_id") for message in sent]


def _is_malformed(body):
    try:
        parse_payload(body)
    except MalformedPayload:
        return True
    return False


@given(story_faults())
def test_a_scripted_fault_is_one_that_every_tier_knows(fault):
    assert isinstance(fault, Fault)
    assert parse_faults(json.dumps([fault.as_json()]))[0].as_json() == fault.as_json()


@given(st.lists(random_faults(), max_size=3))
def test_a_schedule_is_asked_in_the_order_in_which_consumers_start(drawn):
    schedule = FaultSchedule(consumers=(tuple(drawn), ())).begin()
    assert tuple(schedule.of("consumer", "a")) == tuple(drawn)
    assert tuple(schedule.of("consumer", "b")) == ()
    assert tuple(schedule.of("consumer", "c")) == ()
    assert tuple(schedule.of("producer", "p")) == ()


def test_a_simulation_draws_its_count_and_prints_a_line():
    counts = set()

    @settings(max_examples=30, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(simulations("orders"))
    def draw(simulation):
        counts.add(simulation.verdict.conditions.parameters.count)
        assert len(repr(simulation)) < 120
        assert repr(simulation).startswith("<Simulation of orders, ")

    draw()
    assert len(counts) > 2


def test_hypothesis_is_told_how_much_went_wrong(monkeypatch):
    told = {}
    monkeypatch.setattr(
        "scenarios.strategies.simulated.target", lambda value, label: told.setdefault(label, []).append(value)
    )

    @settings(max_examples=30, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(simulations("orders"))
    def draw(simulation):
        assert told["faults"][-1] == len(simulation.history.faults)

    draw()
    assert set(told) == {"faults", "redeliveries"}
    assert max(told["faults"]) > 0
