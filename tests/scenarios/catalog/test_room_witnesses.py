"""Each witness of a pattern has a history in which it finds its evidence, and near ones in which it must not."""

import pytest

from scenarios.catalog.business_idempotency.checks import several_messages
from scenarios.catalog.heartbeat.checks import find_lost_lease, find_work_exceeded_timeout
from scenarios.catalog.partial_batch.checks import (
    find_deleted_at_a_later_try,
    find_failed_in_part,
    find_good_among_poison,
)
from scenarios.catalog.retry_backoff.checks import (
    find_healed_after_retries,
    find_put_off_apart,
    find_put_off_for_longer,
)
from scenarios.catalog.side_effects.checks import find_found_in_ledger
from scenarios.catalog.visibility_too_short.checks import longer_than
from scenarios.checks.business import messages_by
from scenarios.checks.witnesses import find_claim_contention
from tests.scenarios.recorded import Told


def looked_up(*, by="rescuer", answer=True, completed=False):
    told = Told()
    told.send("a")
    told.receive("victim", "a")
    told.effect("victim", "a")
    if completed:
        told.do("victim", "Complete", True, key="a", fencing_token=1)
    told.do(by, "LookUpSideEffect", answer, key="a")
    return told.history


def test_a_side_effect_without_bookkeeping_that_another_finds_is_evidence():
    assert find_found_in_ledger(looked_up()).summary == (
        "once, e.g. message #0: victim caused its side effect and died, rescuer found it in the ledger"
    )


@pytest.mark.parametrize("near", [{"by": "victim"}, {"answer": False}, {"completed": True}])
def test_a_look_up_that_prevents_no_repetition_is_no_evidence(near):
    assert find_found_in_ledger(looked_up(**near)) is None


def claimed(*, by="second", answer="HeldByAnother", during=True):
    told = Told()
    told.send("a")
    at = told.begin("first", "PerformSideEffect", **told.about("a"))
    if not during:
        told.end("first", at, "PerformSideEffect", 1)
    told.do(by, "Claim", {"type": answer}, key="a", owner=by, lease_seconds=1)
    if during:
        told.end("first", at, "PerformSideEffect", 1)
    return told.history


def test_a_claim_that_is_refused_while_another_is_at_work_is_evidence():
    assert find_claim_contention(claimed()).count == 1


@pytest.mark.parametrize("near", [{"by": "first"}, {"answer": "AlreadyCompleted"}, {"during": False}])
def test_a_claim_that_meets_no_working_consumer_is_no_evidence(near):
    assert find_claim_contention(claimed(**near)) is None


@pytest.mark.parametrize(
    ("orders", "received", "found"),
    [(("o", "o"), 2, True), (("o", "o"), 1, False), (("o", "p"), 2, False)],
    ids=["one order", "one received", "two orders"],
)
def test_several_messages_are_two_that_name_one_order_and_are_received(orders, received, found):
    told = Told()
    for identity, order in zip("ab", orders, strict=True):
        told.send(identity, order_id=order)
    told.receive("c", *"ab"[:received])
    assert (several_messages(messages_by, "order_id").find(told.history) is not None) is found


@pytest.mark.parametrize(
    ("together", "deleted", "found"),
    [("abp", "ab", True), ("ab", "ab", False), ("abp", "a", False), ("abp", "abp", False), ("p", "", False)],
)
def test_good_among_poison_is_a_mixed_batch_of_which_just_the_good_are_deleted(together, deleted, found):
    told = Told()
    told.send("a", "b")
    told.send("p", poison=True)
    told.receive("c", *together)
    if deleted:
        told.delete("c", *deleted)
    assert (find_good_among_poison(told.history) is not None) is found


@pytest.mark.parametrize(
    ("refused", "again", "by", "found"),
    [((1,), "b", "c", True), ((), "b", "c", False), ((1,), "a", "c", False), ((1,), "b", "d", False)],
    ids=["retried", "nothing failed", "another message", "another consumer"],
)
def test_deletes_that_failed_in_part_and_were_tried_again_are_evidence(refused, again, by, found):
    told = Told()
    told.send("a", "b")
    told.receive("c", "a", "b")
    told.delete("c", "a", "b", failed=refused)
    told.delete(by, again)
    assert (find_deleted_at_a_later_try(told.history) is not None) is found


def failed_as_a_whole(*, transient=True, between=False, again=True):
    told = Told()
    told.send("a", "b")
    told.receive("c", "a", "b")
    told.fail("c", told.begin("c", "Delete", messages=["m-a", "m-b"]), "Delete", transient=transient)
    if between:
        told.receive("c", "a", "b", count=2)
    if again:
        told.delete("c", "a", "b")
    return told.history


def test_a_call_of_deletes_that_failed_as_a_whole_and_was_tried_again_is_evidence():
    summary = find_deleted_at_a_later_try(failed_as_a_whole()).summary
    assert summary == "2 of 2 deletes of a batch failed, and the next try took them"


@pytest.mark.parametrize("near", [{"transient": False}, {"between": True}, {"again": False}])
def test_a_call_that_was_refused_for_good_or_is_repeated_for_another_delivery_is_no_evidence(near):
    assert find_deleted_at_a_later_try(failed_as_a_whole(**near)) is None


def worked(*, seconds=2.0, beats=True, again=False):
    told = Told(visibility_timeout=1.0)
    told.send("a")
    told.receive("c", "a")
    at = told.begin("c", "PerformSideEffect", **told.about("a"))
    if beats:
        told.do("c", "ChangeVisibility", [], messages=["m-a"], timeout=1)
    if again:
        told.receive("d", "a", count=2)
    told.now += seconds
    told.end("c", at, "PerformSideEffect", 1)
    return told.history


@pytest.mark.parametrize(
    ("how", "found"), [({}, True), ({"seconds": 0.1}, False), ({"beats": False}, False), ({"again": True}, False)]
)
def test_work_outlasts_its_timeout_if_it_is_extended_and_not_delivered_meanwhile(how, found):
    assert (find_work_exceeded_timeout(worked(**how)) is not None) is found


def test_work_is_longer_than_a_guess_or_it_is_not():
    assert longer_than(1).find(worked(seconds=1.0)) is not None
    assert longer_than(4).find(worked(seconds=1.0)) is None


@pytest.mark.parametrize(("failures", "healed", "found"), [(2, True, True), (1, True, False), (2, False, False)])
def test_a_message_heals_after_retries_if_it_fails_twice_and_is_done_at_last(failures, healed, found):
    told = Told()
    told.send("a")
    for count in range(failures):
        told.receive("c", "a", count=count + 1)
        at = told.begin("c", "PerformSideEffect", **told.about("a"))
        told.fail("c", at, "PerformSideEffect", transient=False)
    if healed:
        told.effect("c", "a")
    assert (find_healed_after_retries(told.history) is not None) is found


def put_off(*messages, given_back=()):
    """Messages that fail, and by how many seconds each is put off after each failure; some are given back instead."""
    told = Told()
    for identity, times in zip("abc", messages, strict=False):
        told.send(identity)
        for count, seconds in enumerate(times, 1):
            told.receive("c", identity, count=count)
            at = told.begin("c", "PerformSideEffect", **told.about(identity))
            told.fail("c", at, "PerformSideEffect", transient=False)
            timeout = 0 if identity in given_back else seconds
            told.do("c", "ChangeVisibility", [], messages=[f"m-{identity}"], timeout=timeout)
    return told.history


@pytest.mark.parametrize(
    ("messages", "found"),
    [
        ([(1, 2)], True),
        ([(1, 1), (1, 2)], True),
        ([(2, 1, 4)], True),
        ([(1, 1, 1)], False),
        ([(4, 2, 1)], False),
        ([(1,), (2,)], False),
        ([()], False),
    ],
    ids=["doubled", "one of two, by chance", "shorter for once", "constant", "shrinking", "once each", "never"],
)
def test_a_message_is_put_off_for_longer_if_one_time_exceeds_its_first(messages, found):
    assert (find_put_off_for_longer(put_off(*messages)) is not None) is found


def test_what_is_given_back_at_once_is_not_put_off():
    assert find_put_off_for_longer(put_off((1, 2), given_back="a")) is None


@pytest.mark.parametrize(
    ("messages", "found"),
    [([(1, 1), (1, 2)], True), ([(1, 2), (1, 2)], False), ([(1, 2)], False)],
    ids=["jitter", "none", "alone"],
)
def test_messages_that_failed_as_often_are_put_off_apart_or_they_are_not(messages, found):
    assert (find_put_off_apart(put_off(*messages)) is not None) is found


@pytest.mark.parametrize(("failed", "found"), [((), False), ((0, 2), True), ((0, 1, 2), False)])
def test_a_batch_fails_in_part_if_some_of_it_fails_and_some_does_not(failed, found):
    told = Told()
    told.send("a", "b", "c")
    told.receive("c", "a", "b", "c")
    told.delete("c", "a", "b", "c", failed=failed)
    assert (find_failed_in_part(told.history) is not None) is found


def lost(*, renewed=False, taken=True, completes=False, goes_on=""):
    told = Told()
    told.send("a")
    told.do("first", "Claim", {"type": "Claimed", "fencing_token": 1}, key="a", owner="first", lease_seconds=1)
    told.effect("first", "a")
    if taken:
        told.do("second", "Claim", {"type": "Claimed", "fencing_token": 2}, key="a", owner="second", lease_seconds=1)
    told.do("first", "RenewClaim", renewed, key="a", fencing_token=1, lease_seconds=1)
    told.do("first", "Complete", completes, key="a", fencing_token=1)
    if goes_on:
        told.do("first", goes_on, [], messages=["m-a"], **({"timeout": 2} if goes_on == "ChangeVisibility" else {}))
    return told.history


def test_a_heartbeat_that_finds_the_lease_taken_and_lets_go_is_evidence():
    assert find_lost_lease(lost()).summary == (
        "message #0: second had taken over the claim; first learnt of it by its heartbeat, and neither completed, "
        "extended nor deleted the message"
    )


@pytest.mark.parametrize(
    "near",
    [{"renewed": True}, {"taken": False}, {"completes": True}, {"goes_on": "Delete"}, {"goes_on": "ChangeVisibility"}],
)
def test_a_lease_that_is_kept_or_not_let_go_of_is_no_evidence(near):
    assert find_lost_lease(lost(**near)) is None
