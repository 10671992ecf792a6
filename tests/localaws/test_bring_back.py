"""What a standard queue's servers may miss: a delete, and on a short poll the only message."""

from random import Random

import pytest

from infra.localaws.sqs.content import MessageDraft
from infra.localaws.sqs.model import SqsModel
from infra.localaws.sqs.queue import ReceiveRequest
from infra.localaws.sqs.rates import STRICT, DeliveryRates


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def queue(rates, **attributes):
    clock = Clock()
    model = SqsModel(clock=clock, rng=Random(1), rates=rates)
    return model, model.create_queue("q", {"VisibilityTimeout": "10", **attributes}), clock


@pytest.mark.parametrize("group", [None, "tenant"])
def test_a_deleted_message_comes_once_more_after_its_visibility_timeout(group):
    model, standard, clock = queue(STRICT)
    model.send("q", MessageDraft("a", group=group))
    (first,) = model.receive("q")
    model.delete("q", first.receipt_handle)
    assert model.attribute_texts("q")["ApproximateNumberOfMessagesNotVisible"] == "0"
    standard.bring_back(first.message, clock.now)
    assert model.receive("q") == []
    clock.now += 10
    (second,) = model.receive("q")
    assert (second.message.message_id, second.receive_count) == (first.message.message_id, 2)
    model.delete("q", second.receipt_handle)
    clock.now += 10
    assert model.receive("q") == []
    assert model.next_visible_at("q") is None


@pytest.mark.parametrize(("long_poll", "empty"), [(False, True), (True, False)])
def test_a_short_poll_can_miss_the_only_message_and_a_long_poll_cannot(long_poll, empty):
    seen = []
    model, _, _ = queue(DeliveryRates(reorder=0, duplicate=0, underfill=0.9))
    model.send("q", MessageDraft("a"))
    for _ in range(20):
        received = model.receive("q", ReceiveRequest(visibility_timeout=0, long_poll=long_poll))
        seen.append(len(received))
    assert (0 in seen) is empty
    assert 1 in seen
