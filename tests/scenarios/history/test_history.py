import json
import random

import pytest

from scenarios.errors import HistoryError
from scenarios.history.files import (
    HistoryTail,
    TailedFile,
    read_history,
    record_line,
    write_history,
)
from scenarios.history.history import History
from tests.scenarios.recorded import DLQ, Told


def write_lines(path, records):
    path.write_bytes(b"".join(record_line(record) for record in records))


def event(process, index, time, **rest):
    return {"time": time, "process": process, "index": index, "type": "event", "event": "x", **rest}


def test_records_are_ordered_by_time_then_process_then_index():
    wanted = [event("b", 0, 1.0), event("a", 0, 2.0), event("a", 1, 2.0), event("b", 1, 2.0), event("a", 2, 3.0)]
    shuffled = random.Random(3).sample(wanted, len(wanted))
    assert list(History(shuffled).records) == wanted


def test_an_answer_without_its_question_is_refused_with_a_sentence():
    answer = {"time": 1.0, "process": "a", "index": 5, "type": "ok", "invocation": 4, "operation": "Send", "result": 1}
    with pytest.raises(HistoryError, match="not whole: record 5 of a speaks of record 4"):
        History([answer])


def test_the_files_of_all_processes_become_one_history(tmp_path):
    write_lines(tmp_path / "a.jsonl", [event("a", 0, 1.0), event("a", 1, 4.0)])
    write_lines(tmp_path / "b.jsonl", [event("b", 0, 2.0)])
    tail = HistoryTail(tmp_path)
    assert tail.poll()
    assert [(record["process"], record["index"]) for record in tail.history.records] == [("a", 0), ("b", 0), ("a", 1)]


def test_a_line_cut_by_a_kill_is_ignored(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(record_line(event("a", 0, 1.0)) + record_line(event("a", 1, 2.0))[:-9])
    tail = HistoryTail(tmp_path)
    tail.poll()
    assert [record["index"] for record in tail.history.records] == [0]


def test_a_line_is_read_once_it_is_complete(tmp_path):
    path, line = tmp_path / "a.jsonl", record_line(event("a", 0, 1.0))
    tail = HistoryTail(tmp_path)
    assert not tail.poll()
    path.write_bytes(line[:10])
    assert not tail.poll()
    path.write_bytes(line)
    assert tail.poll()
    assert not tail.poll()
    assert len(tail.history.records) == 1


def test_a_tail_begins_where_it_is_told_and_keeps_what_it_is_told(tmp_path):
    path = tmp_path / "endpoint"
    write_lines(path, [event("e", 0, 1.0, queue="ours")])
    tail = TailedFile(path, offset=path.stat().st_size, keep=lambda record: record["queue"] == "ours")
    with path.open("ab") as file:
        file.write(record_line(event("e", 1, 2.0, queue="theirs")) + record_line(event("e", 2, 3.0, queue="ours")))
    assert [record["index"] for record in tail.new_records()] == [2]


@pytest.mark.parametrize("line", [b"{}\n", b"[1]\n", b"7\n", b"not json\n", b"\xff\n"])
def test_a_complete_line_that_is_no_record_is_named(tmp_path, line):
    path = tmp_path / "a.jsonl"
    path.write_bytes(line)
    with pytest.raises(HistoryError, match=r"a\.jsonl holds a line that is no record"):
        HistoryTail(tmp_path).poll()


def test_a_written_history_reads_as_the_same_history(tmp_path):
    told = Told()
    told.send("a")
    told.handle("c", "a")
    write_history(told.history, tmp_path / "h")
    assert read_history(tmp_path / "h").records == told.history.records


def test_a_history_that_is_not_there_is_a_sentence(tmp_path):
    with pytest.raises(HistoryError, match="cannot be read"):
        read_history(tmp_path / "nothing")


def test_a_send_that_a_fifo_queue_swallowed_as_a_duplicate_is_one_message():
    told = Told(fifo=True)
    told.send("a", group="g")
    told.send("a", group="g")
    assert len(told.history.sends) == 1


def numbered(*sent):
    """Tell of sends, one after the other: producer, group, and the sequence number that the queue gave."""
    told = Told(fifo=True)
    for place, (process, group, number) in enumerate(sent):
        message = {"body": json.dumps({"id": str(place)}), "group": group, "deduplication_id": None}
        invocation = told.begin(process, "Send", messages=[message])
        entry = {"entry": 0, "message_id": f"m-{place}", "sequence_number": str(number)}
        told.end(process, invocation, "Send", {"sent": [entry], "failed": []})
    return [message.position for message in told.history.sends]


@pytest.mark.parametrize(
    ("sent", "positions"),
    [
        ([("p", "g", 10), ("p", "g", 20)], [10, 20]),
        ([("p", "g", 20), ("q", "g", 10)], [20, 10]),  # two producers: only the queue knows
        ([("p", "g", 20), ("p", "h", 10)], [20, 10]),  # numbers grow within a group
        ([("p", "g", 20), ("p", "g", 10)], [0, 1]),  # at random, as moto's: the order of the answers is all there is
        ([("p", "g", 10), ("p", "g", 30), ("p", "g", 20)], [0, 1, 2]),
    ],
)
def test_sequence_numbers_order_the_sends_unless_they_are_drawn_at_random(sent, positions):
    assert numbered(*sent) == positions


def test_a_send_whose_reply_was_lost_gave_the_numbers_that_its_repetition_hears_of():
    told = Told(fifo=True)
    messages = [{"body": json.dumps({"id": name}), "group": "g", "deduplication_id": name} for name in "ab"]
    told.fail("p", told.begin("p", "Send", messages=messages), "Send")
    for name, number in (("b", 20), ("a", 10)):  # the repetition fails in part, and then comes the rest
        invocation = told.begin("p", "Send", messages=[message for message in messages if name in message["body"]])
        entry = {"entry": 0, "message_id": f"m-{name}", "sequence_number": str(number)}
        told.end("p", invocation, "Send", {"sent": [entry], "failed": []})
    assert {message.key: message.position for message in told.history.sends} == {"a": 10, "b": 20}


def test_what_the_lab_receives_from_the_dead_letter_queue_is_no_delivery_of_the_queue_under_study():
    told = Told()
    told.send("a", poison=True)
    told.receive("c", "a")
    told.receive("lab-dead-letters", "a", count=3, queue=DLQ)
    assert [delivery.process for delivery in told.history.deliveries] == ["c"]
    assert list(told.history.dead_letters) == ["m-a"]


def test_a_business_field_is_the_key_where_the_run_says_so():
    told = Told(business_field="order")
    told.send("a", order="o-1")
    told.send("b", order="o-1")
    assert {message.key for message in told.history.sends} == {"o-1"}


def test_a_body_that_is_no_object_counts_as_poison_under_its_message_id():
    told = Told()
    told.send("a")
    told.records[1]["arguments"]["messages"][0]["body"] = json.dumps([1])
    (message,) = told.history.sends
    assert (message.key, message.poison) == ("m-a", True)


@pytest.mark.parametrize(
    ("ending", "status"),
    [
        (lambda told, at: told.end("c", at, "Complete", True), "ok"),
        (lambda told, at: None, "unknown"),
        (lambda told, at: told.fault("c", at, "Complete", point="before"), "fail"),
        (lambda told, at: told.fail("c", at, "Complete", transient=True), "unknown"),
        (lambda told, at: told.fail("c", at, "Complete", transient=False), "fail"),
    ],
    ids=["done", "died during it", "died before it", "nobody knows", "refused"],
)
def test_the_outcome_of_an_operation_is_known_only_if_a_record_tells(ending, status):
    told = Told()
    ending(told, told.begin("c", "Complete", key="a", fencing_token=1))
    assert told.history.calls("Complete")[0].status == status


def test_an_injected_error_surely_kept_the_operation_from_being_done():
    told = Told()
    at = told.begin("c", "Complete", key="a", fencing_token=1)
    told.fault("c", at, "Complete", kind="error")
    told.fail("c", at, "Complete", transient=True)
    assert told.history.calls("Complete")[0].status == "fail"


def test_without_an_endpoints_word_a_delete_with_an_old_receipt_handle_does_not_count():
    told = Told()
    told.send("a")
    told.receive("slow", "a")
    told.receive("quick", "a", count=2)
    told.delete("slow", "a")
    assert not told.history.gone
    told.delete("quick", "a")
    assert told.history.gone == {"m-a"}


def test_with_an_endpoints_word_only_what_it_deleted_is_gone():
    told = Told()
    told.send("a", endpoint=True)
    told.receive("c", "a")
    told.delete("c", "a")
    assert not told.history.gone
    told.endpoint("deleted", "a")
    assert told.history.gone == {"m-a"}


def test_a_file_is_read_in_the_labs_seconds_and_only_where_a_name_of_interest_stands(tmp_path):
    lines = [
        {"time": at, "process": "endpoint", "index": at, "type": "event", "event": "sent", "queue": queue}
        for at, queue in enumerate(("ours", "theirs", "ours"), start=10)
    ]
    path = tmp_path / "endpoint.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines) + "no record, and nobody's: theirs\n")
    tail = TailedFile(path, names=["ours"], speed=2.0)
    assert [record["time"] for record in tail.new_records()] == [20.0, 24.0]
    assert tail.new_records() == []


def test_a_note_of_a_consumer_named_like_the_recorders_own_event_is_no_reading_of_the_clock():
    told = Told()
    told.event("c", "clock", says=3)
    assert told.history.clock_change == 0.0
    told.event("c", "clock", wall_minus_monotonic=1.0)
    told.event("c", "clock", wall_minus_monotonic=1.5)
    assert told.history.clock_change == 0.5


def test_a_stale_read_is_found_by_its_key_and_a_programs_by_its_process():
    told = Told()
    for process, operation, about in [
        ("class", "GetItem", {"key": "row"}),
        ("program", "OtherRequest", {"service": "dynamodb", "action": "Query", "resource": "status-table"}),
        ("program", "LookUpSideEffect", {"key": "row"}),
    ]:
        # Another process reads meanwhile, and one dies with a read whose answer it never hears.
        for other in ("other", "program"):
            told.begin(other, operation, **about)
        read = told.begin(process, operation, **about)
        reader = {} if process == "class" else {"reader": process}
        told.event("endpoint", "stale-read", queue="", key="row" if process == "class" else "item", **reader)
        told.end(process, read, operation)
    found = [(read.process, read.operation, read.status) for read in told.history.stale_reads if read.outcome]
    assert found == [
        ("class", "GetItem", "ok"),
        ("program", "OtherRequest", "ok"),
        ("program", "LookUpSideEffect", "ok"),
    ]
    assert all(read.outcome or read.operation == "GetItem" for read in told.history.stale_reads)
