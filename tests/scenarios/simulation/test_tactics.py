"""How a history's faults are chosen: each tactic from its own choices, over the kinds as data."""

import pytest

from scenarios.exploration.targets import make_target
from scenarios.simulation.choices import ReplayedChoices, SeededChoices
from scenarios.simulation.random_faults import CONSUMER_KINDS, PRODUCER_KINDS, Kind, RandomFault
from scenarios.simulation.run import simulate
from scenarios.simulation.tactics import (
    IN_A_ROW,
    MOST_OF_A_PRODUCER,
    ROTATION,
    STARVING,
    Tactic,
    tactical_faults,
)


def drawn(tactic, seed, *, consumers=4):
    """Return what consumers meet in one history, in the order in which they start."""
    source = tactical_faults(tactic, SeededChoices(seed), count=8)
    return [tuple(source.of("consumer", f"consumer-{number}")) for number in range(consumers)]


@pytest.mark.parametrize("tactic", Tactic)
def test_a_tactic_follows_from_its_choices_and_the_simplest_choices_are_no_fault(tactic):
    assert [drawn(tactic, seed) for seed in range(50)] == [drawn(tactic, seed) for seed in range(50)]
    calm = tactical_faults(tactic, ReplayedChoices(()), count=8)
    # Who lags or starves does so at least once: there is no calm history of these two.
    expected = 1 if tactic in (Tactic.LAGGARD, Tactic.STARVED) else 0
    assert sum(len(calm.of("consumer", "c")) for _ in range(4)) == expected


def test_a_swarm_lacks_kinds_and_all_histories_together_lack_none():
    kinds = [{fault.kind for faults in drawn(Tactic.SWARM, seed) for fault in faults} for seed in range(400)]
    assert all(len(met) < len(Kind) for met in kinds)
    assert set().union(*kinds) == {*CONSUMER_KINDS, Kind.CLOCK_SKEW}


def test_swarms_differ_in_their_rates():
    counts = [sum(map(len, drawn(Tactic.SWARM, seed))) for seed in range(200)]
    assert min(counts) == 0
    assert max(counts) > 12


@pytest.mark.parametrize("tactic", Tactic)
def test_a_producer_meets_no_more_than_it_can_take(tactic):
    for seed in range(300):
        faults = tactical_faults(tactic, SeededChoices(seed), count=8).of("producer", "producer")
        assert len(faults) <= MOST_OF_A_PRODUCER
        assert {fault.kind for fault in faults} <= set(PRODUCER_KINDS)


def test_an_aimed_fault_strikes_the_chosen_kind_of_operation_alone():
    target = make_target("orders", count=4)
    aimed = [RandomFault(Kind.SERVER_ERROR, at=2, aim=2)]

    class OnlyTheFirst:
        def of(self, role, name):
            return aimed if name == "consumer-1" else ()

    history = simulate(target.plan(3), ReplayedChoices(()), OnlyTheFirst()).history
    # Receive, Claim and PerformSideEffect are what it does first.
    (strike,) = history.faults
    assert strike.operation == "PerformSideEffect"
    mine = [call for call in history.calls("PerformSideEffect") if call.process == "consumer-1"]
    assert mine[1] is strike.call


def test_aimed_faults_reach_every_kind_and_every_place():
    faults = [fault for seed in range(800) for faults in drawn(Tactic.AIMED, seed) for fault in faults]
    aims = [fault for fault in faults if fault.aim is not None]
    assert {fault.kind for fault in aims} == set(CONSUMER_KINDS)
    by_aim = [sum(fault.aim == aim for fault in aims) for aim in range(8)]
    assert min(by_aim) > 0.7 * max(by_aim)


def test_a_laggard_is_slow_at_operations_in_a_row_and_another_takes_its_place():
    several = alone = 0
    for seed in range(400):
        struck = [faults for faults in drawn(Tactic.LAGGARD, seed) if faults]
        kinds = {fault.kind for faults in struck for fault in faults}
        assert Kind.DELAY in kinds
        if kinds == {Kind.DELAY}:
            alone += 1
            several += len(struck) > 1
    assert 20 < several < alone - 20


def test_half_of_the_laggards_meet_a_swarm_besides():
    for seed in range(200):
        for faults in drawn(Tactic.LAGGARD, seed):
            assert list(faults) == sorted(faults, key=lambda fault: fault.at)
    kinds = [{fault.kind for faults in drawn(Tactic.LAGGARD, seed) for fault in faults} for seed in range(400)]
    swarms = sum(met != {Kind.DELAY} for met in kinds)
    assert 120 < swarms < 220, "some swarms are empty"
    assert set().union(*kinds) == {*CONSUMER_KINDS, Kind.CLOCK_SKEW}


def test_one_consumer_starves_of_one_kind_of_fault():
    met = set()
    for seed in range(200):
        (faults,) = [faults for faults in drawn(Tactic.STARVED, seed) if faults]
        (kind,) = {fault.kind for fault in faults}
        first = faults[0].at
        assert [fault.at for fault in faults] == list(range(first, first + len(faults)))
        assert len(faults) <= IN_A_ROW
        met.add(kind)
    assert met == set(STARVING)


def test_each_tactic_has_its_part_of_a_campaign():
    assert set(ROTATION) == set(Tactic)
    assert ROTATION[0] is Tactic.SWARM
