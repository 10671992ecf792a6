"""Queues come and go, and their attributes are checked, on the state machine alone."""

import json

import pytest

from infra.localaws.sqs.errors import (
    InvalidAttributeName,
    InvalidAttributeValue,
    InvalidParameterValue,
    PurgeQueueInProgress,
    QueueDeletedRecently,
    QueueDoesNotExist,
    QueueNameExists,
)


def _redrive(lab, target, most=2):
    return json.dumps({"deadLetterTargetArn": lab.model.arn(target), "maxReceiveCount": most})


@pytest.mark.parametrize("name", ["", "x" * 81, "has space", "dot.ted", "fifo.fifo", "ü"])
def test_a_malformed_name_is_refused(lab, name):
    with pytest.raises(InvalidParameterValue, match="Can only include alphanumeric characters"):
        lab.model.create_queue(name)


def test_a_fifo_queue_says_so_twice(lab):
    with pytest.raises(InvalidParameterValue, match=r"must end with \.fifo suffix"):
        lab.model.create_queue("q", {"FifoQueue": "true"})
    lab.model.create_queue("x" * 75 + ".fifo", {"FifoQueue": "true"})


def test_creating_a_queue_again_needs_equal_attributes(lab):
    first = lab.model.create_queue("q", {"VisibilityTimeout": "5"})
    assert lab.model.create_queue("q", {"VisibilityTimeout": "5"}) is first
    assert lab.model.create_queue("q") is first
    with pytest.raises(QueueNameExists, match=r"different value for attribute VisibilityTimeout$"):
        lab.model.create_queue("q", {"VisibilityTimeout": "6"})


def test_a_deleted_queues_name_is_free_after_sixty_seconds(lab):
    lab.model.create_queue("q")
    lab.model.delete_queue("q")
    with pytest.raises(QueueDoesNotExist, match=r"^The specified queue does not exist\.$"):
        lab.receive("q")
    lab.wait(59)
    with pytest.raises(QueueDeletedRecently):
        lab.model.create_queue("q")
    lab.wait(1)
    lab.model.create_queue("q")


def test_the_lab_frees_the_name_of_a_deleted_queue_at_once(lab):
    for name in ("q", "r"):
        lab.model.create_queue(name)
        lab.send(name, "x")
        lab.model.delete_queue(name)
    lab.model.free_name("q")
    lab.model.free_name("never-there")
    lab.model.create_queue("q")
    assert lab.receive("q") == []
    with pytest.raises(QueueDeletedRecently):
        lab.model.create_queue("r")


def test_a_queue_is_purged_once_in_sixty_seconds_with_what_is_in_flight(lab):
    lab.model.create_queue("q")
    sent = {lab.send("q", "x") for _ in range(3)}
    [delivery] = lab.receive("q", 1)
    assert lab.model.purge("q") == 3
    [purge] = lab.named("purged")
    assert (purge["count"], set(purge["message_ids"])) == (3, sent)
    lab.model.delete("q", delivery.receipt_handle)
    with pytest.raises(PurgeQueueInProgress, match="Only one PurgeQueue operation on q is allowed every 60 seconds"):
        lab.model.purge("q")
    lab.wait(60)
    assert lab.model.purge("q") == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("VisibilityTimeout", "43201"),
        ("VisibilityTimeout", "-1"),
        ("VisibilityTimeout", "1.5"),
        ("VisibilityTimeout", "²"),
        ("DelaySeconds", "901"),
        ("MessageRetentionPeriod", "59"),
        ("MessageRetentionPeriod", "1209601"),
        ("MaximumMessageSize", "1023"),
        ("MaximumMessageSize", "1048577"),
        ("ReceiveMessageWaitTimeSeconds", "21"),
        ("SqsManagedSseEnabled", "maybe"),
        ("Policy", "not json"),
        ("KmsDataKeyReusePeriodSeconds", "59"),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(lab, name, value):
    with pytest.raises(InvalidAttributeValue, match=f"^Invalid value for the parameter {name}\\.$"):
        lab.model.create_queue("q", {name: value})
    lab.model.create_queue("q")
    with pytest.raises(InvalidAttributeValue):
        lab.model.set_attributes("q", {name: value})


@pytest.mark.parametrize("name", ["Nonsense", "QueueArn", "CreatedTimestamp", "ContentBasedDeduplication"])
def test_an_attribute_that_cannot_be_set_is_refused_by_name(lab, name):
    lab.model.create_queue("q")
    with pytest.raises(InvalidAttributeName, match=f"^Unknown Attribute {name}\\.$"):
        lab.model.set_attributes("q", {name: "true"})


def test_all_limits_of_the_attributes_are_accepted(lab):
    wanted = {
        "VisibilityTimeout": "43200",
        "DelaySeconds": "900",
        "MessageRetentionPeriod": "1209600",
        "MaximumMessageSize": "1024",
        "ReceiveMessageWaitTimeSeconds": "20",
        "Policy": '{"Version":"2012-10-17"}',
        "SqsManagedSseEnabled": "false",
    }
    lab.model.create_queue("q", wanted)
    texts = lab.model.attribute_texts("q")
    assert wanted.items() <= texts.items()
    assert texts["QueueArn"] == "arn:aws:sqs:us-west-1:000000000000:q"


def test_high_throughput_needs_deduplication_by_group(lab):
    lab.model.create_queue("q.fifo", {"FifoQueue": "true"})
    with pytest.raises(InvalidAttributeValue, match="FifoThroughputLimit"):
        lab.model.set_attributes("q.fifo", {"FifoThroughputLimit": "perMessageGroupId"})
    lab.model.set_attributes(
        "q.fifo", {"FifoThroughputLimit": "perMessageGroupId", "DeduplicationScope": "messageGroup"}
    )
    with pytest.raises(InvalidAttributeValue, match="Modifying queue type"):
        lab.model.set_attributes("q.fifo", {"FifoQueue": "false"})


def test_a_redrive_policy_is_given_back_removed_and_listed_at_its_target(lab):
    lab.model.create_queue("dlq")
    lab.model.create_queue("q", {"RedrivePolicy": _redrive(lab, "dlq", "3")})
    assert json.loads(lab.model.attribute_texts("q")["RedrivePolicy"]) == {
        "deadLetterTargetArn": lab.model.arn("dlq"),
        "maxReceiveCount": 3,
    }
    assert lab.model.dead_letter_sources("dlq") == ["q"]
    lab.model.set_attributes("q", {"RedrivePolicy": ""})
    assert "RedrivePolicy" not in lab.model.attribute_texts("q")
    assert lab.model.dead_letter_sources("dlq") == []


@pytest.mark.parametrize(
    ("policy", "reason"),
    [
        ("nonsense", "not a valid JSON map"),
        ("[]", "not a valid JSON map"),
        ("{}", "does not contain mandatory attribute: deadLetterTargetArn"),
        ('{"deadLetterTargetArn":"ARN"}', "does not contain mandatory attribute: maxReceiveCount"),
        ('{"deadLetterTargetArn":"ARN","maxReceiveCount":0}', "Invalid value for maxReceiveCount: 0"),
        ('{"deadLetterTargetArn":"ARN","maxReceiveCount":1001}', "valid values are from 1 to 1000 both inclusive"),
        ('{"deadLetterTargetArn":"ARN","maxReceiveCount":1,"x":1}', "Unknown field in redrive policy: x"),
        ('{"deadLetterTargetArn":"ARNx","maxReceiveCount":1}', "Dead letter target does not exist"),
        ('{"deadLetterTargetArn":"ARN.fifo","maxReceiveCount":1}', "must be same type of queue as the source"),
    ],
)
def test_a_redrive_policy_that_cannot_work_is_refused(lab, policy, reason):
    lab.model.create_queue("dlq")
    lab.model.create_queue("dlq.fifo", {"FifoQueue": "true"})
    lab.model.create_queue("q")
    with pytest.raises(InvalidParameterValue, match=reason):
        lab.model.set_attributes("q", {"RedrivePolicy": policy.replace("ARN", lab.model.arn("dlq"))})


def test_a_dead_letter_queue_chooses_its_sources(lab):
    lab.model.create_queue("q")
    by_queue = json.dumps({"redrivePermission": "byQueue", "sourceQueueArns": [lab.model.arn("other")]})
    for policy in ('{"redrivePermission":"denyAll"}', by_queue):
        name = f"dlq-{len(policy)}"
        lab.model.create_queue(name, {"RedriveAllowPolicy": policy})
        with pytest.raises(InvalidParameterValue, match="does not allow this source queue"):
            lab.model.set_attributes("q", {"RedrivePolicy": _redrive(lab, name)})
        lab.model.set_attributes(name, {"RedriveAllowPolicy": by_queue.replace(":other", ":q")})
        lab.model.set_attributes("q", {"RedrivePolicy": _redrive(lab, name)})


def test_a_dead_letter_queue_that_closes_itself_gets_no_more_messages(lab):
    lab.model.create_queue("dlq")
    lab.model.create_queue("q", {"VisibilityTimeout": "0", "RedrivePolicy": _redrive(lab, "dlq", 1)})
    lab.model.set_attributes("dlq", {"RedriveAllowPolicy": '{"redrivePermission":"denyAll"}'})
    lab.send("q", "a")
    assert [lab.bodies("q"), lab.bodies("q")] == [["a"], ["a"]]
    lab.model.set_attributes("dlq", {"RedriveAllowPolicy": ""})
    assert lab.bodies("q") == []
    assert lab.bodies("dlq") == ["a"]


@pytest.mark.parametrize(
    "policy",
    [
        "nonsense",
        "{}",
        '{"redrivePermission":"some"}',
        '{"redrivePermission":"byQueue"}',
        '{"redrivePermission":"allowAll","sourceQueueArns":["a"]}',
        json.dumps({"redrivePermission": "byQueue", "sourceQueueArns": ["a"] * 11}),
    ],
)
def test_a_malformed_redrive_allow_policy_is_refused(lab, policy):
    with pytest.raises(InvalidParameterValue, match="RedriveAllowPolicy is invalid"):
        lab.model.create_queue("dlq", {"RedriveAllowPolicy": policy})


def test_a_shorter_retention_reaches_the_messages_that_are_there(lab):
    lab.model.create_queue("q")
    lab.send("q", "a")
    lab.wait(100)
    lab.model.set_attributes("q", {"MessageRetentionPeriod": "60"})
    assert lab.bodies("q") == []


def test_memory_does_not_grow_with_messages_that_have_gone(lab):
    lab.model.create_queue("q", {"VisibilityTimeout": "40000"})
    lab.send("q", "stays")
    [stays] = lab.receive("q", 1)
    for _ in range(1000):
        lab.send("q", "goes")
        [goes] = lab.receive("q", 1)
        lab.model.change_visibility("q", stays.receipt_handle, 30_000)
        lab.model.delete("q", goes.receipt_handle)
    queue = lab.model.queue("q")
    assert len(queue._retention._in_order) < 100
    assert len(queue._timers._heap) < 100
    assert len(queue._line) < 100


@pytest.mark.parametrize("permission", ["[]", "{}", "null", "1", '["allowAll"]'])
def test_a_redrive_permission_that_is_no_text_is_refused(lab, permission):
    with pytest.raises(InvalidParameterValue, match="redrive allow policy"):
        lab.model.create_queue("q", {"RedriveAllowPolicy": f'{{"redrivePermission":{permission}}}'})
