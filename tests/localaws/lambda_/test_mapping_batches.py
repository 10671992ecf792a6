"""How a mapping gathers batches, and what it deletes."""

import json

import pytest

from infra.localaws.lambda_.actions import Failure, Receive, Result
from infra.localaws.lambda_.limits import MAX_PAYLOAD_BYTES
from infra.localaws.lambda_.records import SourceQueue, record_of
from infra.localaws.lambda_.settings import MappingSettings
from infra.localaws.sqs.content import MessageAttribute
from tests.localaws.lambda_.rig import Rig, failing

REPORTING = MappingSettings(report_item_failures=True)


def test_a_batch_has_ten_messages_unless_set_otherwise():
    rig = Rig()
    rig.send(*map(str, range(23)))
    rig.run(1)
    assert sorted(len(i.records) for i in rig.invocations) == [3, 10, 10]
    assert rig.left() == 0


def test_a_mapping_polls_long():
    rig = Rig()
    receives = [action for action in rig.mapping.actions() if isinstance(action, Receive)]
    assert {receive.wait for receive in receives} == {20}


def test_a_batch_size_below_ten_bounds_the_receive():
    rig = Rig(MappingSettings(batch_size=4))
    rig.send(*map(str, range(9)))
    rig.run(1)
    assert [len(i.records) for i in rig.invocations] == [4, 4, 1]


def test_without_a_window_a_batch_is_sent_with_what_one_receive_brought():
    rig = Rig()
    rig.run(5)
    rig.send("a")
    rig.run(0)
    rig.send("b")
    rig.run(1)
    assert [(i.time, i.bodies) for i in rig.invocations] == [(5, ["a"]), (5, ["b"])]


def test_a_batch_is_sent_when_it_is_full_before_its_window_is_over():
    # Two receives go on side by side, and each gathers a batch of its own.
    rig = Rig(MappingSettings(batch_size=25, window=60, maximum_concurrency=2), visibility=400)
    rig.send(*map(str, range(50)))
    rig.run(1)
    assert [(i.time, len(i.records)) for i in rig.invocations] == [(0, 25), (0, 25)]


def test_a_batch_is_sent_when_its_window_is_over_and_the_window_begins_with_the_first_message():
    rig = Rig(MappingSettings(batch_size=100, window=60), visibility=400)
    rig.run(7)
    rig.send("a")
    rig.run(13)
    rig.send("b")
    rig.run(100)
    # Five receives wait, so the second message may begin a batch of its own.
    assert rig.invocations[0].time == 67
    assert sorted(body for i in rig.invocations for body in i.bodies) == ["a", "b"]
    assert max(i.time for i in rig.invocations) <= 80


def test_a_window_applies_to_small_batches_too():
    rig = Rig(MappingSettings(batch_size=10, window=5))
    rig.send("a", "b")
    rig.run(4.9)
    assert rig.invocations == []
    rig.run(0.2)
    assert [i.bodies for i in rig.invocations] == [["a", "b"]]


def test_the_window_runs_while_the_visibility_timeout_runs():
    rig = Rig(MappingSettings(batch_size=100, window=40), visibility=30, max_receive_count=5)
    rig.send("a")
    rig.run(31)
    # It is visible again, and received again, before the function was ever invoked with it.
    assert rig.invocations == []
    rig.run(10)
    counts = [r["attributes"]["ApproximateReceiveCount"] for i in rig.invocations for r in i.records]
    assert counts[0] == "1"
    rig.run(60)
    counts = [r["attributes"]["ApproximateReceiveCount"] for i in rig.invocations for r in i.records]
    assert "2" in counts


def test_a_batch_is_sent_before_its_event_would_pass_the_payload_limit():
    rig = Rig(MappingSettings(batch_size=100, window=60, maximum_concurrency=2), visibility=400)
    rig.send(*["x" * 1_000_000] * 10)
    rig.run(100)
    sizes = [len(json.dumps({"Records": i.records}, separators=(",", ":"))) for i in rig.invocations]
    assert max(sizes) <= MAX_PAYLOAD_BYTES
    assert sorted(len(i.records) for i in rig.invocations) == [4, 6]
    assert min(i.time for i in rig.invocations) == 0
    assert rig.left() == 0


def test_ten_large_messages_of_one_receive_are_split_even_without_a_window():
    rig = Rig()
    rig.send(*["x" * 1_000_000] * 10)
    rig.run(1)
    assert sorted(len(i.records) for i in rig.invocations) == [4, 6]
    assert rig.left() == 0


def test_deletes_go_out_in_tens():
    rig = Rig(MappingSettings(batch_size=25, window=1, maximum_concurrency=2))
    rig.send(*map(str, range(50)))
    rig.run(3)
    assert [len(messages) for _, messages in rig.deletes] == [10, 10, 5] * 2
    assert rig.left() == 0


def test_a_delete_that_fails_in_part_is_tried_again_for_what_failed():
    rig = Rig(delete_faults=[{0, 2}, {1}])
    first, _, third = rig.send("a", "b", "c")
    rig.run(10)
    assert [messages for _, messages in rig.deletes][1:] == [[first, third], [third]]
    assert [e["messages"] for e in rig.named("deletes-failed")] == [[first, third], [third]]
    assert rig.left() == 0
    assert len(rig.invocations) == 1


def test_deletes_that_go_on_failing_end_with_the_visibility_timeout():
    rig = Rig(delete_faults=[{0}] * 50, visibility=10)
    rig.send("a")
    rig.run(9.9)
    assert len(rig.invocations) == 1
    tries = len(rig.deletes)
    assert tries > 2
    rig.run(0.2)
    assert len(rig.invocations) == 2
    assert rig.invocations[1].records[0]["attributes"]["ApproximateReceiveCount"] == "2"


def test_a_delete_with_a_handle_that_fifo_refuses_is_not_tried_again():
    rig = Rig(fifo=True, visibility=5, seconds=6)
    rig.send_group("g", "a")
    rig.run(7)
    assert len(rig.deletes) == 1
    assert rig.left() == 1


@pytest.mark.parametrize("failure", list(Failure))
def test_a_failed_invocation_deletes_nothing_and_the_batch_waits_out_its_visibility_timeout(failure):
    results = [Result(b"{}", failure)]
    rig = Rig(visibility=30, handler=lambda _: results.pop() if results else None)
    rig.send("a", "b")
    rig.run(29.9)
    assert len(rig.invocations) == 1
    assert rig.deletes == []
    rig.run(0.2)
    assert [i.bodies for i in rig.invocations] == [["a", "b"], ["a", "b"]]
    assert rig.invocations[1].time == pytest.approx(30)
    rig.run(1)
    assert rig.left() == 0


def test_the_mapping_never_changes_a_messages_visibility():
    answers = [Result(b"{}", Failure.ERROR), failing(), None]
    rig = Rig(REPORTING, handler=lambda _: answers.pop(0) if answers else None, reserved=1)
    rig.send("a", "b", "c")
    rig.run(200)
    assert rig.lab.named("visibility-changed") == []
    assert rig.left() == 0


def test_without_report_batch_item_failures_any_answer_is_success():
    rig = Rig(handler=lambda i: failing(*[r["messageId"] for r in i.records]))
    rig.send("a", "b")
    rig.run(1)
    assert rig.left() == 0


def test_named_failures_stay_and_the_others_are_deleted():
    rig = Rig(REPORTING, handler=lambda i: failing(*[r["messageId"] for r in i.records if r["body"] == "bad"]))
    good, bad = rig.send("good", "bad")
    rig.run(29)
    assert [messages for _, messages in rig.deletes] == [[good]]
    assert rig.left() == 1
    rig.run(2)
    assert [i.bodies for i in rig.invocations] == [["good", "bad"], ["bad"]]
    assert rig.invocations[1].records[0]["messageId"] == bad


def test_a_malformed_answer_deletes_nothing():
    answers = [failing("not-in-the-batch"), None]
    rig = Rig(REPORTING, handler=lambda _: answers.pop(0))
    rig.send("a", "b")
    rig.run(29)
    assert rig.deletes == []
    assert rig.named("batch-failed")[0]["reason"] == "malformed answer"
    assert "not in the batch" in rig.named("batch-failed")[0]["detail"]
    rig.run(5)
    assert rig.left() == 0


def test_what_matches_no_filter_is_deleted_without_an_invocation():
    rig = Rig(MappingSettings(filters=('{"body": {"kind": ["order"]}}',)))
    rig.send('{"kind": "order"}', '{"kind": "note"}', "plain")
    rig.run(1)
    assert [i.bodies for i in rig.invocations] == [['{"kind": "order"}']]
    assert rig.left() == 0
    assert len(rig.named("messages-filtered")[0]["messages"]) == 2


def test_filtered_messages_take_no_place_in_a_batch():
    rig = Rig(
        MappingSettings(
            batch_size=10, window=5, maximum_concurrency=2, filters=('{"body": {"n": [{"numeric": [">=", 10]}]}}',)
        )
    )
    rig.send(*[json.dumps({"n": n}) for n in range(30)])
    rig.run(1)
    assert [len(i.records) for i in rig.invocations] == [10, 10]


def test_a_record_has_awss_members():
    rig = Rig()
    attributes = {"t": MessageAttribute("String", "x"), "b": MessageAttribute("Binary", b"\x00\xff")}
    rig.send("hello", attributes=attributes, trace_header="Root=1-5759e988-bd862e3fe1be46a994272793")
    rig.run(1)
    (record,) = rig.invocations[0].records
    received = record.pop("receiptHandle")
    assert isinstance(received, str)
    assert len(record.pop("md5OfMessageAttributes")) == 32
    sent = str(int(rig.start * 1000))
    assert record == {
        "messageId": record["messageId"],
        "body": "hello",
        "attributes": {
            "ApproximateReceiveCount": "1",
            "SentTimestamp": sent,
            "SenderId": "000000000000",
            "ApproximateFirstReceiveTimestamp": sent,
            "AWSTraceHeader": "Root=1-5759e988-bd862e3fe1be46a994272793",
        },
        "messageAttributes": {
            "t": {"stringValue": "x", "stringListValues": [], "binaryListValues": [], "dataType": "String"},
            "b": {"binaryValue": "AP8=", "stringListValues": [], "binaryListValues": [], "dataType": "Binary"},
        },
        "md5OfBody": "5d41402abc4b2a76b9719d911017c592",
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:us-west-1:000000000000:source",
        "awsRegion": "us-west-1",
    }


def test_a_record_without_message_attributes_has_no_digest_of_them():
    rig = Rig()
    rig.send("hello")
    rig.run(1)
    (record,) = rig.invocations[0].records
    assert record["messageAttributes"] == {}
    assert "md5OfMessageAttributes" not in record


def test_a_fifo_record_names_its_group_its_sequence_and_its_deduplication_id():
    rig = Rig(fifo=True)
    rig.send_group("g", "hello")
    rig.run(1)
    attributes = rig.invocations[0].records[0]["attributes"]
    assert attributes["MessageGroupId"] == "g"
    assert len(attributes["SequenceNumber"]) == 20
    assert len(attributes["MessageDeduplicationId"]) == 64


def test_a_dead_letters_record_names_its_source_queue():
    rig = Rig(max_receive_count=1, visibility=5, handler=lambda _: Result(b"{}", Failure.ERROR))
    rig.send("a")
    rig.run(6)
    rig.name = "dead"
    (delivery,) = rig.lab.receive("dead")
    record = record_of(delivery, SourceQueue("dead", rig.lab.model.arn("dead"), fifo=False))
    assert record["attributes"]["DeadLetterQueueSourceArn"] == rig.lab.model.arn("source")


def test_a_disabled_mapping_polls_no_more_and_still_handles_and_deletes_what_it_has():
    rig = Rig(seconds=5)
    rig.send("a")
    rig.run(1)
    rig.mapping.disable()
    rig.send("b")
    rig.run(100)
    assert [i.bodies for i in rig.invocations] == [["a"]]
    assert rig.left() == 1
    assert rig.mapping.is_idle
    rig.mapping.enable()
    rig.run(10)
    assert [i.bodies for i in rig.invocations] == [["a"], ["b"]]
    assert rig.left() == 0


def test_disabling_sends_what_was_gathered_without_waiting_for_the_window():
    rig = Rig(MappingSettings(batch_size=100, window=300), visibility=400)
    rig.send("a")
    rig.run(1)
    assert not rig.mapping.is_idle
    rig.mapping.disable()
    rig.run(1)
    assert [i.bodies for i in rig.invocations] == [["a"]]
    assert rig.mapping.is_idle
    assert rig.left() == 0


def test_an_update_holds_for_the_next_batches():
    rig = Rig()
    rig.mapping.update(MappingSettings(batch_size=2))
    rig.send(*"abcd")
    rig.run(1)
    assert [i.bodies for i in rig.invocations] == [["a", "b"], ["c", "d"]]


@pytest.mark.parametrize("limit", [1, 3, 5, 12])
def test_a_mapping_of_a_lab_receives_no_more_than_its_limit_and_ends(limit):
    rig = Rig(MappingSettings(batch_size=2), message_limit=limit)
    rig.send(*"abcdefghijkl")
    rig.run(60)
    assert sum(len(invocation.records) for invocation in rig.invocations) == limit
    assert rig.left() == 12 - limit
    assert rig.mapping.is_idle
    assert not rig.mapping.enabled
