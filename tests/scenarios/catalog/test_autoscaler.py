"""The autoscaler: what it decides at which load, and that it does not flap under any."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenarios.catalog.backpressure.autoscaler import Autoscaler, Policy
from scenarios.history.backlog import Load

POLICY = Policy(least=1, most=8, high=2.0, low=0.5, oldest=20.0, pause=5.0, calm=10.0)


def decided(*looks, policy=POLICY):
    """Return the numbers of consumers after each of these looks: (moment, messages) or (moment, messages, oldest)."""
    autoscaler = Autoscaler(policy)
    found = []
    for moment, messages, *oldest in looks:
        autoscaler.decide(Load(messages, *oldest or (0.0,)), moment)
        found.append(autoscaler.consumers)
    return found


def test_it_scales_out_to_as_many_as_bring_the_load_down_and_no_further_than_the_most():
    assert decided((0, 2)) == [1]
    assert decided((0, 3)) == [2]
    assert decided((0, 11)) == [6]
    assert decided((0, 1000)) == [8]


def test_a_change_is_given_time_to_show_its_effect():
    assert decided((0, 3), (4.9, 9), (5, 9)) == [2, 2, 5]


def test_an_old_message_calls_for_one_more():
    assert decided((0, 1, 20.0)) == [1]
    assert decided((0, 1, 20.1), (5, 1, 25.0), (6, 1, 26.0)) == [2, 3, 3]


def test_it_scales_in_one_by_one_once_the_load_has_been_low_for_a_while():
    looks = [(0, 6), *((moment, 0) for moment in range(1, 40))]
    assert decided(*looks)[::5] == [3, 3, 3, 2, 2, 1, 1, 1]


@pytest.mark.parametrize("messages", [1, 2, 3, 4])
def test_between_low_and_high_it_rests(messages):
    assert decided((0, 3), *((moment, messages) for moment in range(1, 200))) == [2] * 200


def test_a_load_that_is_low_with_a_break_is_not_low_long_enough():
    looks = [(0, 3), *((moment, 0 if moment % 9 else 1) for moment in range(1, 100))]
    assert set(decided(*looks)) == {2}


def test_with_room_for_one_it_never_changes():
    assert decided((0, 100, 99.0), (10, 0), (30, 0), policy=Policy(most=1)) == [1, 1, 1]


@given(st.lists(st.tuples(st.floats(0.1, 30), st.integers(0, 40), st.floats(0, 60)), max_size=60))
def test_whatever_the_load_it_stays_within_its_bounds_and_takes_no_change_back_at_once(looks):
    autoscaler, moment, changes = Autoscaler(POLICY), 0.0, []
    before = POLICY.least
    for passed, messages, oldest in looks:
        moment += passed
        decision = autoscaler.decide(Load(messages, oldest), moment)
        assert POLICY.least <= autoscaler.consumers <= POLICY.most
        if decision is not None:
            assert decision.consumers == autoscaler.consumers != before
            changes.append((autoscaler.consumers - before, moment))
            before = autoscaler.consumers
    for (first, at), (later, then) in pairwise(changes):
        assert then - at >= (POLICY.calm if first * later < 0 else POLICY.pause)
