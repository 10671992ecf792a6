"""The witness of head-given-back: another consumer takes the failed head while the rest of its group is held."""

import pytest

from scenarios.catalog.head_given_back.checks import find_head_taken_over
from tests.scenarios.recorded import Told


def given_back(*, fails=True, to="second", timeout=0, group_of_rest="g", rest_goes_first=False):
    told = Told(fifo=True)
    told.send("a", group="g")
    told.send("b", group=group_of_rest)
    told.receive("first", "a", "b")
    tried = told.begin("first", "PerformSideEffect", **told.about("a"))
    if fails:
        told.fail("first", tried, "PerformSideEffect", transient=False)
    else:
        told.end("first", tried, "PerformSideEffect", 1)
    if rest_goes_first:
        told.do("first", "ChangeVisibility", [], messages=["m-b"], timeout=0)
    told.do("first", "ChangeVisibility", [], messages=["m-a"], timeout=timeout)
    told.receive(to, "a", count=2)
    told.do("first", "ChangeVisibility", [], messages=["m-b"], timeout=0)
    return told.history


def test_a_head_that_another_takes_while_the_rest_is_held_is_evidence():
    found = find_head_taken_over(given_back())
    assert found.summary == (
        "once, e.g. first gave back message #0 of group g; second received it while first held message #1 behind it"
    )


@pytest.mark.parametrize(
    "near",
    [{"fails": False}, {"to": "first"}, {"timeout": 5}, {"group_of_rest": "h"}, {"rest_goes_first": True}],
    ids=str,
)
def test_a_head_that_nothing_overtakes_is_no_evidence(near):
    assert find_head_taken_over(given_back(**near)) is None
