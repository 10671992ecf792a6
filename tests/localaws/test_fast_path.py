"""The fast path and the general path answer the same requests in the same way."""

import copy
import json
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.localaws.sqs.context import LongPoll
from infra.localaws.sqs.errors import SqsError
from infra.localaws.sqs.fastpath import FastPath
from infra.localaws.sqs.model import SqsModel
from infra.localaws.sqs.rates import DeliveryRates
from infra.localaws.sqs.wire import SqsWire

BASE = "http://h/000000000000/"


class Face:
    """A model of its own and both of its paths; ``events`` is what it observed."""

    def __init__(self):
        self.time = 1_000_000.0
        self.events = []
        self.model = SqsModel(
            clock=lambda: self.time,
            rng=Random(7),
            rates=DeliveryRates(0.3, 0.3, 0.3),
            observer=lambda event, queue, fields: self.events.append((event, queue, copy.deepcopy(fields))),
        )
        self.model.create_queue("q", {"VisibilityTimeout": "2", "MaximumMessageSize": "1024"})
        self.model.create_queue("f.fifo", {"FifoQueue": "true", "VisibilityTimeout": "2"})
        self.wire = SqsWire(self.model, "http://h")
        self.fast = FastPath(self.wire).actions

    def by_the_general_path(self, action, document):
        try:
            return _shown(self.wire.call(action, copy.deepcopy(document)))
        except SqsError as error:
            return type(error), str(error)

    def by_the_fast_path(self, action, document):
        """Return the answer; NotImplemented if the fast path does not take the request."""
        try:
            answer = self.fast[f"AmazonSQS.{action}"](json.dumps(document).encode())
        except SqsError as error:
            return type(error), str(error)
        if answer is None:
            return NotImplemented
        return _shown(json.loads(answer) if isinstance(answer, bytes) else answer)


def _shown(answer):
    return ("waits", answer.queue_name, answer.request, answer.seconds) if isinstance(answer, LongPoll) else answer


urls = st.sampled_from([BASE + "q", BASE + "f.fifo", BASE + "none", "http://x/1/q", "nonsense", "\ud800", 5, None])
urls = st.one_of(st.just(BASE + "q"), st.just(BASE + "f.fifo"), urls)
texts = st.one_of(
    st.sampled_from(["x", "", "\0", "\ud800", "é\n", "a" * 1_100, "b" * 300_000, "\U0001f600", '"\\/', 7, None, ["x"]]),
    st.text(max_size=5),
)
numbers = st.one_of(st.integers(-1, 12), st.sampled_from([901, 43_201, True, 1.0, 1.5, "1", None, 10**30]))
ids = st.sampled_from(["a", "b", "c", "a b", "", "é", "x" * 81, 3, None])


def _message(**extra):
    return st.fixed_dictionaries(
        {"MessageBody": texts, **extra},
        optional={
            "DelaySeconds": numbers,
            "MessageGroupId": texts,
            "MessageDeduplicationId": texts,
            "MessageAttributes": st.sampled_from([{}, None, {"a": {"DataType": "String", "StringValue": "x"}}]),
            "Surprise": st.just(1),
        },
    )


def _steps(handles):
    """Return requests; a handle is one of those that were given out."""
    entry = st.fixed_dictionaries({"Id": ids, "ReceiptHandle": handles})
    return st.one_of(
        st.tuples(st.just("SendMessage"), _message(QueueUrl=urls)),
        st.tuples(
            st.just("SendMessageBatch"),
            st.fixed_dictionaries({"QueueUrl": urls, "Entries": st.lists(_message(Id=ids), max_size=4)}),
        ),
        st.tuples(
            st.just("ReceiveMessage"),
            st.fixed_dictionaries(
                {"QueueUrl": urls},
                optional={
                    "MaxNumberOfMessages": numbers,
                    "VisibilityTimeout": numbers,
                    "WaitTimeSeconds": numbers,
                    "AttributeNames": st.just(["All"]),
                },
            ),
        ),
        st.tuples(st.just("DeleteMessage"), st.fixed_dictionaries({"QueueUrl": urls, "ReceiptHandle": handles})),
        st.tuples(
            st.just("DeleteMessageBatch"),
            st.fixed_dictionaries({"QueueUrl": urls, "Entries": st.lists(entry, max_size=4)}),
        ),
    )


@pytest.mark.thorough
@settings(max_examples=150)
@given(st.data())
def test_both_paths_give_the_same_answers_and_do_the_same(data):
    general, fast = Face(), Face()
    handles = ["nonsense", "", "AQEB-1-1-00000000-0000-4000-8000-000000000000", 4]
    for _ in range(data.draw(st.integers(1, 12))):
        action, document = data.draw(_steps(st.sampled_from(handles)))
        answer = fast.by_the_fast_path(action, document)
        expected = general.by_the_general_path(action, document)
        if answer is NotImplemented:
            answer = fast.by_the_general_path(action, document)
        assert answer == expected
        assert fast.events == general.events
        if isinstance(answer, dict):
            handles += [message["ReceiptHandle"] for message in answer.get("Messages", ())]
        seconds = data.draw(st.sampled_from([0, 0, 1, 3]))
        general.time += seconds
        fast.time += seconds


def test_what_consumers_and_producers_send_all_day_takes_the_fast_path():
    face = Face()
    for action, document in (
        ("SendMessage", {"QueueUrl": BASE + "q", "MessageBody": "x"}),
        ("SendMessageBatch", {"QueueUrl": BASE + "q", "Entries": [{"Id": "1", "MessageBody": "x"}]}),
        ("ReceiveMessage", {"QueueUrl": BASE + "q", "WaitTimeSeconds": 20}),
        ("DeleteMessage", {"QueueUrl": BASE + "none", "ReceiptHandle": "x"}),
        ("DeleteMessageBatch", {"QueueUrl": BASE + "q", "Entries": [{"Id": "1", "ReceiptHandle": "x"}]}),
    ):
        assert face.by_the_fast_path(action, document) is not NotImplemented
