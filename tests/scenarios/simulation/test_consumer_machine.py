"""The state machine for consumers, as a user's own tests would use it."""

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from scenarios.catalog.fifo_order.naive import GoesOnAfterFailure
from scenarios.lab import QueueInfo
from scenarios.mutants.consumers import DeletesOnReceive, NeverLooksUp
from scenarios.strategies import ConsumerMachine
from services.consumer.idempotency_key import IdempotencyKeyConsumer

FIFO_QUEUE = QueueInfo(visibility_timeout=2, max_receive_count=12, fifo=True)


def run(machine, *, examples=30, steps=12):
    """Let Hypothesis run a machine, the same examples each time."""
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            derandomize=True,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=(Phase.generate,),
        ),
    )


class OnFifo(ConsumerMachine):
    queue = FIFO_QUEUE


class WithKeys(ConsumerMachine):
    consumer = IdempotencyKeyConsumer


@pytest.mark.parametrize("machine", [ConsumerMachine, OnFifo, WithKeys])
def test_our_consumers_pass(machine):
    run(machine)


class WithoutLook(ConsumerMachine):
    consumer = NeverLooksUp


class DeletingEarly(ConsumerMachine):
    consumer = DeletesOnReceive


class OutOfOrder(ConsumerMachine):
    consumer = GoesOnAfterFailure
    queue = FIFO_QUEUE


@pytest.mark.parametrize(
    ("machine", "says"),
    [
        (WithoutLook, r"duplicated-side-effect: the side effect of message #\d was done 2 times"),
        (DeletingEarly, "deleted-before-done|lost: message #"),
        (OutOfOrder, "order-violated: in group"),
    ],
)
def test_a_broken_consumer_fails_with_a_story(machine, says):
    with pytest.raises(AssertionError, match=says):
        run(machine, examples=300)
