"""Each invariant has a history that it must reject, and one, as near to it as can be, that it must accept."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenarios.checks.invariants import (
    FIFO,
    deleted_before_done,
    duplicated_side_effect,
    endpoint_mismatch,
    in_flight_at_the_end,
    lost,
    order_violated,
    poison_acknowledged,
    recovered,
    unexpected,
    wrongly_dead_lettered,
)
from services.operations import PerformSideEffect, PutItem, Transacted
from tests.scenarios.recorded import DLQ, Told


def all_violations(history):
    return {invariant.name for invariant in FIFO if invariant.check(history)}


def message_ids(violations):
    return [violation.message_ids for violation in violations]


def test_a_run_in_which_all_is_well_violates_nothing():
    told = Told(fifo=True)
    told.send("a", "b", group="g")
    told.send("p", poison=True)
    told.handle("c", "a", "b")
    told.receive("c", "p")
    told.receive("c", "p", count=2)
    told.dead_letter("p")
    told.ledger(a=1, b=1)
    assert all_violations(told.history) == set()


# --- lost --------------------------------------------------------------------------------------------------------


def test_lost_rejects_a_message_that_was_deleted_and_never_done():
    told = Told()
    told.send("a", "b")
    told.handle("c", "a")
    told.receive("c", "b")
    told.delete("c", "b")
    told.ledger(a=1)
    (violation,) = lost(told.history)
    assert violation.message_ids == ("m-b",)
    assert violation.keys == ("b",)
    assert any(record.get("operation") == "Delete" for record in violation.records)


def test_lost_rejects_a_message_that_left_the_queue_without_a_delete():
    told = Told()
    told.send("a")
    told.looked()
    assert message_ids(lost(told.history)) == [("m-a",)]


def test_lost_accepts_what_was_done_by_a_consumer_that_died_before_it_could_say_so():
    told = Told()
    told.send("a")
    told.receive("c", "a")
    told.begin("c", "PerformSideEffect", **told.about("a"))
    told.receive("d", "a", count=2)
    told.delete("d", "a")
    told.ledger(a=1)
    assert lost(told.history) == []


def test_lost_accepts_a_message_whose_send_was_not_acknowledged():
    told = Told()
    told.send("a", acknowledged=False)
    told.looked()
    assert lost(told.history) == []


# --- duplicated side effect --------------------------------------------------------------------------------------


def test_duplicated_rejects_a_ledger_that_counts_two():
    told = Told()
    told.send("a")
    told.receive("c", "a")
    told.effect("c", "a")
    told.receive("d", "a", count=2)
    told.effect("d", "a", executions=2)
    told.ledger(a=2)
    (violation,) = duplicated_side_effect(told.history)
    assert violation.keys == ("a",)
    assert {record["process"] for record in violation.records} == {"c", "d"}


def test_duplicated_rejects_one_key_of_two_messages_that_was_done_for_each():
    told = Told(business_field="order")
    told.send("a", "b", order="o")
    told.effect("c", "a", key="o")
    told.effect("c", "b", executions=2, key="o")
    (violation,) = duplicated_side_effect(told.history)
    assert violation.message_ids == ("m-a", "m-b")


def test_duplicated_believes_the_ledger_and_not_the_number_of_tries():
    told = Told()
    told.send("a")
    told.begin("c", "PerformSideEffect", **told.about("a"))
    told.effect("d", "a")
    told.ledger(a=1)
    assert duplicated_side_effect(told.history) == []


# --- unexpected --------------------------------------------------------------------------------------------------


def test_unrequested_rejects_an_effect_that_no_message_asked_for():
    told = Told()
    told.send("a")
    told.ledger(a=1, ghost=1)
    assert [violation.keys for violation in unexpected(told.history)] == [("ghost",)]


def test_unexpected_accepts_an_effect_of_a_send_whose_outcome_is_unknown():
    told = Told()
    told.send("a", acknowledged=False)
    told.handle("c", "a")
    told.ledger(a=1)
    assert unexpected(told.history) == []
    assert recovered(told.history) == ["m-a"]


def test_what_was_acknowledged_is_not_recovered():
    told = Told()
    told.send("a")
    told.handle("c", "a")
    assert recovered(told.history) == []


# --- order -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("first", "second", "overtaken"), [("one", "two", []), ("two", "one", [("m-a", "m-b")])])
def test_a_copy_that_the_queue_took_again_has_the_place_of_its_first(first, second, overtaken):
    told = Told(fifo=True, business_field="order")
    told.send("a", group="g", order="one")
    told.send("b", group="g", order="two")
    told.send("c", group="g", order="one")
    named = {"one": "a", "two": "b"}
    told.effect("x", named[first], key=first)
    told.effect("x", named[second], key=second)
    assert message_ids(order_violated(told.history)) == overtaken


def test_order_rejects_a_message_that_was_done_after_a_later_one_of_its_group():
    told = Told(fifo=True)
    told.send("a", "b", group="g")
    told.effect("c", "b")
    told.effect("c", "a")
    (violation,) = order_violated(told.history)
    assert violation.message_ids == ("m-a", "m-b")


def test_order_accepts_any_order_between_groups():
    told = Told(fifo=True)
    told.send("a", group="g")
    told.send("b", group="h")
    told.effect("c", "b")
    told.effect("c", "a")
    assert order_violated(told.history) == []


def test_order_accepts_a_failure_that_is_made_up_for_before_the_next():
    told = Told(fifo=True)
    told.send("a", "b", group="g")
    at = told.begin("c", "PerformSideEffect", **told.about("a"))
    told.fault("c", at, "PerformSideEffect", kind="error")
    told.fail("c", at, "PerformSideEffect")
    told.effect("c", "a")
    told.effect("c", "b")
    assert order_violated(told.history) == []


def test_order_does_not_take_a_failure_for_being_in_time():
    told = Told(fifo=True)
    told.send("a", "b", group="g")
    at = told.begin("c", "PerformSideEffect", **told.about("a"))
    told.fault("c", at, "PerformSideEffect", kind="error")
    told.fail("c", at, "PerformSideEffect")
    told.effect("c", "b")
    told.effect("c", "a")
    assert message_ids(order_violated(told.history)) == [("m-a", "m-b")]


def test_order_gives_an_unknown_outcome_the_benefit_of_the_doubt():
    told = Told(fifo=True)
    told.send("a", "b", group="g")
    told.begin("c", "PerformSideEffect", **told.about("a"))
    told.effect("d", "b")
    told.effect("d", "a")
    assert order_violated(told.history) == []


def late(told, key, *, arrives_after):
    """Tell of a side effect that timed out, of others after it, and then of its arrival."""
    at = told.begin("c", "PerformSideEffect", **told.about(key))
    told.fault("c", at, "PerformSideEffect", kind="late-request")
    told.fail("c", at, "PerformSideEffect", code="ReadTimeoutError")
    for other in arrives_after:
        told.effect("d", other)
    told.event("c", "arrived-late", operation="PerformSideEffect", invocation=at, key=key)
    told.ledger(a=1, b=1)


def test_order_rejects_a_late_request_that_a_later_message_overtook():
    told = Told(fifo=True)
    told.send("a", "b", group="g")
    late(told, "a", arrives_after=["b"])
    assert message_ids(order_violated(told.history)) == [("m-a", "m-b")]


def test_order_accepts_a_late_request_that_comes_after_the_repetition_it_was_made_up_for_by():
    told = Told(fifo=True)
    told.send("a", "b", group="g")
    late(told, "a", arrives_after=["a", "b"])
    assert order_violated(told.history) == []


def test_order_takes_effects_at_the_same_time_for_either_order():
    told = Told(fifo=True)
    told.send("a", "b", group="g")
    later = told.begin("c", "PerformSideEffect", **told.about("b"))
    earlier = told.begin("d", "PerformSideEffect", **told.about("a"))
    told.end("c", later, "PerformSideEffect", 1)
    told.end("d", earlier, "PerformSideEffect", 1)
    assert order_violated(told.history) == []


@given(st.permutations(range(6)))
def test_order_is_violated_by_exactly_the_messages_that_were_overtaken(done):
    told = Told(fifo=True)
    told.send(*(f"k{number}" for number in range(6)), group="g")
    for number in done:
        told.effect("c", f"k{number}")
    overtaken = {a for place, a in enumerate(done) if any(b > a for b in done[:place])}
    assert {violation.message_ids[0] for violation in order_violated(told.history)} == {f"m-k{a}" for a in overtaken}


# --- the dead-letter queue, and poison ---------------------------------------------------------------------------


def test_wrongly_dead_lettered_rejects_a_good_message_in_the_dead_letter_queue():
    told = Told()
    told.send("a")
    told.dead_letter("a")
    assert message_ids(wrongly_dead_lettered(told.history)) == [("m-a",)]
    assert lost(told.history) == []


def test_wrongly_dead_lettered_believes_the_endpoint_too():
    told = Told()
    told.send("a")
    told.endpoint("dead-lettered", "a", receive_count=2, to=DLQ)
    assert message_ids(wrongly_dead_lettered(told.history)) == [("m-a",)]


def test_wrongly_dead_lettered_accepts_poison():
    told = Told()
    told.send("p", poison=True)
    told.dead_letter("p")
    assert wrongly_dead_lettered(told.history) == []


# --- deleted before done -----------------------------------------------------------------------------------------


def test_deleted_before_done_rejects_a_delete_before_the_work_although_the_work_is_done_later():
    told = Told()
    told.send("a")
    told.receive("c", "a")
    told.delete("c", "a")
    told.effect("c", "a")
    told.ledger(a=1)
    assert message_ids(deleted_before_done(told.history)) == [("m-a",)]
    assert lost(told.history) == []


def test_deleted_before_done_rejects_the_delete_of_what_another_is_still_at_work_on():
    told = Told()
    told.send("a")
    told.receive("slow", "a")
    at_work = told.begin("slow", "PerformSideEffect", **told.about("a"))
    told.receive("quick", "a", count=2)
    told.do("quick", "Claim", {"type": "HeldByAnother", "owner": "slow", "seconds_left": 1.0}, key="a")
    told.delete("quick", "a")
    told.end("slow", at_work, "PerformSideEffect", 1)
    assert message_ids(deleted_before_done(told.history)) == [("m-a",)]


def test_deleted_before_done_rejects_what_only_another_process_was_told():
    told = Told()
    told.send("a")
    told.do("other", "Claim", {"type": "AlreadyCompleted"}, key="a")
    told.do("other", "LookUpSideEffect", result=True, key="a")
    told.delete("c", "a")
    told.ledger(a=1)
    assert message_ids(deleted_before_done(told.history)) == [("m-a",)]


@pytest.mark.parametrize(("found", "convicted"), [(["b", "a"], []), (["b"], [("m-a",)])])
def test_deleted_before_done_takes_a_read_of_several_side_effects_for_word_of_those_that_it_found(found, convicted):
    told = Told()
    told.send("a", "b")
    told.do("c", "ReadLedger", found, action="BatchGetItem")
    told.delete("c", "a")
    told.ledger(a=1, b=1)
    assert message_ids(deleted_before_done(told.history)) == convicted


def _read_in_an_item(key, *, item, value="done", reader="c"):
    """Tell of a deletion after the read of an item, which another process wrote together with a side effect."""
    told = Told()
    told.send("a", "a1")
    row = PutItem("INBOX#0cc175b9", "done", if_absent=True)
    told.do("other", "Transact", Transacted(done=True, executions=1), writes=(row,), effect=PerformSideEffect(
        **told.about(key)
    ))  # fmt: skip
    told.do(reader, "GetItem", value, key=item)
    told.delete("c", "a")
    told.ledger(a=1, a1=1)
    return message_ids(deleted_before_done(told.history))


@pytest.mark.parametrize(
    ("item", "value"),
    [("INBOX#0cc175b9", "done"), ("INBOX#a", "done"), ("done/a", "done"), ("all", '["a1", "a"]')],
)
def test_deleted_before_done_accepts_an_item_that_speaks_of_the_side_effect(item, value):
    assert _read_in_an_item("a1", item=item, value=value, reader="d") == [("m-a",)]
    if item == "INBOX#0cc175b9":  # the row that went with another side effect
        assert _read_in_an_item("a1", item=item, value=value) == [("m-a",)]
    assert _read_in_an_item("a" if item.endswith("b9") else "a1", item=item, value=value) == []


@pytest.mark.parametrize(("item", "value"), [("INBOX#a", None), ("INBOX#a1", "done"), ("all", '["a1"]')])
def test_deleted_before_done_rejects_an_item_that_does_not(item, value):
    assert _read_in_an_item("a1", item=item, value=value) == [("m-a",)]


def _told_by_its_books(*, program, reads):
    told = Told(program=program)
    told.send("a")
    told.do("other", "LookUpSideEffect", result=True, key="a")
    told.do("other", "OtherRequest", service="dynamodb", action="UpdateItem", resource="status-table")
    if reads:
        told.do("c", "OtherRequest", service="dynamodb", action="GetItem", resource="status-table")
    told.delete("c", "a")
    told.ledger(a=1)
    return message_ids(deleted_before_done(told.history))


def test_deleted_before_done_accepts_what_a_program_may_have_read_in_its_own_books():
    assert _told_by_its_books(program=True, reads=True) == []
    assert _told_by_its_books(program=True, reads=False) == [("m-a",)]
    assert _told_by_its_books(program=False, reads=True) == [("m-a",)]


def test_deleted_before_done_accepts_the_word_of_a_side_effect_a_claim_or_the_ledger():
    told = Told()
    told.send("a", "b", "c")
    told.handle("c", "a")
    told.do("c", "Claim", {"type": "AlreadyCompleted"}, key="b")
    told.delete("c", "b")
    told.do("c", "LookUpSideEffect", result=True, key="c")
    told.delete("c", "c")
    told.ledger(a=1, b=1, c=1)
    assert deleted_before_done(told.history) == []


def test_deleted_before_done_accepts_a_second_delivery_that_is_deleted_after_the_first_was_done():
    told = Told()
    told.send("a")
    told.handle("c", "a")
    told.receive("d", "a", count=2)
    told.delete("d", "a")
    assert deleted_before_done(told.history) == []


# --- poison acknowledged -----------------------------------------------------------------------------------------


def test_poison_acknowledged_rejects_a_delete_by_a_consumer():
    told = Told()
    told.send("p", poison=True)
    told.receive("c", "p")
    told.delete("c", "p")
    assert message_ids(poison_acknowledged(told.history)) == [("m-p",)]
    assert lost(told.history) == []


def test_poison_acknowledged_rejects_a_side_effect():
    told = Told()
    told.send("p", poison=True)
    told.ledger(p=1)
    assert message_ids(poison_acknowledged(told.history)) == [("m-p",)]


def test_poison_acknowledged_accepts_a_refused_delete_and_the_labs_own_emptying():
    told = Told()
    told.send("p", poison=True)
    told.receive("c", "p")
    told.delete("c", "p", refused=[0])
    told.dead_letter("p")
    told.delete("lab-dead-letters", "p", queue=DLQ)
    assert poison_acknowledged(told.history) == []


def send_copy(told, process, identity):
    """Send a message's body again, as its consumer does that lets a copy take its place."""
    body = told.delivered(identity)["body"]
    outgoing = {"body": body, "group": None, "deduplication_id": None}
    sent = [{"entry": 0, "message_id": f"m-{identity}-copy", "sequence_number": None}]
    told.do(process, "Send", {"sent": sent, "failed": []}, messages=[outgoing])


def delete_copy(told, process, identity):
    told.do(process, "Delete", [], messages=[f"m-{identity}-copy"])


def test_poison_acknowledged_accepts_a_delete_after_a_copy_was_sent_and_rejects_that_of_the_copy():
    told = Told()
    told.send("p", poison=True)
    told.receive("c", "p")
    send_copy(told, "c", "p")
    told.delete("c", "p")
    assert poison_acknowledged(told.history) == []
    delete_copy(told, "c", "p")
    assert message_ids(poison_acknowledged(told.history)) == [("m-p-copy",)]


def test_poison_acknowledged_rejects_a_delete_before_the_copy_or_by_another_than_its_sender():
    told = Told()
    told.send("p", poison=True)
    send_copy(told, "d", "p")
    told.delete("c", "p")
    send_copy(told, "c", "p")
    assert message_ids(poison_acknowledged(told.history)) == [("m-p",)]


# --- still in flight ---------------------------------------------------------------------------------------------


def test_in_flight_rejects_a_message_that_no_consumer_deleted():
    told = Told()
    told.send("a", "b")
    told.handle("c", "a")
    told.receive("c", "b")
    assert message_ids(in_flight_at_the_end(told.history)) == [("m-b",)]
    assert lost(told.history) == []


def test_in_flight_rejects_what_the_lab_found_in_the_queue():
    told = Told()
    told.send("a")
    told.handle("c", "a")
    told.looked("a")
    assert message_ids(in_flight_at_the_end(told.history)) == [("m-a",)]


def test_in_flight_accepts_a_delete_of_unknown_outcome_once_the_queue_was_seen_empty():
    told = Told()
    told.send("a")
    told.receive("c", "a")
    told.effect("c", "a")
    told.begin("c", "Delete", messages=["m-a"])
    assert message_ids(in_flight_at_the_end(told.history)) == [("m-a",)]
    told.looked()
    assert in_flight_at_the_end(told.history) == []
    assert lost(told.history) == []


# --- both sides --------------------------------------------------------------------------------------------------


def told_by_both():
    told = Told()
    told.send("a", endpoint=True)
    told.endpoint("delivered", "a", receive_count=1)
    told.receive("c", "a")
    told.effect("c", "a")
    told.endpoint("deleted", "a")
    told.delete("c", "a")
    told.ledger(a=1)
    return told


def without(told, *, process, **facts):
    told.records = [
        record for record in told.records if not (record["process"] == process and facts.items() <= record.items())
    ]
    return told.history


def test_both_sides_agree_where_they_do():
    assert endpoint_mismatch(told_by_both().history) == []


def test_a_delete_that_the_endpoint_never_had_is_a_disagreement():
    history = without(told_by_both(), process="endpoint", event="deleted")
    assert [violation.summary for violation in endpoint_mismatch(history)] == [
        "c saw message #0 deleted, and the queue never deleted it."
    ]


def test_an_ignored_delete_is_a_trace_of_it():
    told = told_by_both()
    told.endpoint("delete-ignored", "a", reason="stale receipt handle")
    assert endpoint_mismatch(without(told, process="endpoint", event="deleted")) == []


def test_a_deletion_that_no_process_asked_for_is_a_mismatch():
    told = told_by_both()
    told.send("b", endpoint=True)
    told.endpoint("deleted", "b")
    assert message_ids(endpoint_mismatch(told.history)) == [("m-b",)]


def test_a_delivery_that_no_process_received_is_a_mismatch():
    told = told_by_both()
    told.endpoint("delivered", "a", receive_count=2)
    (violation,) = endpoint_mismatch(told.history)
    assert "no consumer received it" in violation.summary


def test_a_delivery_to_a_consumer_that_died_in_its_receive_is_none():
    told = told_by_both()
    told.begin("d", "Receive", max_messages=1, wait_seconds=1)
    told.endpoint("delivered", "a", receive_count=2)
    assert endpoint_mismatch(told.history) == []


def test_a_message_received_that_was_not_handed_out_is_a_disagreement():
    history = without(told_by_both(), process="endpoint", event="delivered")
    (violation,) = endpoint_mismatch(history)
    assert "was not handed out" in violation.summary


def test_a_send_that_the_queue_never_had_is_a_disagreement():
    history = without(told_by_both(), process="endpoint", event="sent")
    (violation,) = endpoint_mismatch(history)
    assert "the queue never had it" in violation.summary


def test_a_message_in_the_queue_that_no_producer_sent_is_a_mismatch():
    told = told_by_both()
    told.endpoint("sent", "ghost")
    assert message_ids(endpoint_mismatch(told.history)) == [("m-ghost",)]


def test_a_ledger_that_counts_more_than_could_have_been_done_is_a_disagreement():
    told = told_by_both()
    told.ledger(a=2)
    (violation,) = endpoint_mismatch(told.history)
    assert violation.keys == ("a",)


def test_a_ledger_that_misses_what_was_done_is_a_disagreement():
    told = told_by_both()
    told.ledger()
    assert [violation.keys for violation in endpoint_mismatch(told.history)] == [("a",)]


def test_a_crash_in_a_side_effect_explains_either_count():
    for count in (1, 2):
        told = told_by_both()
        told.begin("d", "PerformSideEffect", **told.about("a"))
        told.ledger(a=count)
        assert endpoint_mismatch(told.history) == []


# --- as a whole --------------------------------------------------------------------------------------------------

FATES = st.sampled_from(["handled", "handled twice", "crashed and handled", "dead-lettered", "left", "deleted undone"])
EXPECTED = {
    "handled": set(),
    "handled twice": {"duplicated-side-effect"},
    "crashed and handled": set(),
    "dead-lettered": {"wrongly-dead-lettered"},
    "left": {"in-flight-at-end"},
    "deleted undone": {"lost"},
}


@given(st.lists(FATES, max_size=8))
def test_each_message_is_judged_by_its_own_fate_and_by_one_invariant_alone(outcomes):
    told = Told()
    executions, expected = {}, set()
    for number, fate in enumerate(outcomes):
        key = f"k{number}"
        expected |= {(name, (f"m-{key}",)) for name in EXPECTED[fate]}
        told.send(key)
        told.receive("c", key)
        if fate == "dead-lettered":
            told.dead_letter(key)
        if fate in ("handled", "handled twice"):
            told.effect("c", key)
            executions[key] = 1
        if fate in ("handled twice", "crashed and handled"):
            told.receive("d", key, count=2)
            executions[key] = executions.get(key, 0) + 1
            told.effect("d", key, executions=executions[key])
        if fate not in ("dead-lettered", "left"):
            told.delete("d" if key in executions and fate != "handled" else "c", key)
    told.ledger(**executions)
    found = {
        (invariant.name, violation.message_ids) for invariant in FIFO for violation in invariant.check(told.history)
    }
    assert found == expected
