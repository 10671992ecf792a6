"""Each service as its users run it: a process of its own, against an endpoint."""

import json
import signal
import time

import pytest

from tests.services.conftest import DEADLINE
from tests.speeds import first_then_thorough

pytestmark = pytest.mark.processes

LEAVES = """
import sys
from services.consumer.consumer import Consumer

class Leaves(Consumer):
    def perform(self, delivery):
        sys.exit(0)
        yield
"""


@pytest.fixture
def world(account):
    """A queue that dead-letters after two receives, and both tables."""
    account.dead_letters = account.queue("dlq")
    arn = account.sqs.get_queue_attributes(QueueUrl=account.dead_letters, AttributeNames=["QueueArn"])["Attributes"][
        "QueueArn"
    ]
    policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 2})
    account.main = account.queue(VisibilityTimeout=1, RedrivePolicy=policy)
    account.tables = {
        "MESSAGE_STATUS_TABLE": account.table("status"),
        "MESSAGE_SIDE_EFFECTS_TABLE": account.table("ledger"),
    }
    account.consumer = {"QUEUE_URL": account.main, "WAIT_TIME_SECONDS": 1, "MAX_MESSAGES": 10, **account.tables}
    return account


def send(account, *bodies, url=None):
    for body in bodies:
        account.sqs.send_message(
            QueueUrl=url or account.main, MessageBody=body if isinstance(body, str) else json.dumps(body)
        )


def receive_all(account, url):
    bodies = []
    while messages := account.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        bodies += [json.loads(message["Body"]) for message in messages]
    return bodies


def records(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


class TestProducer:
    def test_it_sends_and_says_how_many(self, account):
        url = account.queue()
        code, out, _ = account.run("producer", "--n", 25, "--poison-every", 3, "--seed", 7, QUEUE_URL=url)
        assert (code, out.split(" in ")[0]) == (0, "sent 25 messages to q")
        payloads = receive_all(account, url)
        assert sorted(payload["sequence"] for payload in payloads) == list(range(25))
        assert {payload["sequence"] for payload in payloads if "poison" in payload} == set(range(2, 25, 3))

    def test_one_seed_makes_the_same_messages_again(self, account):
        url = account.queue()
        for _ in range(2):
            account.run("producer", "--n", 3, "--seed", 7, QUEUE_URL=url)
        identities = [payload["id"] for payload in receive_all(account, url)]
        assert len(identities) == 6
        assert len(set(identities)) == 3

    def test_it_records_each_send_in_its_history(self, account, tmp_path):
        url = account.queue()
        account.run("producer", "--n", 12, QUEUE_URL=url, HISTORY_PATH=tmp_path / "p.jsonl")
        history = [record for record in records(tmp_path / "p.jsonl") if record.get("operation") == "Send"]
        assert [record["type"] for record in history] == ["invoke", "ok"] * 2
        assert [len(record["result"]["sent"]) for record in history[1::2]] == [10, 2]

    def test_it_sends_groups_to_a_fifo_queue_and_deduplicates_by_id(self, account):
        url = account.queue("q.fifo", FifoQueue="true")
        for _ in range(2):
            assert account.run("producer", "--n", 4, "--groups", 2, "--seed", 1, QUEUE_URL=url)[0] == 0
        answer = account.sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, MessageSystemAttributeNames=["MessageGroupId"]
        )
        assert sorted(message["Attributes"]["MessageGroupId"] for message in answer["Messages"]) == [
            "g0",
            "g0",
            "g1",
            "g1",
        ]

    @pytest.mark.parametrize(
        ("arguments", "complaint"),
        first_then_thorough(
            2,
            [
                (["--n", "many"], "argument --n: 'many' is given, but it must be a valid integer"),
                (["--n", "99999999999999999999"], "is given, but it must be less than or equal to 1000000"),
                (["--region", "a b"], "The region is 'a b', but it must be a region's name"),
                (
                    ["--batch-size", "11"],
                    "argument --batch-size: '11' is given, but it must be less than or equal to 10",
                ),
                (["--rate", "-1"], "argument --rate"),
                (["--rate", "1e-300"], "'1e-300' is given, but it must be 0, or 1/43200 or more"),
                (["--purge-wait", "1e300"], "'1e300' is given, but it must be less than or equal to 43200"),
                (["--seed", "-1"], "argument --seed: '-1' is given, but it must be greater than or equal to 0"),
                (["--n", "2", "--poison-count", "3"], "--poison-count is 3, but only 2 messages are sent."),
                (["--fields", "[]"], "is given, but it must be a JSON object"),
                (["--fields", '{"a": NaN}'], "is given, but it must be a JSON object"),
                (["--fields", '{"id": "x"}'], "The payload field 'id' is the producer's own; give yours another name."),
                (["--timestamp-field", "poison"], "The payload field 'poison' is the producer's own"),
                (["--queue-url", "q"], "but it must be a queue URL"),
                (["--deduplication", "id"], "--deduplication is for FIFO queues"),
                (["--purge-wait", "soon"], "argument --purge-wait: 'soon' is given, but it must be a valid number"),
                (["--group-by", "tenant"], "--group-by names the field 'tenant', which no payload has"),
                (["--group-by", "id", "--groups", "2"], "--groups and --group-by both say whose each message is"),
                (["--profile", "nobody"], "The AWS profile 'nobody' does not exist"),
            ],
        ),
    )
    def test_bad_usage_is_a_sentence_and_exit_2(self, account, arguments, complaint):
        code, _, err = account.run("producer", *arguments, QUEUE_URL=account.url + "/000000000000/q")
        assert code == 2
        assert complaint in err
        assert "Traceback" not in err

    def test_it_purges_first_and_names_the_tenant_of_each_message(self, account):
        url = account.queue()
        send(account, {"id": "old"}, url=url)
        tenant = ["--fields", '{"tenant": "t1"}', "--group-by", "tenant"]
        assert account.run("producer", "--n", 2, "--purge-wait", "0", *tenant, QUEUE_URL=url)[0] == 0
        answer = account.sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, MessageSystemAttributeNames=["MessageGroupId"]
        )
        assert [message["Attributes"]["MessageGroupId"] for message in answer["Messages"]] == ["t1", "t1"]

    def test_a_producer_of_ones_own_takes_the_place_of_ours_and_a_wrong_one_is_a_sentence(self, account, tmp_path):
        url = account.queue()
        (tmp_path / "mine.py").write_text(
            "from services.producer.producer import Producer\n\n\nclass Mine(Producer):\n"
            "    def address(self, messages):\n        return messages[:1]\n"
        )
        own = {"QUEUE_URL": url, "PYTHONPATH": tmp_path}
        code, out, _ = account.run("producer", "--n", 3, PRODUCER="mine:Mine", **own)
        assert (code, out.split(" in ")[0]) == (0, "sent 1 messages to q")
        code, _, err = account.run("producer", PRODUCER="json:dumps", **own)
        assert code == 2
        assert (
            "PRODUCER is 'json:dumps', which must be a subclass of services.producer.producer:Producer, and is not."
            in err
        )


class TestConsumer:
    def test_it_works_on_what_is_there_and_ends_when_idle(self, world):
        send(world, *[{"id": f"k{number}", "sequence": number} for number in range(5)])
        code, _, err = world.run("consumer", **world.consumer, IDLE_TIMEOUT_SECONDS=1)
        assert (code, world.executions()) == (0, [1] * 5), err
        assert receive_all(world, world.main) == []

    def test_a_malformed_body_ends_in_the_dead_letter_queue_and_not_in_a_crash_loop(self, world):
        send(world, "no json", "[1]", {"id": "good"})
        with world.start("consumer", **world.consumer) as process:
            arrived = []
            deadline = time.monotonic() + DEADLINE
            while len(arrived) < 2 and time.monotonic() < deadline:
                answer = world.sqs.receive_message(
                    QueueUrl=world.dead_letters, MaxNumberOfMessages=10, WaitTimeSeconds=1
                )
                arrived += [message["Body"] for message in answer.get("Messages", [])]
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=DEADLINE)
        assert sorted(arrived) == ["[1]", "no json"]
        assert process.returncode == 0
        assert world.executions() == [1]

    @pytest.mark.parametrize(
        ("parameter", "executions", "attempts"),
        [
            ({"CRASH_AFTER_RECEIVE": 1}, [], 0),
            ({"CRASH_AFTER_SIDE_EFFECT": 1}, [1], 1),
            ({"CRASH_RATE": 1.0}, None, None),
        ],
    )
    def test_a_crash_is_a_sigkill_and_a_second_consumer_recovers(self, world, parameter, executions, attempts):
        send(world, {"id": "k"})
        code, _, _ = world.run("consumer", **world.consumer, **parameter, SEED=3)
        assert code == -signal.SIGKILL
        if executions is not None:
            assert (world.executions(), len(world.items("status"))) == (executions, attempts)
        code, _, err = world.run("consumer", **world.consumer, IDLE_TIMEOUT_SECONDS=2)
        assert (code, world.executions()) == (0, [1]), err
        assert receive_all(world, world.main) == []

    def test_a_slow_side_effect_is_waited_for_by_sigterm(self, world):
        send(world, {"id": "a"}, {"id": "b"})
        history = world.directory / "c.jsonl"
        with world.start(
            "consumer", **world.consumer, SIDE_EFFECT_DELAY_SECONDS=0.5, CLAIM_LEASE_SECONDS=30, HISTORY_PATH=history
        ) as process:
            deadline = time.monotonic() + DEADLINE
            while not (history.exists() and "PerformSideEffect" in history.read_text()) and time.monotonic() < deadline:
                time.sleep(0.01)
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=DEADLINE)
        assert process.returncode == 0
        assert world.executions() == [1]
        kinds = [record["operation"] for record in records(history) if record["type"] == "ok"]
        assert kinds[-2:] == ["ChangeVisibility", "Delete"]

    def test_the_log_gets_a_line_a_side_effect(self, world):
        send(world, {"id": "a", "work": 7}, {"id": "a", "work": 7}, {"id": "b", "work": 9})
        log = world.directory / "effects.log"
        world.run(
            "consumer", **world.consumer, IDLE_TIMEOUT_SECONDS=1, SIDE_EFFECT_LOG_PATH=log, SIDE_EFFECT_LOG_FIELD="work"
        )
        assert sorted(log.read_text().split()) == ["7", "9"]

    def test_a_heartbeat_keeps_long_work_to_itself(self, world):
        send(world, {"id": "k"})
        history = world.directory / "c.jsonl"
        code, _, err = world.run(
            "consumer", **world.consumer,
            HEARTBEAT_SECONDS=0.3, SIDE_EFFECT_DELAY_SECONDS=2.5, MESSAGE_LIMIT=1, HISTORY_PATH=history,
        )  # fmt: skip
        assert (code, world.executions()) == (0, [1]), err
        assert {"RenewClaim", "ChangeVisibility"} <= {record.get("operation") for record in records(history)}
        assert receive_all(world, world.main) == []

    def test_a_naive_twin_takes_the_consumers_place(self, world):
        send(world, {"id": "k"}, {"id": "k"})
        world.run(
            "consumer", **world.consumer, CONSUMER="scenarios.catalog.happy.naive:WithoutGuard", IDLE_TIMEOUT_SECONDS=1
        )
        assert world.executions() == [2]

    @pytest.mark.parametrize("tables", [[], ["MESSAGE_STATUS_TABLE"], ["MESSAGE_SIDE_EFFECTS_TABLE"]], ids=str)
    @pytest.mark.parametrize(
        "consumer",
        first_then_thorough(1, ["consumer:Consumer", "idempotency_key:IdempotencyKeyConsumer", "saga:SagaConsumer"]),
    )
    def test_it_works_without_a_table(self, world, tables, consumer):
        send(world, *({"id": f"k{number}"} for number in range(3)))
        variables = {"QUEUE_URL": world.main, "WAIT_TIME_SECONDS": 1, **{name: world.tables[name] for name in tables}}
        code, _, err = world.run(
            "consumer",
            **variables,
            MESSAGE_LIMIT=3,
            CONSUMER=f"services.consumer.{consumer}",
            SIDE_EFFECT_LOG_PATH="log",
        )
        assert (code, "Traceback" in err) == (0, False), err
        assert receive_all(world, world.main) == []

    def test_without_a_bucket_a_consumer_that_needs_one_ends_with_a_sentence(self, world):
        send(world, {"id": "k", "payload_key": "payloads/k"})
        fetches = "services.consumer.large_payload:LargePayloadConsumer"
        code, _, err = world.run("consumer", **world.consumer, CONSUMER=fetches)
        assert (code, err.splitlines()[-1]) == (
            2,
            "error: FetchObject cannot be done without PAYLOAD_BUCKET; set it, or choose another class.",
        )

    def test_a_class_that_calls_sys_exit_has_not_done_its_work(self, world):
        (world.directory / "mine.py").write_text(LEAVES)
        send(world, {"id": "k"})
        code, out, err = world.run("consumer", **world.consumer, CONSUMER="mine:Leaves", PYTHONPATH=world.directory)
        assert (code, out) == (2, "")
        assert err.splitlines()[-1] == (
            "error: CONSUMER is 'mine:Leaves', which has called sys.exit; a consumer ends by returning."
        )

    @pytest.mark.parametrize(
        ("variables", "complaint"),
        first_then_thorough(
            3,
            [
                ({"QUEUE_URL": ""}, "QUEUE_URL is not set"),
                ({"QUEUE_URL": "{url}/000000000000/absent"}, "There is no queue {url}/000000000000/absent"),
                ({"MESSAGE_STATUS_TABLE": "absent"}, "A table is missing"),
                ({"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}, "Nothing answers at http://127.0.0.1:1"),
                ({"AWS_REGION": ""}, "No region is configured"),
                ({"AWS_REGION": "a b"}, "The region is 'a b'"),
                ({"AWS_ENDPOINT_URL": "foo"}, "AWS_ENDPOINT_URL is 'foo', but it must be a URL"),
                ({"AWS_ENDPOINT_URL": "http://127.0.0.1:99999"}, "AWS_ENDPOINT_URL is"),
                ({"AWS_ENDPOINT_URL": "http://[::1"}, "AWS_ENDPOINT_URL is"),
                ({"QUEUE_URL": "foo", "AWS_REGION": ""}, "QUEUE_URL is 'foo', but it must be a queue URL"),
                (
                    {"MESSAGE_STATUS_TABLE": "ledger"},
                    "MESSAGE_STATUS_TABLE and MESSAGE_SIDE_EFFECTS_TABLE are both",
                ),
                ({"MAX_MESSAGES": "11"}, "MAX_MESSAGES is '11'"),
                ({"CONSUMER": "nowhere:Nothing"}, "CONSUMER is 'nowhere:Nothing'"),
                ({"HISTORY_PATH": "/no/such/directory/h.jsonl"}, "HISTORY_PATH cannot be written"),
                ({"SIDE_EFFECT_LOG_PATH": "/no/such/directory/done"}, "SIDE_EFFECT_LOG_PATH cannot be written"),
            ],
        ),
        ids=lambda value: "" if isinstance(value, str) else next(iter(value)),
    )
    def test_what_it_cannot_begin_with_is_one_sentence_and_exit_2(self, world, variables, complaint):
        variables = {name: value.format(url=world.url) for name, value in variables.items()}
        code, out, err = world.run("consumer", **{**world.consumer, **variables})
        assert (code, out) == (2, "")
        assert err.startswith("error: " + complaint.format(url=world.url))
        assert err.count("\n") == 1

    def test_its_history_and_log_hold_no_credentials(self, world):
        send(world, {"id": "k"})
        history = world.directory / "c.jsonl"
        _, out, err = world.run(
            "consumer", **world.consumer, MESSAGE_LIMIT=1, HISTORY_PATH=history, LOG_LEVEL="DEBUG",
            AWS_ACCESS_KEY_ID="AKIATELLTALE", AWS_SECRET_ACCESS_KEY="telltale-secret",
        )  # fmt: skip
        said = out + err + history.read_text()
        assert "AKIATELLTALE" not in said
        assert "telltale-secret" not in said
