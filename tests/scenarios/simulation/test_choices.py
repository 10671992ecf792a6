import pytest

from scenarios.simulation.choices import (
    ChosenRandom,
    DrawnChoices,
    RecordedChoices,
    ReplayedChoices,
    SeededChoices,
)

TAME = DrawnChoices(lambda bound: 0)
WILD = DrawnChoices(lambda bound: bound - 1)


@pytest.mark.parametrize("bound", [1, 2, 100, 128, 129, 1000, 20_000, 1_000_000])
def test_a_number_is_below_its_bound_and_can_be_any(bound):
    assert TAME.below(bound) == 0
    assert WILD.below(bound) == bound - 1
    choices = SeededChoices(3)
    assert all(0 <= choices.below(bound) < bound for _ in range(200))


def test_the_tame_answer_is_no():
    assert not TAME.chance(99)
    assert WILD.chance(1)
    assert not WILD.chance(0)
    assert TAME.pick("abc") == "a"


def test_what_was_recorded_is_replayed_and_then_all_is_tame():
    recorded = RecordedChoices(SeededChoices(5))
    drawn = [recorded.below(1000) for _ in range(20)]
    replayed = ReplayedChoices(recorded.taken)
    assert [replayed.below(1000) for _ in range(20)] == drawn
    assert [replayed.below(1000) for _ in range(3)] == [0, 0, 0]


def test_a_replay_stays_below_a_bound_that_has_become_smaller():
    assert ReplayedChoices([90]).below(10) == 9


def test_the_same_seed_draws_the_same_on_every_python():
    # Written down once: a Python on which this fails cannot repeat the others' histories.
    choices = SeededChoices(7)
    assert [choices.draw(100) for _ in range(8)] == [32, 15, 65, 7, 53, 36, 5, 50]


def test_the_queues_decisions_are_choices_and_its_ids_are_not():
    recorded = RecordedChoices(TAME)
    random = ChosenRandom(recorded, seed=1)
    assert random.random() == 0.99, "no event of a lesser probability happens"
    assert random.randrange(0, 5) == 4, "a receive is as full as can be"
    assert random.choice([3, 4]) == 3
    assert len(recorded.taken) == 3
    assert random.getrandbits(122) != random.getrandbits(122)
    assert len(recorded.taken) == 3
    assert ChosenRandom(WILD, seed=1).random() == 0.0
