"""A redrive in simulated time, as a scenario of one's own asks for it."""

from dataclasses import replace

from scenarios.catalog import find_scenario
from scenarios.simulation.choices import SeededChoices
from scenarios.simulation.run import SimulationPlan, simulate

POISON = find_scenario("poison")


def told(run, count=12):
    """Tell another story in the place of poison's, and return its history."""
    plan = SimulationPlan(replace(POISON, run=run), replace(POISON.defaults, count=count), seed=1)
    return simulate(plan, SeededChoices(1)).history


def test_an_empty_dead_letter_queue_is_moved_back_in_no_time():
    moved = []
    history = told(lambda lab: moved.append(lab.redrive(deadline=1)))
    assert moved == [0]
    assert [(record["status"], record["moved"]) for record in history.events("redriven")] == [("COMPLETED", 0)]


def test_what_is_moved_back_waits_in_the_queue_and_can_be_dead_lettered_again():
    def run(lab):
        POISON.run(lab)
        assert lab.redrive(deadline=5) == 4
        assert len(lab.history.unsettled) == 4
        lab.start_consumer(reject_payload_marker='"poison": true')
        lab.settle(deadline=30)

    history = told(run)
    assert len(history.redriven) == 4
    assert len(history.dead_letters) == 8
    assert {history.latest(item.message_id) for item in history.sends if item.poison} == set(history.redriven)


def test_a_move_task_takes_the_time_that_its_rate_says():
    def run(lab):
        lab.produce(poison_every=1)
        lab.start_consumer(reject_payload_marker='"poison": true', max_messages=10)
        lab.settle(deadline=60)
        lab.stop()
        lab.redrive(deadline=10)

    moved = told(run, count=200).endpoint("moved")
    assert len(moved) == 200
    assert moved[-1]["time"] - moved[0]["time"] > 0.39, "500 a second"
