"""What a FIFO queue promises, on the state machine alone."""

import pytest

from infra.localaws.sqs import fifo
from infra.localaws.sqs.errors import InvalidParameterValue, MissingParameter


def _create(lab, name="q.fifo", **attributes):
    lab.model.create_queue(name, {"FifoQueue": "true", "ContentBasedDeduplication": "true", **attributes})


def _send(lab, body, group="g", **options):
    return lab.send("q.fifo", body, group=group, **options)


def test_a_group_comes_in_order_and_as_much_of_it_as_fits(lab):
    _create(lab)
    for body in ("a1", "b1", "a2", "b2", "a3"):
        _send(lab, body, group=body[0])
    assert lab.bodies("q.fifo", 4) == ["a1", "a2", "a3", "b1"]


def test_a_group_in_flight_gives_out_nothing_while_others_do(lab):
    _create(lab)
    for body in ("a1", "a2", "b1"):
        _send(lab, body, group=body[0])
    [first] = lab.receive("q.fifo", 1)
    assert lab.bodies("q.fifo", 10) == ["b1"]
    lab.model.delete("q.fifo", first.receipt_handle)
    assert lab.bodies("q.fifo", 10) == ["a2"]


def test_a_waiting_receive_is_told_when_a_group_is_free_again(lab):
    _create(lab)
    for body in ("a1", "a2"):
        _send(lab, body)
    [first] = lab.receive("q.fifo", 1)
    assert lab.model.next_visible_at("q.fifo") == lab.time + 30
    told = []
    lab.model._surroundings.on_available = told.append
    lab.model.delete("q.fifo", first.receipt_handle)
    assert told == [lab.model.queue("q.fifo")]
    assert lab.model.next_visible_at("q.fifo") == lab.time


def test_messages_in_flight_block_what_is_behind_them_and_only_that(lab):
    """Of a, b and c, received together, one stays in flight: the messages before it come again."""
    _create(lab, VisibilityTimeout="5")
    for extended, again in (("a", []), ("b", ["a"]), ("c", ["a", "b"])):
        lab.model.reset("q.fifo")
        for body in "abc":
            _send(lab, body)
        for delivery in lab.receive("q.fifo"):
            if delivery.body == extended:
                lab.model.change_visibility("q.fifo", delivery.receipt_handle, 60)
        lab.wait(5)
        assert lab.bodies("q.fifo") == again
        lab.wait(55)
        assert lab.bodies("q.fifo") == ["a", "b", "c"]


def test_a_head_given_back_comes_again_while_the_next_message_is_in_flight(lab):
    _create(lab)
    for body in ("a1", "a2", "a3", "b1", "c1"):
        _send(lab, body, group=body[0])
    first, second = lab.receive("q.fifo", 2)
    lab.model.change_visibility("q.fifo", first.receipt_handle, 0)
    assert lab.model.next_visible_at("q.fifo") == lab.time
    assert lab.bodies("q.fifo") == ["b1", "c1", "a1"]  # the group takes its turn behind the others
    lab.model.delete("q.fifo", second.receipt_handle)
    assert lab.bodies("q.fifo") == []
    lab.wait(30)
    assert lab.bodies("q.fifo") == ["b1", "c1", "a1", "a3"]


def test_a_waiting_receive_is_told_of_a_returned_head(lab):
    _create(lab)
    for body in "ab":
        _send(lab, body)
    first, _ = lab.receive("q.fifo")
    told = []
    lab.model._surroundings.on_available = told.append
    lab.model.change_visibility("q.fifo", first.receipt_handle, 0)
    assert told
    assert lab.model.next_visible_at("q.fifo") == lab.time


def test_messages_behind_the_head_that_are_visible_again_wait_for_it(lab):
    _create(lab, VisibilityTimeout="5")
    for number in range(5):
        _send(lab, str(number))
    taken = lab.receive("q.fifo", 3)
    lab.model.delete("q.fifo", taken[0].receipt_handle)
    lab.model.change_visibility("q.fifo", taken[2].receipt_handle, 0)
    assert lab.bodies("q.fifo") == []
    lab.wait(5)
    assert lab.bodies("q.fifo") == ["1", "2", "3", "4"]


def test_only_the_first_120_000_messages_are_searched_for_groups(lab, monkeypatch):
    assert fifo.MAX_SEARCHED == 120_000
    monkeypatch.setattr(fifo, "MAX_SEARCHED", 50)
    _create(lab)
    for number in range(50):
        lab.send("q.fifo", "x", group="hot", deduplication_id=str(number))
    _send(lab, "late", group="quiet")
    [head] = lab.receive("q.fifo", 1)
    assert lab.bodies("q.fifo") == []
    lab.model.delete("q.fifo", head.receipt_handle)
    hot, quiet = lab.receive("q.fifo", 1), lab.receive("q.fifo", 1)
    assert [delivery.body for delivery in (*hot, *quiet)] == ["x", "late"]


def test_a_repeated_send_is_swallowed_for_five_minutes_even_after_the_delete(lab):
    _create(lab)
    first = _send(lab, "a")
    [delivery] = lab.receive("q.fifo")
    lab.model.delete("q.fifo", delivery.receipt_handle)
    lab.wait(299)
    assert _send(lab, "a") == first
    assert lab.named("sent")[-1] == {"message_id": first, "group": "g", "deduplicated": True}
    assert lab.bodies("q.fifo") == []
    lab.wait(1)
    assert _send(lab, "a") != first
    assert lab.bodies("q.fifo") == ["a"]


def test_the_deduplication_id_wins_over_the_body(lab):
    _create(lab)
    first = _send(lab, "a", deduplication_id="x")
    assert _send(lab, "another", deduplication_id="x") == first
    assert _send(lab, "a", deduplication_id="y") != first


def test_deduplication_spans_the_queue_or_the_group_by_its_scope(lab):
    _create(lab)
    assert _send(lab, "a", group="1") == _send(lab, "a", group="2")
    lab.model.set_attributes("q.fifo", {"DeduplicationScope": "messageGroup"})
    assert _send(lab, "b", group="1") != _send(lab, "b", group="2")


def test_a_handle_expires_with_the_visibility_timeout_and_its_delete_is_an_error(lab):
    _create(lab, VisibilityTimeout="1")
    _send(lab, "a")
    [delivery] = lab.receive("q.fifo")
    lab.wait(1)
    with pytest.raises(InvalidParameterValue, match=r"Reason: The receipt handle has expired\.$"):
        lab.model.delete("q.fifo", delivery.receipt_handle)
    assert lab.bodies("q.fifo") == ["a"]


def test_a_queues_delay_holds_its_groups_in_order(lab):
    _create(lab, DelaySeconds="5")
    _send(lab, "1")
    lab.wait(3)
    _send(lab, "2")
    lab.wait(2)
    [first] = lab.receive("q.fifo")
    assert first.body == "1"
    lab.model.delete("q.fifo", first.receipt_handle)
    assert lab.bodies("q.fifo") == []
    assert lab.model.next_visible_at("q.fifo") == lab.time + 3
    lab.wait(3)
    assert lab.bodies("q.fifo") == ["2"]


def test_a_spent_message_moves_and_the_group_goes_on_without_breaking_its_exclusivity(lab):
    _create(lab, "dlq.fifo")
    policy = f'{{"deadLetterTargetArn":"{lab.model.arn("dlq.fifo")}","maxReceiveCount":1}}'
    _create(lab, VisibilityTimeout="1", RedrivePolicy=policy)
    spent = _send(lab, "1")
    lab.receive("q.fifo", 1)
    for body in ("2", "3", "4"):
        _send(lab, body)
    lab.wait(1)
    assert lab.bodies("q.fifo", 2) == ["2", "3"]
    assert lab.bodies("q.fifo", 2) == []
    [moved] = lab.receive("dlq.fifo")
    assert (moved.message_id, moved.receive_count) == (spent, 2)
    assert moved.message.deduplication_id == spent
    assert moved.message.group == "g"
    assert moved.message.sent_at == lab.time - 1
    lab.wait(345_600 - 1)
    assert len(lab.model.queue("dlq.fifo")._messages) == 1  # its retention began with the move
    lab.wait(1)
    assert lab.bodies("dlq.fifo") == []


def test_an_attempt_repeated_gives_the_same_handles_and_a_new_timeout(lab):
    _create(lab, VisibilityTimeout="10")
    _send(lab, "a")
    [first] = lab.receive("q.fifo", attempt_id="try")
    lab.wait(8)
    [again] = lab.receive("q.fifo", attempt_id="try")
    assert (again.receipt_handle, again.receive_count) == (first.receipt_handle, 1)
    lab.wait(8)
    assert lab.bodies("q.fifo") == []
    lab.model.delete("q.fifo", first.receipt_handle)


@pytest.mark.parametrize("change", ["delete", "visibility", "expiry", "five minutes"])
def test_an_attempt_is_void_once_a_message_of_it_was_changed(lab, change):
    _create(lab, VisibilityTimeout="10" if change == "expiry" else "1000")
    _send(lab, "a", group="1")
    _send(lab, "b", group="2")
    first, _ = lab.receive("q.fifo", attempt_id="try")
    match change:
        case "delete":
            lab.model.delete("q.fifo", first.receipt_handle)
        case "visibility":
            lab.model.change_visibility("q.fifo", first.receipt_handle, 50)
        case "expiry":
            lab.wait(10)
        case _:
            lab.wait(300)
    again = lab.receive("q.fifo", attempt_id="try")
    assert [delivery.receive_count for delivery in again] == ([2, 2] if change == "expiry" else [])


def test_sequence_numbers_increase(lab):
    _create(lab)
    for body in "abc":
        _send(lab, body)
    taken = lab.receive("q.fifo")
    numbers = [delivery.message.sequence_number for delivery in taken]
    assert numbers == sorted(set(numbers))
    assert {len(str(number)) for number in numbers} == {20}
    for delivery in taken:
        lab.model.change_visibility("q.fifo", delivery.receipt_handle, 0)
    assert [delivery.message.sequence_number for delivery in lab.receive("q.fifo")] == numbers


def test_what_a_fifo_send_must_have(lab):
    _create(lab, ContentBasedDeduplication="false")
    with pytest.raises(MissingParameter, match="must contain the parameter MessageGroupId"):
        lab.send("q.fifo", "a", deduplication_id="d")
    with pytest.raises(InvalidParameterValue, match="ContentBasedDeduplication enabled or MessageDeduplicationId"):
        _send(lab, "a")
    with pytest.raises(InvalidParameterValue, match="DelaySeconds is invalid"):
        _send(lab, "a", delay=1, deduplication_id="d")
    for group in ("has space", "x" * 129, "ü"):
        with pytest.raises(InvalidParameterValue, match="MessageGroupId is invalid"):
            _send(lab, "a", group=group, deduplication_id="d")
    _send(lab, "a", group="x" * 128, delay=0, deduplication_id="!~")


@pytest.mark.parametrize("forget", ["purge", "reset"])
def test_a_purge_and_a_reset_forget_the_deduplication_ids(lab, forget):
    _create(lab)
    first = _send(lab, "a")
    getattr(lab.model, forget)("q.fifo")
    assert _send(lab, "a") != first
    assert lab.bodies("q.fifo") == ["a"]


def test_ids_of_the_queues_scope_are_refused_in_every_group_after_a_change_of_scope(lab):
    _create(lab)
    first = _send(lab, "a", group="1")
    lab.model.set_attributes("q.fifo", {"DeduplicationScope": "messageGroup"})
    assert _send(lab, "a", group="1") == _send(lab, "a", group="2") == first
    assert _send(lab, "b", group="1") != _send(lab, "b", group="2")
    lab.wait(300)
    assert _send(lab, "a", group="1") != _send(lab, "a", group="2")


def test_a_moved_message_has_the_id_of_its_source_message_for_deduplication_and_can_be_swallowed(lab):
    _create(lab, "dlq.fifo")
    policy = f'{{"deadLetterTargetArn":"{lab.model.arn("dlq.fifo")}","maxReceiveCount":1}}'
    _create(lab, RedrivePolicy=policy, VisibilityTimeout="0")
    dead = [_send(lab, body) for body in "ab"]
    lab.receive("q.fifo")
    lab.receive("q.fifo")
    known = _send(lab, "the producer knows this id", deduplication_id=dead[1])
    lab.model.start_move_task(lab.model.arn("dlq.fifo"))
    lab.wait(1)
    lab.model.set_attributes("q.fifo", {"VisibilityTimeout": "30"})
    own, back = lab.receive("q.fifo")
    assert (own.message_id, back.body, back.message.deduplication_id) == (known, "a", dead[0])
    assert lab.named("moved")[-1] == {
        "message_id": dead[1],
        "to": "q.fifo",
        "new_message_id": known,
        "deduplicated": True,
    }
    assert _send(lab, "again", deduplication_id=dead[0]) == back.message_id


def test_an_expired_message_frees_its_group(lab):
    _create(lab, MessageRetentionPeriod="60", VisibilityTimeout="1000")
    _send(lab, "old")
    lab.receive("q.fifo")
    lab.wait(30)
    _send(lab, "young")
    assert lab.bodies("q.fifo") == []
    lab.wait(30)
    assert lab.bodies("q.fifo") == ["young"]


def test_a_message_that_is_gone_holds_no_receive_attempt(lab):
    """A message and its attempt form a cycle, and the endpoint lets the garbage collector look for those but seldom."""
    lab.model.create_queue("q.fifo", {"FifoQueue": "true", "MessageRetentionPeriod": "60"})
    for end in ("delete", "expire", "purge", "reset"):
        lab.send("q.fifo", end, group=end, deduplication_id=end)
        [delivery] = lab.receive("q.fifo", attempt_id=end)
        assert delivery.message.attempt is not None
        match end:
            case "delete":
                lab.model.delete("q.fifo", delivery.receipt_handle)
            case "expire":
                lab.wait(61)
                lab.receive("q.fifo")
            case "purge":
                lab.model.purge("q.fifo")
            case "reset":
                lab.model.reset("q.fifo")
        assert delivery.message.attempt is None
