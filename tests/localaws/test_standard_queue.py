"""What a standard queue promises, on the state machine alone."""

from dataclasses import replace
from random import Random

import pytest

from infra.localaws.sqs.errors import (
    InvalidParameterValue,
    OverLimit,
    ReceiptHandleIsInvalid,
)
from infra.localaws.sqs.limits import MAX_IN_FLIGHT
from infra.localaws.sqs.model import SqsModel
from infra.localaws.sqs.queue import ReceiveRequest
from infra.localaws.sqs.rates import STRICT, DeliveryRates
from tests.localaws.lab import Lab


def test_with_all_rates_off_messages_come_in_the_order_of_their_sends(lab):
    lab.model.create_queue("q")
    for number in range(25):
        lab.send("q", str(number))
    assert [body for _ in range(3) for body in lab.bodies("q")] == [str(number) for number in range(25)]


def test_a_received_message_is_hidden_until_its_visibility_timeout_has_passed(lab):
    lab.model.create_queue("q", {"VisibilityTimeout": "5"})
    lab.send("q", "a")
    assert lab.bodies("q") == ["a"]
    lab.wait(4.999)
    assert lab.bodies("q") == []
    lab.wait(0.001)
    [again] = lab.receive("q")
    assert again.receive_count == 2


def test_a_receive_can_give_a_visibility_timeout_of_its_own(lab):
    lab.model.create_queue("q")
    lab.send("q", "a")
    assert lab.bodies("q", visibility_timeout=0) == ["a"]
    assert lab.bodies("q") == ["a"]


def test_each_receive_gives_a_new_handle_and_an_older_one_deletes_or_not_by_the_rate(lab):
    lab.rates = replace(STRICT, stale_delete=1)
    lab.__post_init__()
    lab.model.create_queue("q", {"VisibilityTimeout": "1"})
    message_id = lab.send("q", "a")
    [first] = lab.receive("q")
    lab.wait(1)
    [second] = lab.receive("q")
    assert first.receipt_handle != second.receipt_handle
    lab.model.delete("q", first.receipt_handle)
    assert lab.named("delete-ignored") == [{"message_id": message_id, "reason": "stale receipt handle"}]
    assert lab.model.queue("q").in_flight == 1
    lab.model.delete("q", second.receipt_handle)
    assert lab.model.queue("q").in_flight == 0
    assert lab.named("deleted") == [{"message_id": message_id}]
    lab.model.reset("q", rates=STRICT)
    lab.send("q", "b")
    [first] = lab.receive("q")
    lab.wait(1)
    lab.receive("q")
    lab.model.delete("q", first.receipt_handle)
    assert not lab.model.queue("q")._messages


def test_a_message_visible_again_comes_before_one_that_was_sent_later(lab):
    lab.model.create_queue("q", {"VisibilityTimeout": "5"})
    for body in "ab":
        lab.send("q", body)
    [first] = lab.receive("q", 1)
    lab.send("q", "c")
    lab.wait(4)
    lab.send("q", "d", delay=1)
    lab.wait(1)
    lab.send("q", "e")
    assert lab.bodies("q") == list("abcde")
    lab.wait(5)
    lab.model.delete("q", first.receipt_handle)
    assert lab.bodies("q") == list("bcde")


def test_the_newest_handle_still_deletes_after_the_timeout_without_another_receive(lab):
    lab.model.create_queue("q", {"VisibilityTimeout": "1"})
    lab.send("q", "a")
    [delivery] = lab.receive("q")
    lab.wait(2)
    lab.model.delete("q", delivery.receipt_handle)
    assert lab.bodies("q") == []


def test_a_deletes_repetition_succeeds(lab):
    lab.model.create_queue("q")
    lab.send("q", "a")
    [delivery] = lab.receive("q")
    lab.model.delete("q", delivery.receipt_handle)
    lab.model.delete("q", delivery.receipt_handle)
    assert len(lab.named("deleted")) == 1
    lab.wait(60)
    assert lab.bodies("q") == []


def test_a_handle_of_another_queue_is_invalid(lab):
    lab.model.create_queue("q")
    lab.model.create_queue("other")
    lab.send("q", "a")
    [delivery] = lab.receive("q")
    for handle in (delivery.receipt_handle, "nonsense"):
        with pytest.raises(ReceiptHandleIsInvalid, match="is not a valid receipt handle"):
            lab.model.delete("other", handle)


def test_visibility_can_be_extended_and_given_up(lab):
    lab.model.create_queue("q", {"VisibilityTimeout": "5"})
    lab.send("q", "a")
    [delivery] = lab.receive("q")
    lab.wait(4)
    lab.model.change_visibility("q", delivery.receipt_handle, 10)
    lab.wait(9)
    assert lab.bodies("q") == []
    lab.model.change_visibility("q", delivery.receipt_handle, 0)
    assert lab.bodies("q") == ["a"]
    assert [fields["timeout"] for fields in lab.named("visibility-changed")] == [10, 0]


def test_visibility_lasts_twelve_hours_from_the_receive_at_most(lab):
    lab.model.create_queue("q")
    lab.send("q", "a")
    [delivery] = lab.receive("q")
    lab.wait(1)
    with pytest.raises(InvalidParameterValue, match="Total VisibilityTimeout"):
        lab.model.change_visibility("q", delivery.receipt_handle, 43_200)
    lab.model.change_visibility("q", delivery.receipt_handle, 43_199)


def test_the_handle_of_a_receive_whose_timeout_is_over_hides_the_message_again(lab):
    lab.model.create_queue("q", {"VisibilityTimeout": "1"})
    lab.send("q", "a")
    [delivery] = lab.receive("q")
    lab.wait(1)
    lab.model.change_visibility("q", delivery.receipt_handle, 0)
    assert lab.model.queue("q").visible == 1
    lab.model.change_visibility("q", delivery.receipt_handle, 5)
    assert lab.bodies("q") == []
    assert lab.model.queue("q").in_flight == 1
    lab.wait(5)
    assert lab.bodies("q") == ["a"]
    assert lab.bodies("q") == []


def test_an_older_handle_changes_the_visibility_of_a_newer_receive(lab):
    lab.model.create_queue("q", {"VisibilityTimeout": "1"})
    lab.send("q", "a")
    [first] = lab.receive("q")
    lab.wait(1)
    lab.receive("q")
    lab.model.change_visibility("q", first.receipt_handle, 5)
    lab.wait(4)
    assert lab.bodies("q") == []
    lab.wait(1)
    assert lab.bodies("q") == ["a"]


def test_a_delayed_message_is_visible_after_its_delay_and_its_own_delay_wins(lab):
    lab.model.create_queue("q", {"DelaySeconds": "10"})
    lab.send("q", "queue's delay")
    lab.send("q", "own delay", delay=5)
    lab.send("q", "no delay", delay=0)
    assert lab.model.attribute_texts("q")["ApproximateNumberOfMessagesDelayed"] == "2"
    assert lab.bodies("q") == ["no delay"]
    lab.wait(5)
    assert lab.bodies("q") == ["own delay"]
    lab.wait(5)
    assert lab.bodies("q") == ["queue's delay"]


def test_a_message_expires_with_its_retention_even_in_flight(lab):
    lab.model.create_queue("q", {"MessageRetentionPeriod": "60", "VisibilityTimeout": "100"})
    first, second = lab.send("q", "in flight"), lab.send("q", "visible")
    lab.receive("q", 1)
    lab.wait(60)
    assert lab.bodies("q") == []
    assert [fields["message_id"] for fields in lab.named("expired")] == [first, second]


def test_a_message_is_dead_lettered_by_the_receive_that_would_exceed_the_maximum(lab):
    lab.model.create_queue("dlq")
    lab.model.create_queue("q", {"VisibilityTimeout": "1", "RedrivePolicy": _redrive(lab, "dlq", 2)})
    message_id = lab.send("q", "a")
    for _ in range(2):
        assert lab.bodies("q") == ["a"]
        lab.wait(1)
    assert lab.bodies("dlq") == []
    assert lab.bodies("q") == []
    assert lab.named("dead-lettered") == [{"message_id": message_id, "receive_count": 2, "to": "dlq"}]
    [moved] = lab.receive("dlq")
    assert (moved.message_id, moved.receive_count) == (message_id, 3)
    assert moved.message.dead_letter_source == lab.model.arn("q")


def test_retention_goes_on_counting_in_the_dead_letter_queue(lab):
    lab.model.create_queue("dlq", {"MessageRetentionPeriod": "60"})
    lab.model.create_queue("q", {"VisibilityTimeout": "1", "RedrivePolicy": _redrive(lab, "dlq", 1)})
    lab.wait(1)
    old = lab.send("q", "old")
    lab.receive("q")
    lab.wait(50)
    lab.send("dlq", "younger")
    lab.receive("q")
    assert lab.model.queue("dlq").visible == 2
    lab.wait(10)
    assert lab.bodies("dlq") == ["younger"]
    assert lab.named("expired") == [{"message_id": old}]


def test_without_its_dead_letter_queue_a_spent_message_stays(lab):
    lab.model.create_queue("dlq")
    lab.model.create_queue("q", {"VisibilityTimeout": "0", "RedrivePolicy": _redrive(lab, "dlq", 1)})
    lab.model.delete_queue("dlq")
    lab.send("q", "a")
    assert [lab.bodies("q") for _ in range(3)] == [["a"]] * 3


def test_at_the_limit_in_flight_a_short_poll_fails_and_a_long_one_waits(lab):
    lab.model.create_queue("q")
    for _ in range(MAX_IN_FLIGHT + 1):
        lab.send("q", "x")
    taken = [delivery for _ in range(MAX_IN_FLIGHT // 10) for delivery in lab.receive("q")]
    assert len(taken) == MAX_IN_FLIGHT
    with pytest.raises(OverLimit):
        lab.receive("q")
    assert lab.receive("q", long_poll=True) == []
    assert lab.model.next_visible_at("q") == lab.time + 30
    told = []
    lab.model._surroundings.on_available = told.append
    lab.model.delete("q", taken[0].receipt_handle)
    assert told == [lab.model.queue("q")]
    assert lab.model.next_visible_at("q") == lab.time
    assert len(lab.receive("q")) == 1


@pytest.mark.parametrize("most", [0, 11, -1])
def test_a_receive_asks_for_one_to_ten_messages(lab, most):
    lab.model.create_queue("q")
    with pytest.raises(
        InvalidParameterValue,
        match=rf"^Value {most} for parameter MaxNumberOfMessages is invalid. Reason: Must be between 1 and 10, if",
    ):
        lab.receive("q", most)


def test_fifo_parameters_are_refused(lab):
    lab.model.create_queue("q")
    with pytest.raises(InvalidParameterValue, match="not valid for this queue type"):
        lab.send("q", "a", deduplication_id="d")
    with pytest.raises(InvalidParameterValue, match="not valid for this queue type"):
        lab.receive("q", attempt_id="d")


# The rates


def test_a_reordered_pick_comes_from_the_first_few_and_is_marked():
    lab = Lab(DeliveryRates(reorder=1, duplicate=0, underfill=0))
    lab.model.create_queue("q")
    for number in range(100):
        lab.send("q", str(number))
    [delivery] = lab.receive("q", 1)
    assert 1 <= int(delivery.body) <= 9
    assert lab.named("delivered")[0]["chaos"] == ["reordered"]


def test_the_only_visible_message_cannot_be_reordered():
    lab = Lab(DeliveryRates(reorder=1, duplicate=0, underfill=0))
    lab.model.create_queue("q")
    lab.send("q", "a")
    lab.receive("q")
    assert "chaos" not in lab.named("delivered")[0]


@pytest.mark.parametrize("which", [0, 1])
def test_a_duplicate_comes_once_more_and_either_handle_deletes(which):
    lab = Lab(DeliveryRates(reorder=0, duplicate=1, underfill=0))
    lab.model.create_queue("q")
    lab.send("q", "a")
    [first] = lab.receive("q")
    assert lab.model.queue("q").visible == 0
    assert lab.model.next_visible_at("q") == lab.time
    [second] = lab.receive("q")
    assert (second.message_id, second.receive_count) == (first.message_id, 2)
    assert [fields.get("chaos") for fields in lab.named("delivered")] == [None, ["duplicate"]]
    assert lab.receive("q") == []
    lab.model.delete("q", (first, second)[which].receipt_handle)
    assert len(lab.named("deleted")) == 1
    lab.wait(60)
    assert lab.receive("q") == []


def test_a_duplicates_shorter_timeout_does_not_cut_the_first_deliverys_short():
    lab = Lab(DeliveryRates(reorder=0, duplicate=1, underfill=0))
    lab.model.create_queue("q")
    lab.send("q", "a")
    lab.receive("q", visibility_timeout=30)
    lab.receive("q", visibility_timeout=1)
    assert lab.model.next_visible_at("q") == lab.time + 30


def test_a_duplicate_never_comes_within_the_same_receive():
    lab = Lab(DeliveryRates(reorder=0, duplicate=1, underfill=0))
    lab.model.create_queue("q")
    for number in range(3):
        lab.send("q", str(number))
    assert lab.bodies("q") == ["0", "1", "2"]
    assert lab.bodies("q") == ["0", "1", "2"]


def test_a_duplicate_that_would_exceed_the_maximum_does_not_come():
    lab = Lab(DeliveryRates(reorder=0, duplicate=1, underfill=0))
    lab.model.create_queue("dlq")
    lab.model.create_queue("q", {"RedrivePolicy": _redrive(lab, "dlq", 1)})
    lab.send("q", "a")
    assert lab.bodies("q") == ["a"]
    assert lab.bodies("q") == []
    assert lab.named("dead-lettered") == []


def test_the_next_visibility_period_can_bring_a_duplicate_again_and_old_handles_are_stale_then():
    lab = Lab(DeliveryRates(reorder=0, duplicate=1, underfill=0, stale_delete=1))
    lab.model.create_queue("q")
    lab.send("q", "a")
    old = lab.receive("q") + lab.receive("q")
    lab.wait(30)
    new = lab.receive("q") + lab.receive("q")
    assert [delivery.receive_count for delivery in new] == [3, 4]
    for delivery in old:
        lab.model.delete("q", delivery.receipt_handle)
    assert lab.named("deleted") == []
    assert len(lab.named("delete-ignored")) == 2


def test_an_underfilled_receive_returns_fewer_and_says_so():
    lab = Lab(DeliveryRates(reorder=0, duplicate=0, underfill=1))
    lab.model.create_queue("q", {"VisibilityTimeout": "0"})
    for number in range(20):
        lab.send("q", str(number))
    short = [len(lab.receive("q")) for _ in range(40)]
    long = [len(lab.receive("q", long_poll=True)) for _ in range(40)]
    assert set(short) <= set(range(10))
    assert 0 in short
    assert set(long) <= set(range(1, 10))
    assert [fields["returned"] for fields in lab.named("underfilled")] == short + long
    assert {fields["available"] for fields in lab.named("underfilled")} == {20}


def test_a_long_poll_for_one_message_is_never_underfilled():
    lab = Lab(DeliveryRates(reorder=0, duplicate=0, underfill=1))
    lab.model.create_queue("q", {"VisibilityTimeout": "0"})
    lab.send("q", "a")
    lab.send("q", "b")
    assert all(lab.receive("q", 1, long_poll=True) for _ in range(20))
    assert lab.named("underfilled") == []


def _story(seed, *, model=None):
    lab = Lab(DeliveryRates(reorder=0.5, duplicate=0.3, underfill=0.3), seed=seed)
    if model is not None:
        lab.model = model(lab)
    lab.model.create_queue("q", {"VisibilityTimeout": "1"})
    for number in range(50):
        lab.send("q", str(number))
    story = []
    for _ in range(60):
        for delivery in lab.receive("q"):
            story.append((delivery.message_id, delivery.body, delivery.receipt_handle))
            if int(delivery.body) % 3:
                lab.model.delete("q", delivery.receipt_handle)
        lab.wait(0.25)
    return story


def test_the_same_seed_and_calls_give_the_same_deliveries():
    assert _story(7) == _story(7)
    assert _story(7) != _story(8)


def test_a_reset_queue_delivers_by_its_own_seed_whatever_came_before():
    def story(before):
        lab = Lab()
        lab.model.create_queue("q", {"VisibilityTimeout": "0"})
        for number in range(before):
            lab.send("q", str(number))
            lab.receive("q")
        lab.model.reset("q", seed=7, rates=DeliveryRates(reorder=0.5, duplicate=0, underfill=0.5))
        for number in range(30):
            lab.send("q", str(number))
        return [lab.bodies("q") for _ in range(30)]

    assert story(0) == story(5)


def test_queues_with_their_own_random_source_do_not_affect_each_other():
    def story(disturb):
        model = SqsModel(
            clock=lambda: 0.0, rng=Random(0), random_for=Random, rates=DeliveryRates(reorder=0.5, underfill=0.5)
        )
        lab = Lab()
        lab.model = model
        for name in ("q", "other"):
            model.create_queue(name, {"VisibilityTimeout": "0"})
            for number in range(20):
                lab.send(name, str(number))
        bodies = []
        for _ in range(20):
            bodies.append(lab.bodies("q"))
            if disturb:
                lab.receive("other")
        return bodies

    assert story(disturb=False) == story(disturb=True)


def test_an_old_handle_deletes_nothing_after_a_reset(lab):
    lab.model.create_queue("q")
    lab.send("q", "a")
    [delivery] = lab.receive("q")
    lab.model.reset("q")
    lab.model.delete("q", delivery.receipt_handle)
    assert lab.named("deleted") == []


@pytest.mark.parametrize("rate", [-0.1, 1.1, "0.5", True, None])
def test_a_rate_is_a_probability(rate):
    with pytest.raises(ValueError, match="reorder is a probability from 0 to 1"):
        DeliveryRates(reorder=rate)


def test_a_waiting_receive_is_told_of_every_change_that_brings_a_message_nearer():
    told = []
    now = [0.0]
    model = SqsModel(
        clock=lambda: now[0], rng=Random(0), rates=STRICT, on_available=lambda queue: told.append(queue.name)
    )
    lab = Lab()
    lab.model = model
    model.create_queue("dlq")
    model.create_queue("q", {"RedrivePolicy": _redrive(lab, "dlq", 1)})

    def heard():
        names = sorted(set(told))
        told.clear()
        return names

    lab.send("q", "a", delay=5)
    assert heard() == ["q"]
    assert model.next_visible_at("q") == 5
    now[0] = 5
    [delivery] = model.receive("q")
    assert heard() == ["q"]
    assert model.next_visible_at("q") == 35
    model.change_visibility("q", delivery.receipt_handle, 10)
    assert heard() == ["q"]
    assert model.next_visible_at("q") == 15
    now[0] = 15
    assert model.receive("q", ReceiveRequest()) == []
    assert heard() == ["dlq"]
    model.delete_queue("q")
    assert heard() == ["q"]


def _redrive(lab, target, most):
    return f'{{"deadLetterTargetArn":"{lab.model.arn(target)}","maxReceiveCount":{most}}}'
