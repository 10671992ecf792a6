import dataclasses
import inspect

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenarios.catalog.business_idempotency.naive import KeyedByMessage
from scenarios.catalog.check_race.naive import ChecksThenActs
from scenarios.catalog.fifo_order.naive import GoesOnAfterFailure
from scenarios.catalog.graceful_shutdown.naive import DropsWhatItHolds
from scenarios.catalog.happy.naive import WithoutGuard
from scenarios.catalog.heartbeat.naive import WithoutHeartbeat
from scenarios.catalog.partial_batch.naive import AllOrNothingBatch
from scenarios.catalog.partition.naive import GoesOnWithWhatItHolds
from scenarios.catalog.poison.naive import DeletesRejected
from scenarios.catalog.retry_backoff.naive import RetriesAtOnce
from scenarios.catalog.side_effects.naive import WithoutLedger
from scenarios.catalog.visibility_too_short.naive import TOO_SHORT, ShortVisibility
from services import operations as op
from services.consumer.backoff import FIRST, LONGEST, BackoffConsumer, backoff
from services.consumer.consumer import DELETE_ATTEMPTS, Consumer
from services.consumer.options import ConsumerOptions
from services.runtime import step
from tests.services.world import World, message

UNAVAILABLE = op.OperationFailed("ServiceUnavailable", "later", transient=True)
DENIED = op.OperationFailed("AccessDenied", "never", transient=False)


def consume(world, kind=Consumer, **options):
    """Run a consumer over a world until the queue is quiet; return how many messages were done."""
    defaults = {
        "owner": "me",
        "max_messages": 10,
        "wait_time_seconds": 1,
        "idle_timeout_seconds": 1.0,
        "idempotency_cache_size": 0,
    }
    return step(kind(ConsumerOptions(**{**defaults, **options})).poll(), world)


class TestTheWayOfOneMessage:
    def test_a_first_attempt_goes_from_receive_to_delete_without_a_look_up(self):
        world = World([message(1)])
        assert consume(world) == 1
        assert world.kinds() == [
            "DescribeQueue", "CheckTables", "Receive", "Claim", "PerformSideEffect", "Complete", "Delete", "Receive",
        ]  # fmt: skip
        assert world.ledger == {"key-1": 1}

    def test_a_later_attempt_looks_the_side_effect_up_and_does_not_cause_it_again(self):
        world = World([message(1, receive_count=2)])
        world.claims["key-1"] = (1, "STARTED", False)
        world.ledger["key-1"] = 1
        assert consume(world) == 1
        assert "PerformSideEffect" not in world.kinds()
        assert world.claims["key-1"] == (2, "COMPLETED", True)
        assert world.deleted == ["m-1"]

    def test_a_later_attempt_causes_a_side_effect_that_the_ledger_does_not_have(self):
        world = World([message(1, receive_count=2)])
        world.claims["key-1"] = (1, "STARTED", False)
        consume(world)
        assert world.ledger == {"key-1": 1}

    def test_after_its_work_it_makes_sure_of_its_claim_and_then_causes_the_side_effect(self):
        world = World([message(1)])
        assert consume(world, work_seconds=3.0) == 1
        kinds = world.kinds()
        at = kinds.index("PerformSideEffect")
        assert kinds[at - 1] == "RenewClaim"
        assert world.ledger == {"key-1": 1}

    def test_a_claim_that_is_lost_while_it_works_leaves_the_side_effect_to_another(self):
        world = World([message(1)])
        world.on[op.RenewClaim] = lambda _: world.claims.update({"key-1": (2, "STARTED", True)})
        consume(world, work_seconds=3.0)
        assert (world.ledger, world.deleted, world.outcomes()) == ({}, [], ["held"])

    def test_a_claim_that_it_cannot_ask_for_leaves_the_side_effect_alone(self):
        world = World([message(1)])
        world.answer(op.RenewClaim, UNAVAILABLE)
        consume(world, work_seconds=3.0)
        assert (world.ledger, world.deleted, world.outcomes()) == ({}, [], ["failed"])

    def test_without_a_table_there_is_no_claim_to_make_sure_of(self):
        world = World([message(1)])
        assert consume(world, work_seconds=3.0, claims=False) == 1
        assert "RenewClaim" not in world.kinds()

    def test_the_twin_that_never_asks_causes_it_all_the_same(self):
        world = World([message(1)])
        world.on[op.PerformSideEffect] = lambda _: world.claims.update({"key-1": (2, "STARTED", True)})
        consume(world, GoesOnWithWhatItHolds, work_seconds=3.0)
        assert world.ledger == {"key-1": 1}

    def test_a_completed_key_is_deleted_and_nothing_else(self):
        world = World([message(1)])
        world.claims["key-1"] = (1, "COMPLETED", True)
        consume(world)
        assert (world.ledger, world.deleted, world.outcomes()) == ({}, ["m-1"], ["duplicate"])

    def test_a_key_held_by_another_is_left_in_the_queue(self):
        world = World([message(1)])
        world.claims["key-1"] = (1, "STARTED", True)
        consume(world)
        assert (world.ledger, world.deleted, world.outcomes()) == ({}, [], ["held"])

    def test_a_claim_lost_meanwhile_is_neither_completed_nor_deleted(self):
        world = World([message(1)])
        world.on[op.PerformSideEffect] = lambda _: world.claims.update({"key-1": (2, "STARTED", True)})
        consume(world)
        assert (world.claims["key-1"], world.deleted, world.outcomes()) == ((2, "STARTED", True), [], ["held"])

    def test_a_completed_key_is_remembered_and_costs_no_operation(self):
        world = World([message(1)], [message(1, receive_count=2)])
        consume(world, idempotency_cache_size=10)
        assert world.kinds().count("Claim") == 1
        assert world.deleted == ["m-1", "m-1"]

    @pytest.mark.parametrize(("order", "claims"), [((1, 2, 3, 1, 3), 4), ((1, 2, 1, 3, 1), 3), ((1, 2, 1, 3, 2), 4)])
    def test_the_memory_forgets_the_least_recently_used_key_first(self, order, claims):
        world = World(*[[message(number)] for number in order])
        consume(world, idempotency_cache_size=2)
        assert world.kinds().count("Claim") == claims

    def test_two_messages_with_one_business_key_cause_one_side_effect(self):
        world = World([message(1, order="o-9"), message(2, order="o-9")])
        consume(world, business_idempotency_field="order")
        assert world.ledger == {"o-9": 1}
        assert world.deleted == ["m-1", "m-2"]

    @pytest.mark.parametrize("fields", ["order,action", "order+action", " order , action"])
    def test_a_business_key_of_two_fields_tells_a_refund_from_its_charge(self, fields):
        charge, refund = {"order": "o-9", "action": "charge"}, {"order": "o-9", "action": "refund"}
        world = World([message(1, **charge), message(2, **refund), message(3, **charge)])
        consume(world, business_idempotency_field=fields)
        assert world.ledger == {'["o-9","charge"]': 1, '["o-9","refund"]': 1}
        assert world.outcomes() == ["done", "done", "duplicate"]

    def test_a_business_key_of_two_fields_is_that_of_no_other_pair(self):
        world = World([message(1, order="a,b", action="c"), message(2, order="a", action="b,c")])
        consume(world, business_idempotency_field="order,action")
        assert len(world.ledger) == 2

    def test_a_payload_without_one_of_the_business_fields_is_rejected(self):
        world = World([message(1, order="o-9")])
        consume(world, business_idempotency_field="order,action")
        assert (world.outcomes(), world.ledger) == (["rejected"], {})

    def test_without_an_id_the_message_id_is_the_key(self):
        world = World([message(body='{"work": 3}')])
        consume(world)
        assert world.ledger == {"m-0": 1}

    def test_the_log_gets_the_chosen_field_once_a_side_effect(self):
        world = World([message(4)], [message(4, receive_count=2)])
        consume(world, side_effect_log_path="somewhere", side_effect_log_field="sequence")
        assert world.log == ["4"]

    def test_without_a_status_table_the_ledger_is_asked_each_time(self):
        world = World([message(1)], [message(1)])
        consume(world, claims=False)
        assert world.ledger == {"key-1": 1}
        assert not {"Claim", "Complete"} & set(world.kinds())

    def test_without_any_table_every_delivery_is_performed(self):
        world = World([message(1)], [message(1)])
        consume(world, claims=False, ledger=False)
        assert world.ledger == {"key-1": 2}
        assert "CheckTables" not in world.kinds()


class TestTheLease:
    def test_it_ends_before_the_message_is_visible_again(self):
        world = World([message(1)], visibility_timeout=10)
        consume(world)
        (claim,) = [item for item in world.asked if isinstance(item, op.Claim)]
        assert claim.lease_seconds == pytest.approx(9.0)

    def test_it_counts_from_the_receive_so_the_last_of_a_slow_batch_gets_what_is_left(self):
        world = World([message(1), message(2)], visibility_timeout=10)
        world.on[op.PerformSideEffect] = lambda _: setattr(world, "clock", world.clock + 4)
        consume(world)
        leases = [item.lease_seconds for item in world.asked if isinstance(item, op.Claim)]
        assert leases == [pytest.approx(9.0), pytest.approx(5.0)]

    def test_a_message_about_to_become_visible_is_not_begun(self):
        world = World([message(1), message(2)], visibility_timeout=10)
        world.on[op.PerformSideEffect] = lambda _: setattr(world, "clock", world.clock + 9.5)
        consume(world)
        assert world.outcomes() == ["done", "held"]
        assert world.ledger == {"key-1": 1}

    @pytest.mark.parametrize(("work", "outcome"), [(7.5, "done"), (8.5, "held")])
    def test_by_itself_a_lease_is_no_shorter_than_the_margin_behind_it(self, work, outcome):
        world = World([message(1), message(2)], visibility_timeout=10)
        world.on[op.PerformSideEffect] = lambda _: setattr(world, "clock", world.clock + work)
        consume(world)
        assert world.outcomes() == ["done", outcome]

    @pytest.mark.parametrize(("work", "outcome"), [(6.5, "done"), (7.5, "held")])
    def test_a_message_whose_lease_could_end_before_its_work_is_not_begun(self, work, outcome):
        world = World([message(1), message(2)], visibility_timeout=10)
        world.on[op.PerformSideEffect] = lambda _: setattr(world, "clock", world.clock + work)
        consume(world, min_lease_seconds=2.0)
        assert world.outcomes() == ["done", outcome]

    def test_a_lease_of_its_own_counts_from_the_claim(self):
        world = World([message(1)])
        consume(world, claim_lease_seconds=60.0)
        assert [item.lease_seconds for item in world.asked if isinstance(item, op.Claim)] == [60.0]


class TestFailingClosed:
    @pytest.mark.parametrize("kind", [op.Claim, op.PerformSideEffect, op.Complete])
    def test_a_failing_store_leaves_the_message_in_the_queue(self, kind):
        world = World([message(1)])
        world.answer(kind, UNAVAILABLE)
        consume(world)
        assert (world.deleted, world.outcomes()) == ([], ["failed"])

    def test_a_failing_look_up_does_not_cause_the_side_effect(self):
        world = World([message(1, receive_count=2)])
        world.claims["key-1"] = (1, "STARTED", False)
        world.answer(op.LookUpSideEffect, UNAVAILABLE)
        consume(world)
        assert (world.ledger, world.deleted) == ({}, [])

    def test_a_failure_releases_the_claim_for_the_next_attempt(self):
        world = World([message(1)])
        world.answer(op.PerformSideEffect, UNAVAILABLE)
        consume(world)
        assert world.claims["key-1"] == (1, "STARTED", False)

    def test_a_failure_that_cannot_even_release_is_survived(self):
        world = World([message(1), message(2)])
        world.answer(op.PerformSideEffect, UNAVAILABLE)
        world.answer(op.ReleaseClaim, UNAVAILABLE)
        assert consume(world) == 1

    def test_a_bug_in_a_step_fails_closed_too_and_the_consumer_goes_on(self):
        class Buggy(Consumer):
            def perform(self, delivery):
                if delivery.key == "key-1":
                    raise ValueError("boom")
                yield from super().perform(delivery)

        world = World([message(1), message(2)])
        assert consume(world, Buggy) == 1
        assert (world.outcomes(), world.deleted) == (["failed", "done"], ["m-2"])
        assert world.claims["key-1"] == (1, "STARTED", False)
        assert [note.details["error"] for note in world.notes if note.event == "failed"] == ["ValueError: boom"]

    def test_one_failure_does_not_stop_the_rest_of_a_standard_batch(self):
        world = World([message(1, group="tenant"), message(2, group="tenant")])
        world.answer(op.PerformSideEffect, UNAVAILABLE)
        assert consume(world) == 1
        assert world.deleted == ["m-2"]

    def test_a_receive_that_fails_for_a_while_is_tried_again(self):
        world = World([message(1)])
        world.answer(op.Receive, UNAVAILABLE, UNAVAILABLE)
        assert consume(world) == 1
        assert [item.seconds for item in world.asked if isinstance(item, op.Sleep)] == [0.1, 0.2]

    def test_a_receive_that_can_never_succeed_ends_the_consumer(self):
        world = World()
        world.answer(op.Receive, DENIED)
        with pytest.raises(op.OperationFailed, match="AccessDenied"):
            consume(world)

    def test_missing_tables_are_found_before_the_first_message(self):
        world = World([message(1)])
        world.answer(op.CheckTables, DENIED)
        with pytest.raises(op.OperationFailed):
            consume(world)
        assert "Receive" not in world.kinds()


class TestRejecting:
    @pytest.mark.parametrize(
        "body",
        [
            "",
            "no json",
            "[1, 2]",
            '"text"',
            "null",
            '{"id": ',
            "[" * 100_000,
            '{"id": "' + "x" * 3000 + '"}',
            '{"id": "\\ud800"}',
        ],
        ids=lambda body: body[:12],
    )
    def test_a_malformed_body_is_left_for_the_dead_letter_queue(self, body):
        world = World([message(1, body=body), message(2)])
        assert consume(world) == 1
        assert (world.outcomes(), world.deleted) == (["rejected", "done"], ["m-2"])

    @given(st.text())
    def test_no_body_is_ever_more_than_a_rejection(self, body):
        world = World([message(1, body=body)])
        consume(world)
        assert world.outcomes() in (["rejected"], ["done"])

    @pytest.mark.parametrize("fields", [{}, {"order": None}, {"order": ""}, {"order": {"id": 1}}, {"order": True}])
    def test_a_payload_without_the_business_field_is_rejected(self, fields):
        world = World([message(1, **fields)])
        consume(world, business_idempotency_field="order")
        assert (world.outcomes(), world.ledger) == (["rejected"], {})

    def test_a_body_with_the_marker_is_rejected_and_never_claimed(self):
        world = World([message(1, poison=True), message(2)])
        consume(world, reject_payload_marker='"poison": true')
        assert world.outcomes() == ["rejected", "done"]
        assert world.claims.keys() == {"key-2"}


class TestBatches:
    def test_what_is_settled_is_deleted_as_one_batch(self):
        world = World([message(number) for number in range(10)])
        assert consume(world) == 10
        assert world.kinds().count("Delete") == 1

    def test_an_entry_that_sqs_could_not_delete_is_tried_again(self):
        world = World([message(1), message(2)])
        world.answer(op.Delete, (op.EntryFailure(1, "InternalError", "", sender_fault=False),))
        consume(world)
        assert world.deleted == ["m-2"]
        assert world.kinds().count("Delete") == 2

    def test_deletes_are_not_tried_for_ever(self):
        world = World([message(1)])
        world.answer(op.Delete, *[UNAVAILABLE] * 10)
        consume(world)
        assert world.kinds().count("Delete") == DELETE_ATTEMPTS

    def test_a_stale_receipt_handle_is_a_warning_and_no_more(self):
        world = World([message(1)])
        world.answer(op.Delete, (op.EntryFailure(0, "ReceiptHandleIsInvalid", "expired", sender_fault=True),))
        assert consume(world) == 1
        assert [note.event for note in world.notes if "stale" in note.event] == ["stale-receipt-handle"]
        assert world.kinds().count("Delete") == 1


class TestFifo:
    BATCH = (message(0, group="a"), message(1, group="b"), message(2, group="a"), message(3, group="b"))

    def test_a_failure_stops_its_group_and_no_other(self):
        world = World(self.BATCH, fifo=True)
        world.answer(op.PerformSideEffect, UNAVAILABLE)
        consume(world)
        assert world.deleted == ["m-1", "m-3"]
        assert world.ledger == {"key-1": 1, "key-3": 1}

    def test_the_rest_of_a_stopped_group_is_released_at_once(self):
        world = World(self.BATCH, fifo=True)
        world.answer(op.PerformSideEffect, UNAVAILABLE)
        consume(world)
        assert world.released == ["m-2"]

    def test_a_held_or_rejected_message_stops_its_group_too(self):
        world = World(self.BATCH, fifo=True)
        world.claims["key-0"] = (1, "STARTED", True)
        consume(world, reject_payload_marker='"sequence": 1')
        assert world.ledger == {}


class TestStopping:
    def test_what_is_in_hand_is_finished_and_the_rest_released(self):
        world = World([message(1), message(2), message(3)])
        consumer = Consumer(ConsumerOptions(owner="me", max_messages=10))
        world.on[op.PerformSideEffect] = lambda _: consumer.stop()
        assert step(consumer.poll(), world) == 1
        assert (world.deleted, world.released) == (["m-1"], ["m-2", "m-3"])

    def test_a_long_poll_that_returns_after_the_signal_is_not_processed(self):
        world = World([message(1)])
        consumer = Consumer(ConsumerOptions(owner="me"))
        world.on[op.Receive] = lambda _: consumer.stop()
        assert step(consumer.poll(), world) == 0
        assert (world.released, world.ledger) == (["m-1"], {})

    def test_a_release_that_fails_is_left_to_the_visibility_timeout(self):
        world = World([message(1)])
        world.answer(op.ChangeVisibility, UNAVAILABLE)
        consumer = Consumer(ConsumerOptions(owner="me"))
        world.on[op.Receive] = lambda _: consumer.stop()
        assert step(consumer.poll(), world) == 0

    def test_the_limit_is_met_exactly_and_nothing_more_is_received(self):
        world = World([message(1), message(2)], [message(3)])
        assert consume(world, message_limit=3) == 3
        assert [item.max_messages for item in world.asked if isinstance(item, op.Receive)] == [3, 1]

    def test_an_idle_consumer_ends_after_its_timeout(self):
        world = World()
        assert consume(world, wait_time_seconds=2, idle_timeout_seconds=5.0) == 0
        assert world.kinds().count("Receive") == 3


class TestHeartbeat:
    def test_it_extends_visibility_and_claim_of_all_that_is_in_hand(self):
        world = World([message(1), message(2)], visibility_timeout=10)
        heartbeats = self.run_one_beat(world)
        assert heartbeats == ["RenewClaim", "ChangeVisibility", "ChangeVisibility"]

    def test_it_stops_extending_what_it_lost(self):
        world = World([message(1)], visibility_timeout=10)
        world.answer(op.RenewClaim, False)
        assert self.run_one_beat(world, beats=3) == ["RenewClaim"]

    def test_it_never_beats_when_it_is_off(self):
        consumer = Consumer(ConsumerOptions(owner="me"))
        assert list(consumer.heartbeat()) == []

    def test_it_survives_a_failing_store(self):
        world = World([message(1)], visibility_timeout=10)
        world.answer(op.RenewClaim, UNAVAILABLE)
        assert self.run_one_beat(world, beats=2) == ["RenewClaim", "RenewClaim", "ChangeVisibility"]

    def test_work_that_it_let_go_before_its_claim_is_extended_again_once_it_is_claimed(self):
        world = World([message(1)], visibility_timeout=10)
        world.answer(op.ChangeVisibility, (op.EntryFailure(0, "ReceiptHandleIsInvalid", "", sender_fault=True),))
        asked = self.run_one_beat(world, at=(op.Claim, op.PerformSideEffect))
        assert asked == ["ChangeVisibility", "RenewClaim", "ChangeVisibility"]

    def run_one_beat(self, world, beats=1, at=(op.PerformSideEffect,)):
        """Let the heartbeat beat in the middle of the first side effect, or elsewhere; return what it asked for."""
        consumer = Consumer(
            ConsumerOptions(
                owner="me",
                heartbeat_seconds=3.0,
                max_messages=10,
                idle_timeout_seconds=1.0,
                wait_time_seconds=1,
                claim_lease_seconds=9.0,
            )
        )
        heartbeat = consumer.heartbeat()
        asked = []

        class RecordingProxy:
            def perform(self, operation):
                if operation.recorded:
                    asked.append(type(operation).__name__)
                return world.perform(operation)

        def beat(operation):
            del world.on[type(operation)]
            if inspect.getgeneratorstate(heartbeat) == inspect.GEN_CREATED:
                assert isinstance(next(heartbeat), op.Sleep)
            for _ in range(beats):
                operation = heartbeat.send(True)
                while not isinstance(operation, op.Sleep):
                    try:
                        result = RecordingProxy().perform(operation)
                    except op.OperationFailed as error:
                        operation = heartbeat.throw(error)
                    else:
                        operation = heartbeat.send(result)

        world.on |= dict.fromkeys(at, beat)
        step(consumer.poll(), world)
        return asked


class TestTheNaiveTwins:
    def test_without_a_guard_a_second_delivery_pays_a_second_time(self):
        world = World([message(1)], [message(1, receive_count=2)])
        consume(world, WithoutGuard)
        assert world.ledger == {"key-1": 2}

    def test_a_rejected_message_is_deleted_and_gone(self):
        world = World([message(1, poison=True)])
        consume(world, DeletesRejected, reject_payload_marker='"poison": true')
        assert (world.deleted, world.outcomes()) == (["m-1"], ["discarded"])

    def test_going_on_after_a_failure_lets_the_group_overtake(self):
        world = World(TestFifo.BATCH, fifo=True)
        world.answer(op.PerformSideEffect, UNAVAILABLE)
        consume(world, GoesOnAfterFailure)
        assert world.ledger == {"key-1": 1, "key-2": 1, "key-3": 1}


def test_no_operation_is_yielded_with_a_mutable_argument():
    for kind in (op.Delete, op.ChangeVisibility, op.Send):
        assert dataclasses.fields(kind)[0].type.startswith("tuple")


class TestBackoff:
    def test_what_failed_is_put_off_by_the_queue_and_what_was_done_is_not(self):
        world = World([message(1, receive_count=3), message(2)])
        world.answer(op.PerformSideEffect, UNAVAILABLE)
        consume(world, BackoffConsumer)
        changed = [
            (item.message_id, asked.timeout)
            for asked in world.asked
            if isinstance(asked, op.ChangeVisibility)
            for item in asked.messages
        ]
        assert changed == [("m-1", backoff(3, "m-1"))]
        assert world.deleted == ["m-2"]

    def test_a_put_off_that_fails_leaves_the_message_to_its_visibility_timeout(self):
        world = World([message(1)])
        world.answer(op.PerformSideEffect, UNAVAILABLE)
        world.answer(op.ChangeVisibility, DENIED)
        assert consume(world, BackoffConsumer) == 0
        assert [note.event for note in world.notes].count("retry-not-scheduled") == 1

    @given(count=st.integers(1, 1000), message_id=st.text(max_size=40))
    def test_a_backoff_doubles_within_its_bounds_and_never_vanishes(self, count, message_id):
        longest = min(LONGEST, FIRST * 2 ** (count - 1))
        assert 1 <= longest / 2 <= backoff(count, message_id) < longest

    @given(message_id=st.text(max_size=40))
    def test_each_backoff_is_longer_than_the_one_before_it_until_the_longest(self, message_id):
        times = [backoff(count, message_id) for count in range(1, 9)]
        assert times == sorted(set(times))
        assert len({backoff(5, f"{message_id}{number}") for number in range(50)}) > 1

    def test_messages_that_failed_together_do_not_all_come_back_together(self):
        assert len({backoff(6, f"m-{number}") for number in range(50)}) > 5


class TestWhatTheTwinsLeaveOut:
    def test_the_twin_that_never_asks_the_ledger_pays_again(self):
        world = World([message(1, receive_count=2)])
        world.claims["key-1"], world.ledger["key-1"] = (1, "STARTED", False), 1
        consume(world, WithoutLedger)
        assert world.ledger == {"key-1": 2}

    def test_the_twin_that_checks_and_then_acts_claims_nothing(self):
        world = World([message(1)], [message(1, receive_count=2)])
        consume(world, ChecksThenActs)
        assert (world.ledger, world.claims, world.outcomes()) == ({"key-1": 1}, {}, ["done", "duplicate"])

    def test_the_twin_that_keys_by_the_message_pays_an_order_twice(self):
        world = World([message(1, order="o-9"), message(2, order="o-9")])
        consume(world, KeyedByMessage, business_idempotency_field="order")
        assert world.ledger == {"key-1": 1, "key-2": 1}

    def test_the_twin_that_answers_for_a_whole_batch_deletes_nothing_beside_poison(self):
        world = World([message(1), message(2, body="poison")], [message(3)])
        consume(world, AllOrNothingBatch)
        assert world.deleted == ["m-3"]

    def test_the_twin_that_drops_its_messages_neither_deletes_nor_returns_them(self):
        world = World([message(1), message(2)])
        consumer = DropsWhatItHolds(ConsumerOptions(owner="me", max_messages=10))
        world.on[op.PerformSideEffect] = lambda _: consumer.stop()
        step(consumer.poll(), world)
        assert (world.ledger, world.deleted, world.released) == ({"key-1": 1}, [], [])

    def test_the_twin_that_retries_at_once_receives_the_message_again_now(self):
        world = World([message(1)])
        world.answer(op.PerformSideEffect, UNAVAILABLE)
        consume(world, RetriesAtOnce)
        assert world.released == ["m-1"]

    def test_the_twin_with_a_short_timeout_claims_for_that_timeout(self):
        world = World([message(1)], visibility_timeout=60)
        consume(world, ShortVisibility)
        (claim,) = [asked for asked in world.asked if isinstance(asked, op.Claim)]
        assert claim.lease_seconds < TOO_SHORT

    def test_the_twin_without_a_heartbeat_never_beats(self):
        world = World()
        step(WithoutHeartbeat(ConsumerOptions(owner="me", heartbeat_seconds=1.0)).heartbeat(), world)
        assert world.asked == []
