"""Graceful shutdown in simulated time: what a request to end costs, and consumers that answer it wrongly."""

import pytest

from scenarios.exploration.campaign import violated_by
from scenarios.simulation.lab import SimulatedLab


def test_a_receive_is_reserved_until_the_scenario_has_asked_a_consumer_to_end(simulated, monkeypatch):
    costs = []
    ask_to_end = SimulatedLab.ask_to_end

    def watched(lab, *consumers):
        costs.append(lab.scripted_costs())
        ask_to_end(lab, *consumers)
        costs.append(lab.scripted_costs())

    monkeypatch.setattr(SimulatedLab, "ask_to_end", watched)
    simulated("graceful-shutdown", 1)
    assert costs == [1, 0]


@pytest.mark.parametrize(
    ("consumer", "violated"),
    [("GoesOnAfterSigterm", "begun-after-sigterm"), ("BreaksOffWhatIsInHand", "abandoned-at-shutdown")],
)
def test_a_wrong_answer_to_the_scenarios_request_is_more_than_missing_evidence(simulated, consumer, violated):
    simulation = simulated("graceful-shutdown", 1, consumer=f"scenarios.mutants.consumers:{consumer}")
    assert violated_by(simulation.verdict) == {violated}
    assert "leaving   *** SIGTERM ***" in simulation.counterexample()
