"""Partial batches in simulated time: consumers that do not read the answer to a delete."""

import pytest

from scenarios.exploration.campaign import violated_by
from services.consumer.consumer import Consumer
from services.operations import Delete, OperationFailed


class RetriesTheWholeBatch(Consumer):
    """Delete all of a batch until nothing of it fails."""

    def delete(self, messages):
        failures = bool(messages)
        while failures:
            try:
                failures = yield Delete(tuple(messages))
            except OperationFailed:
                continue


@pytest.mark.parametrize(
    ("consumer", "violated"),
    [
        ("scenarios.mutants.consumers:ForgetsRefusedDeletes", "refused-and-forgotten"),
        ("scenarios.mutants.consumers:ForgetsFailedDeletes", "refused-and-forgotten"),
        (f"{__name__}:RetriesTheWholeBatch", "deleted-again"),
    ],
)
def test_a_consumer_that_ignores_the_answer_to_a_delete_is_convicted_without_random_faults(
    simulated, consumer, violated
):
    for seed in range(1, 6):
        assert violated in violated_by(simulated("partial-batch", seed, consumer=consumer).verdict)
