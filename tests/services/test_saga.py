"""A coordinator takes each order through, or back, and does of it only what nobody has done."""

import pytest

from scenarios.catalog.saga.naive import CompensatesBlindly
from services import operations as op
from services.consumer.saga import REFUSED, SagaConsumer
from tests.services.test_consumer import consume
from tests.services.world import World, message

UNAVAILABLE = op.OperationFailed("ServiceUnavailable", "later", transient=True)


def world(*done, refuses="", receive_count=1):
    """Make a world in which these steps of an order are done, and a participant refuses one."""
    made = World([message(1, receive_count=receive_count)])
    if receive_count > 1:
        made.claims["key-1"] = (1, "STARTED", False)
    made.ledger |= {f"key-1/{step}": 1 for step in done}

    def refuse(operation):
        if operation.key == f"key-1/{refuses}":
            raise op.OperationFailed(REFUSED, "no", transient=False)

    made.on[op.PerformSideEffect] = refuse
    return made


def steps(world):
    """Return what a coordinator set out to do, in order."""
    return [item.key.partition("/")[2] for item in world.asked if isinstance(item, op.PerformSideEffect)]


def test_an_order_goes_through_its_steps():
    made = world()
    assert consume(made, SagaConsumer) == 1
    assert steps(made) == ["reserve", "charge", "ship"]
    assert made.deleted == ["m-1"]


def test_a_refusal_undoes_what_was_done_in_reverse_and_the_order_is_over():
    made = world(refuses="ship")
    assert consume(made, SagaConsumer) == 1
    assert steps(made) == ["reserve", "charge", "ship", "refund", "release"]
    assert made.deleted == ["m-1"]


def test_only_what_was_done_is_undone():
    made = world(refuses="charge")
    consume(made, SagaConsumer)
    assert steps(made) == ["reserve", "charge", "release"]


def test_a_first_step_that_is_refused_leaves_nothing_to_undo():
    made = world(refuses="reserve")
    assert consume(made, SagaConsumer) == 1
    assert steps(made) == ["reserve"]


@pytest.mark.parametrize(
    ("done", "left"),
    [
        ((), ["reserve", "charge", "ship"]),
        (("reserve",), ["charge", "ship"]),
        (("reserve", "charge"), ["ship"]),
        (("reserve", "charge", "ship"), []),
    ],
)
def test_a_successor_on_the_way_forward_does_what_is_left(done, left):
    made = world(*done, receive_count=2)
    assert consume(made, SagaConsumer) == 1
    assert steps(made) == left


@pytest.mark.parametrize(
    ("undone", "left"), [((), ["ship", "refund", "release"]), (("refund",), ["release"]), (("refund", "release"), [])]
)
def test_a_successor_on_the_way_back_undoes_what_is_left(undone, left):
    made = world("reserve", "charge", *undone, refuses="ship", receive_count=2)
    assert consume(made, SagaConsumer) == 1
    assert steps(made) == left


def test_an_order_that_was_given_up_is_not_shipped_although_the_carrier_would_now():
    made = world("reserve", "charge", "refund", receive_count=2)
    consume(made, SagaConsumer)
    assert steps(made) == ["release"]


def test_an_error_that_may_pass_undoes_nothing():
    made = world()
    made.answer(op.PerformSideEffect, 1, UNAVAILABLE)
    assert consume(made, SagaConsumer) == 0
    assert steps(made) == ["reserve", "charge"]
    assert made.outcomes() == ["failed"]


def test_the_naive_twin_refunds_again():
    made = world("reserve", "charge", "refund", refuses="ship", receive_count=2)
    consume(made, CompensatesBlindly)
    assert made.ledger["key-1/refund"] == 2
