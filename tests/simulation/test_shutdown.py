"""Graceful shutdown in simulated time: what the story's own request to end may cost a message is set aside until then."""

from scenarios.labs.simulated import SimulatedLab


def test_a_receive_is_set_aside_until_the_story_has_asked_a_consumer_to_end(simulated, monkeypatch):
    costs = []
    ask_to_end = SimulatedLab.ask_to_end

    def watched(lab, *consumers):
        costs.append(lab.story_costs())
        ask_to_end(lab, *consumers)
        costs.append(lab.story_costs())

    monkeypatch.setattr(SimulatedLab, "ask_to_end", watched)
    simulated("graceful-shutdown", 1)
    assert costs == [1, 0]
