import json
import random
import uuid
from collections import deque
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scenarios.catalog.noisy_neighbour.naive import WithoutTenant
from scenarios.catalog.purge_timing.naive import SendsIntoThePurge
from services import operations as op
from services.batches import MAX_BYTES, MAX_ENTRIES, size_of, split_by_size
from services.errors import ConfigurationError
from services.producer.__main__ import main
from services.producer.messages import plan_messages
from services.producer.options import MessagePlan
from services.producer.producer import PURGE_ATTEMPTS, PURGE_IN_PROGRESS, PURGE_SECONDS, SEND_ATTEMPTS, Producer
from services.runtime import step

UNAVAILABLE = op.OperationFailed("ServiceUnavailable", "later", transient=True)
IN_PROGRESS = op.OperationFailed(PURGE_IN_PROGRESS, "wait", transient=False)


class Queue:
    """Take every message, but for what it is told to answer first."""

    def __init__(self, *answers):
        self.answers = deque(answers)
        self.taken = []
        self.batches = []
        self.groups = []
        self.purges = []
        self.purge_answers = deque()
        self.clock = 0.0
        self.notes = []

    def perform(self, operation):
        match operation:
            case op.ReadClock():
                return self.clock
            case op.ReadWallClock():
                return 1000.0 + self.clock
            case op.Sleep():
                self.clock += operation.seconds
                return True
            case op.Note():
                self.notes.append(operation.event)
                return None
            case op.Purge():
                self.purges.append(self.clock)
                if self.purge_answers:
                    raise self.purge_answers.popleft()
                return None
        self.batches.append((self.clock, len(operation.messages)))
        self.groups += [message.group for message in operation.messages]
        refused = self.answers.popleft() if self.answers else {}
        if isinstance(refused, Exception):
            raise refused
        refused = {entry: fault for entry, fault in refused.items() if entry < len(operation.messages)}
        sent = [entry for entry in range(len(operation.messages)) if entry not in refused]
        self.taken += [operation.messages[entry].body for entry in sent]
        return op.SendResult(
            tuple(op.SentEntry(entry, f"m-{entry}") for entry in sent),
            tuple(op.EntryFailure(entry, "X", "", sender_fault=fault) for entry, fault in refused.items()),
        )


def produce(queue, count, batch_size=10, rate=0.0):
    messages = plan_messages(MessagePlan(count=count), random.Random(1))
    return messages, step(Producer(messages, batch_size, rate).run(), queue)


def test_messages_go_out_in_order_and_in_batches():
    queue = Queue()
    messages, report = produce(queue, 25)
    assert queue.taken == [message.body for message in messages]
    assert [size for _, size in queue.batches] == [10, 10, 5]
    assert (report.sent, report.offered_again, report.unsent) == (25, 0, 0)


def sized(*sizes):
    return [op.OutgoingMessage("x" * size) for size in sizes]


def sizes_of(batches):
    return [[size_of(message) for message in batch] for batch in batches]


@given(st.lists(st.integers(1, MAX_BYTES), max_size=40))
def test_no_batch_is_larger_than_sqs_takes_and_none_is_smaller_than_it_need_be(sizes):
    batches = sizes_of(split_by_size(sized(*sizes)))
    assert [size for batch in batches for size in batch] == sizes
    assert all(sum(batch) <= MAX_BYTES and len(batch) <= MAX_ENTRIES for batch in batches)
    for batch, following in pairwise(batches):
        assert len(batch) == MAX_ENTRIES or sum(batch) + following[0] > MAX_BYTES


def test_a_batch_is_measured_in_bytes_and_not_in_characters():
    half = op.OutgoingMessage("€" * (MAX_BYTES // 6 + 1))
    assert len(list(split_by_size([half, half]))) == 2


def test_messages_that_are_too_large_together_go_out_one_batch_after_the_other():
    queue, third = Queue(), MAX_BYTES // 3
    report = step(Producer(sized(third, third, third, third), 10, 0.0).run(), queue)
    assert [count for _, count in queue.batches] == [3, 1]
    assert (report.sent, report.unsent) == (4, 0)


def test_a_message_that_sqs_never_takes_is_counted_and_stops_no_other():
    queue = Queue()
    report = step(Producer(sized(10, MAX_BYTES + 1, 10), 10, 0.0).run(), queue)
    assert (report.sent, report.unsent) == (2, 1)
    assert "not-sent" in queue.notes


def test_every_nth_is_poison_whatever_their_number_says(monkeypatch):
    plan = MessagePlan(count=6, poison_count=99, poison_every=3)
    bodies = [json.loads(message.body) for message in plan_messages(plan, random.Random(1))]
    assert [body["sequence"] for body in bodies if body.get("poison")] == [2, 5]
    monkeypatch.setenv("QUEUE_URL", "nowhere")
    with pytest.raises(ConfigurationError, match="QUEUE_URL is 'nowhere'"):  # no complaint about the poison
        main(["--n", "6", "--poison-every", "3", "--poison-count", "99"])


@given(st.lists(st.sets(st.integers(0, 4)), max_size=SEND_ATTEMPTS - 1))
def test_no_entry_that_sqs_refused_for_a_while_is_dropped(refusals):
    queue = Queue(*[dict.fromkeys(refused, False) for refused in refusals])
    messages, report = produce(queue, 5)
    assert sorted(queue.taken) == sorted(message.body for message in messages)
    assert report.unsent == 0


def test_a_batch_that_failed_as_a_whole_is_sent_again():
    queue = Queue(UNAVAILABLE)
    messages, report = produce(queue, 3)
    assert queue.taken == [message.body for message in messages]
    assert report.offered_again == 3


def test_an_entry_at_fault_itself_is_not_sent_again_and_is_counted():
    queue = Queue({1: True})
    _, report = produce(queue, 3)
    assert (report.sent, report.unsent, len(queue.batches)) == (2, 1, 1)
    assert queue.notes.count("not-sent") == 1


def test_what_is_refused_for_ever_is_given_up_and_said():
    queue = Queue(*[{0: False}] * 20)
    _, report = produce(queue, 1)
    assert (report.sent, report.unsent, len(queue.batches)) == (0, 1, SEND_ATTEMPTS)


def test_a_refusal_that_cannot_pass_ends_the_producer():
    with pytest.raises(op.OperationFailed, match="NonExistent"):
        produce(Queue(op.OperationFailed("NonExistent", "", transient=False)), 1)


@pytest.mark.parametrize(("rate", "expected"), [(5, [0, 1, 2, 3]), (20, [0, 0.5]), (0.5, [0, 2, 4, 6])])
def test_the_rate_is_kept_on_the_average_of_any_second(rate, expected):
    queue = Queue()
    produce(queue, 20 if rate >= 5 else 4, rate=rate)
    assert [at for at, _ in queue.batches] == pytest.approx(expected)


def poison_of(messages):
    return [place for place, message in enumerate(messages) if json.loads(message.body).get("poison")]


def test_every_nth_is_poison_and_overrides_the_count():
    plan = MessagePlan(count=10, poison_every=3, poison_count=9)
    assert poison_of(plan_messages(plan, random.Random(0))) == [2, 5, 8]


@given(st.integers(0, 30), st.data(), st.integers())
def test_exactly_so_many_are_poison_at_places_that_the_seed_picks(count, data, seed):
    poison = data.draw(st.integers(0, count))
    plan = MessagePlan(count=count, poison_count=poison)
    messages = plan_messages(plan, random.Random(seed))
    assert len(poison_of(messages)) == poison
    assert messages == plan_messages(plan, random.Random(seed))


def test_a_payload_has_an_id_work_sequence_and_the_extra_fields():
    payloads = [
        json.loads(m.body) for m in plan_messages(MessagePlan(count=50, fields={"order": "o"}), random.Random(2))
    ]
    assert all(uuid.UUID(payload["id"]).version == 4 for payload in payloads)
    assert len({payload["id"] for payload in payloads}) == 50
    assert all(1 <= payload["work"] <= 1000 and payload["order"] == "o" for payload in payloads)
    assert [payload["sequence"] for payload in payloads] == list(range(50))
    assert not any("poison" in payload for payload in payloads)


def test_groups_are_dealt_in_turn_and_the_id_deduplicates():
    messages = plan_messages(MessagePlan(count=4, groups=3, deduplication="id"), random.Random(2))
    assert [message.group for message in messages] == ["g0", "g1", "g2", "g0"]
    assert [message.deduplication_id for message in messages] == [
        json.loads(message.body)["id"] for message in messages
    ]


def test_entities_are_updated_in_turn_each_to_its_next_version():
    plan = MessagePlan(count=5, entities=2)
    payloads = [json.loads(message.body) for message in plan_messages(plan, random.Random(1))]
    told = [(payload["entity"], payload["version"]) for payload in payloads]
    assert told == [("e0", 1), ("e1", 1), ("e0", 2), ("e1", 2), ("e0", 3)]
    assert "entity" not in json.loads(plan_messages(MessagePlan(count=1), random.Random(1))[0].body)


def test_a_timestamp_is_when_a_message_was_first_offered_however_often_it_is():
    queue = Queue({}, UNAVAILABLE)
    messages = plan_messages(MessagePlan(count=2), random.Random(1))
    step(Producer(messages, 1, 0.5, timestamp_field="made").run(), queue)
    first, second = (json.loads(body) for body in queue.taken)
    assert (first["made"], second["made"]) == (1000.0, 1002.0), "the second was offered twice"
    assert queue.clock > 2.0
    assert {**first, "made": None} == {**json.loads(messages[0].body), "made": None}


def test_without_a_timestamp_the_seed_makes_the_same_messages():
    queue = Queue()
    messages, _ = produce(queue, 3)
    assert queue.taken == [message.body for message in messages]


# --- the purge ---------------------------------------------------------------------------------------------------


def purge_and_produce(*answers, kind=Producer, wait=PURGE_SECONDS):
    queue = Queue()
    queue.purge_answers.extend(answers)
    messages = plan_messages(MessagePlan(count=3), random.Random(1))
    report = step(kind(messages, 10, 0.0, wait).run(), queue)
    assert report.sent == 3
    return queue


def test_a_producer_that_purges_sends_nothing_before_the_purge_is_over():
    queue = purge_and_produce()
    assert queue.purges == [0.0]
    assert queue.batches == [(PURGE_SECONDS, 3)]


def test_without_being_told_to_a_producer_purges_nothing():
    assert purge_and_produce(wait=None).purges == []


def test_a_purge_that_failed_for_a_while_is_asked_for_again_and_waited_for_from_then_on():
    queue = purge_and_produce(UNAVAILABLE)
    assert queue.purges == [0.0, 0.1]
    assert queue.batches == [(0.1 + PURGE_SECONDS, 3)]


def test_another_ones_purge_is_waited_out_before_the_own_one():
    queue = purge_and_produce(IN_PROGRESS)
    assert queue.purges == [0.0, PURGE_SECONDS]
    assert queue.batches == [(2 * PURGE_SECONDS, 3)]


@pytest.mark.parametrize(
    "answers",
    [[op.OperationFailed("AccessDenied", "no", transient=False)], [UNAVAILABLE] * PURGE_ATTEMPTS],
    ids=["never", "too often"],
)
def test_a_purge_that_cannot_be_done_ends_the_producer_before_it_sends(answers):
    with pytest.raises(op.OperationFailed):
        purge_and_produce(*answers)


def test_the_naive_producer_sends_into_the_purge():
    assert purge_and_produce(kind=SendsIntoThePurge).batches == [(0.0, 3)]


# --- groups ------------------------------------------------------------------------------------------------------


def test_a_message_belongs_to_the_group_that_a_field_of_its_payload_names():
    plan = MessagePlan(count=2, fields={"tenant": "a"}, group_by="tenant")
    messages = plan_messages(plan, random.Random(1))
    queue = Queue()
    step(Producer(messages, 10, 0.0).run(), queue)
    assert queue.groups == ["a", "a"]


def test_the_naive_producer_names_no_tenant_and_sends_the_same_otherwise():
    plan = MessagePlan(count=2, fields={"tenant": "a"}, group_by="tenant")
    messages = plan_messages(plan, random.Random(1))
    queue = Queue()
    step(WithoutTenant(messages, 10, 0.0).run(), queue)
    assert queue.groups == [None, None]
    assert queue.taken == [message.body for message in messages]
