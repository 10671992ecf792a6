"""Backpressure in simulated time: what random faults may cost it, and an autoscaler that is not up to it."""

from functools import partial

from scenarios.catalog import find_scenario
from scenarios.catalog.backpressure.autoscaler import Policy
from scenarios.exploration.campaign import violated_by
from scenarios.history.events import SCALED


def test_random_faults_delay_a_scenario_by_no_more_than_its_delay_budget(simulated):
    held_up = []
    for seed in range(12):
        history = simulated("backpressure", seed, with_faults=True).history
        faults = [strike.record["fault"] for strike in history.faults]
        # The scenario's own delays name their operation; a wrong clock holds nobody up.
        struck = [fault for fault in faults if "operation" not in fault and not fault["kind"].startswith("clock-")]
        held_up.append(sum(history.facts.visibility_timeout + fault.get("seconds", 0.0) for fault in struck))
    assert 0 < max(held_up) <= find_scenario("backpressure").delay_budget


def test_each_decision_stands_in_the_history_with_what_it_was_made_from(simulated):
    simulation = simulated("backpressure", 1)
    first, *others = simulation.history.events(SCALED)
    assert (first["consumers"], first["why"]) == (1, "the beginning")
    assert others
    assert all({"consumers", "why", "messages", "oldest"} <= decision.keys() for decision in others)
    assert "is to have 2 consumers: 3 messages for 1" in simulation.counterexample()


def test_an_autoscaler_with_no_band_to_rest_in_and_no_pause_flaps(simulated, monkeypatch):
    monkeypatch.setattr("scenarios.catalog.backpressure.scenario.Policy", partial(Policy, low=2.0, calm=0.0))
    assert violated_by(simulated("backpressure", 1).verdict) == {"flapping"}
