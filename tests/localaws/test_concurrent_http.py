"""Several clients at once, over HTTP: what each of them was told fits one order of events.

Every call is taken down with the moments of its begin and end. If one call ended before another began, it happened
before it; what the answers say must agree with that.
"""

import http.client
import itertools
import json
import threading
import time
from collections import defaultdict
from dataclasses import dataclass
from random import Random
from urllib.parse import urlsplit

import pytest

CLIENTS = 4
CALLS = 120
PATIENCE = 30


@dataclass(frozen=True)
class Call:
    """One call: its action, what it was about, and when. ``message`` is an id."""

    action: str
    message: str
    began: float
    ended: float
    group: str | None = None
    count: int = 0
    body: str = ""


class Client:
    """One connection of its own, and the calls that it made."""

    def __init__(self, endpoint, url, seed):
        self._connection = http.client.HTTPConnection(urlsplit(endpoint.url).netloc, timeout=PATIENCE)
        self._url = url
        self.rng = Random(seed)
        self.calls = []

    def __call__(self, action, **parameters):
        body = json.dumps({"QueueUrl": self._url, **parameters})
        self._connection.request("POST", "/", body, {"X-Amz-Target": f"AmazonSQS.{action}"})
        answer = self._connection.getresponse()
        document = json.loads(answer.read())
        assert answer.status == 200, document
        return document

    def send(self, body, **parameters):
        began = time.monotonic()
        answer = self("SendMessage", MessageBody=body, **parameters)
        self.calls.append(Call("send", answer["MessageId"], began, time.monotonic(), body=body))
        return answer

    def receive(self, **parameters):
        began = time.monotonic()
        messages = self("ReceiveMessage", AttributeNames=["All"], **parameters).get("Messages", [])
        ended = time.monotonic()
        for message in messages:
            told = message["Attributes"]
            count = int(told["ApproximateReceiveCount"])
            group = told.get("MessageGroupId")
            self.calls.append(Call("receive", message["MessageId"], began, ended, group, count, message["Body"]))
        return messages

    def finish(self, message, **visibility):
        """Delete a message, or give it back at once."""
        action = "ChangeMessageVisibility" if visibility else "DeleteMessage"
        began = time.monotonic()
        self(action, ReceiptHandle=message["ReceiptHandle"], **visibility)
        group = message["Attributes"].get("MessageGroupId")
        name = "return" if visibility else "delete"
        self.calls.append(Call(name, message["MessageId"], began, time.monotonic(), group))

    def close(self):
        self._connection.close()


def _run(endpoint, url, work):
    """Let the clients work at once; return all their calls."""
    clients = [Client(endpoint, url, seed) for seed in range(CLIENTS)]
    failures = []

    def run(number, client):
        try:
            work(number, client)
        except BaseException as error:  # noqa: BLE001 - raised again in the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()
    for client in clients:
        client.close()
    if failures:
        raise failures[0]
    return [call for client in clients for call in client.calls]


def _by_message(calls):
    messages = defaultdict(lambda: defaultdict(list))
    for call in calls:
        messages[call.message][call.action].append(call)
    return messages


@pytest.mark.parametrize("fifo", [False, True])
def test_no_message_is_lost_or_received_after_its_delete(endpoint, new_queue, fifo):
    url = new_queue(fifo=fifo, VisibilityTimeout="600")

    def work(number, client):
        for step in range(CALLS):
            extra = (
                {"MessageGroupId": client.rng.choice("abc"), "MessageDeduplicationId": f"{number}-{step}"}
                if fifo
                else {}
            )
            client.send(f"{number}-{step}", **extra)
            for message in client.receive(MaxNumberOfMessages=client.rng.randint(1, 10)):
                if client.rng.random() < 0.3:
                    client.finish(message, VisibilityTimeout=0)
                else:
                    client.finish(message)

    calls = _run(endpoint, url, work)
    rest = Client(endpoint, url, 0)
    while messages := rest.receive(MaxNumberOfMessages=10):
        for message in messages:
            rest.finish(message)
    rest.close()
    messages = _by_message(calls + rest.calls)
    assert len(messages) == CLIENTS * CALLS
    for told in messages.values():
        [sent] = told["send"]
        [deleted] = told["delete"]
        assert all(call.began <= deleted.ended for call in told["receive"]), "received after its delete"
        assert all(call.ended >= sent.began and call.body == sent.body for call in told["receive"])
        assert sorted(call.count for call in told["receive"]) == list(range(1, len(told["receive"]) + 1))
        in_order = sorted(told["receive"], key=lambda call: call.count)
        assert all(first.began <= second.ended for first, second in itertools.pairwise(in_order))
        assert len(told["return"]) == len(told["receive"]) - 1


def test_a_groups_messages_are_handled_one_after_the_other_and_in_order(endpoint, new_queue):
    url = new_queue(fifo=True, VisibilityTimeout="600")
    producer = Client(endpoint, url, 0)
    for number in range(90):
        producer.send(f"{number:03}", MessageGroupId="abc"[number % 3], MessageDeduplicationId=str(number))
    producer.close()
    left = itertools.count(90, -1)

    def work(_, client):
        while next(left) > -CLIENTS * 20:
            for message in client.receive(MaxNumberOfMessages=client.rng.randint(1, 3)):
                client.finish(message)

    calls = _run(endpoint, url, work)
    for group in "abc":
        received = [call for call in calls if (call.action, call.group) == ("receive", group)]
        deletes = {call.message: call for call in calls if (call.action, call.group) == ("delete", group)}
        assert len(received) == len({call.message for call in received})
        bodies = [call.body for call in sorted(received, key=lambda call: (call.ended, call.body))]
        by_body = sorted(received, key=lambda call: call.body)
        assert len(bodies) == 30
        for first, second in itertools.pairwise(by_body):
            # The next message comes with the same answer, or after the delete of this one began.
            together = (first.began, first.ended) == (second.began, second.ended)
            assert together or deletes[first.message].began <= second.ended


def test_a_deduplication_id_makes_one_message_from_any_number_of_senders(endpoint, new_queue):
    url = new_queue(fifo=True)
    answers = defaultdict(set)

    def work(number, client):
        order = list(range(30))
        client.rng.shuffle(order)
        for name in order:
            answer = client.send(str(name), MessageGroupId="g", MessageDeduplicationId=str(name))
            answers[name].add((answer["MessageId"], answer["SequenceNumber"]))

    _run(endpoint, url, work)
    assert {len(told) for told in answers.values()} == {1}
    consumer = Client(endpoint, url, 0)
    numbers = []
    while messages := consumer.receive(MaxNumberOfMessages=10):
        numbers += [message["Attributes"]["SequenceNumber"] for message in messages]
        for message in messages:
            consumer.finish(message)
    consumer.close()
    assert len(numbers) == 30
    assert numbers == sorted(numbers)


def test_each_message_wakes_one_waiting_receive(endpoint, new_queue):
    url = new_queue(VisibilityTimeout="600")
    got = []

    def work(number, client):
        if number:
            for _ in range(5):
                got.extend(client.receive(WaitTimeSeconds=20))
        else:
            for body in range(5 * (CLIENTS - 1)):
                client.send(str(body))

    _run(endpoint, url, work)
    assert sorted(int(message["Body"]) for message in got) == list(range(5 * (CLIENTS - 1)))
