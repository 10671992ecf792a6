import json
from dataclasses import replace

import pytest

from scenarios.checks.external_program import ReadLedger, ReadState
from scenarios.local.http_reader import BreaksContractError, Reader, Surroundings, executions_in
from services.drivers.attempts import NOT_ADDED_YET
from services.operations import (
    ChangeVisibility,
    Delete,
    FetchObject,
    LookUpSideEffect,
    Message,
    PerformSideEffect,
    Receive,
    RemoveObject,
    Send,
    StateWritten,
    WriteState,
)

URL = "http://127.0.0.1:1/000000000000/work"
BODY = json.dumps({"id": "key-a", "work": 1, "sequence": 3})
DELIVERED = {
    "MessageId": "a",
    "ReceiptHandle": "handle-a",
    "MD5OfBody": "x",
    "Body": BODY,
    "Attributes": {"ApproximateReceiveCount": "2", "MessageGroupId": "g0", "SentTimestamp": "1"},
}


@pytest.fixture
def reader():
    return Reader(Surroundings("work", "ledger", receive_wait=7, max_messages=4, message_limit=1))


def sqs(reader, action, **document):
    return reader.read(f"AmazonSQS.{action}", json.dumps({"QueueUrl": URL, **document}).encode())


def dynamodb(reader, action, **document):
    return reader.read(f"DynamoDB_20120810.{action}", json.dumps(document).encode())


def answered(reading, **document):
    result, body = reading.answer(json.dumps(document).encode())
    return result, json.loads(body)


def received(reader):
    return answered(sqs(reader, "ReceiveMessage"), Messages=[DELIVERED])


def test_a_receive_is_narrowed_to_what_the_scenario_allows_and_asks_for_what_the_lab_must_know(reader):
    reading = sqs(reader, "ReceiveMessage", MaxNumberOfMessages=10, WaitTimeSeconds=1, AttributeNames=["SentTimestamp"])
    assert reading.operation == Receive(4, 1)
    sent = json.loads(reading.body)
    assert sent["MaxNumberOfMessages"] == 4
    assert set(sent["MessageSystemAttributeNames"]) == {"ApproximateReceiveCount", "MessageGroupId", "SequenceNumber"}
    assert sqs(reader, "ReceiveMessage").operation == Receive(1, 7)


@pytest.mark.parametrize(
    "member",
    ["AttributeNames", "MessageSystemAttributeNames", "MaxNumberOfMessages", "WaitTimeSeconds", "VisibilityTimeout"],
)
def test_a_member_that_is_null_is_not_there(reader, member):
    reading, without = (sqs(reader, "ReceiveMessage", **members) for members in ({member: None}, {}))
    assert reading.operation == without.operation
    assert reading.body == without.body


def test_a_program_gets_the_attributes_that_it_asked_for_and_no_others(reader):
    (message,), told = answered(sqs(reader, "ReceiveMessage"), Messages=[DELIVERED])
    assert (message.receive_count, message.group) == (2, "g0")
    assert told["Messages"][0]["Attributes"] == {"SentTimestamp": "1"}
    _, told = answered(sqs(reader, "ReceiveMessage", AttributeNames=["All"]), Messages=[DELIVERED])
    assert told["Messages"][0] == DELIVERED


def test_nor_is_a_member_of_an_answer(reader):
    (message,), _ = answered(sqs(reader, "ReceiveMessage"), Messages=[{**DELIVERED, "Attributes": None}])
    assert (message.message_id, message.receive_count) == ("a", 1)


def test_deletes_are_known_by_message_alone_and_in_batches(reader):
    received(reader)
    reading = sqs(reader, "DeleteMessage", ReceiptHandle="handle-a")
    assert isinstance(reading.operation, Delete)
    assert reading.operation.arguments() == {"messages": ["a"]}
    entries = [{"Id": "x", "ReceiptHandle": "handle-a"}, {"Id": "y", "ReceiptHandle": "unknown"}]
    batch = sqs(reader, "DeleteMessageBatch", Entries=entries)
    assert batch.operation.arguments() == {"messages": ["a", ""]}
    failed = {"Id": "y", "SenderFault": True, "Code": "ReceiptHandleIsInvalid"}
    (failure,), _ = answered(batch, Successful=[{"Id": "x"}], Failed=[failed])
    assert (failure.entry, failure.code, failure.sender_fault) == (1, "ReceiptHandleIsInvalid", True)


def test_a_program_is_done_when_it_has_deleted_as_many_messages_as_it_may(reader):
    received(reader)
    entries = [{"Id": "x", "ReceiptHandle": "handle-a"}]
    refused = {"Id": "x", "SenderFault": False, "Code": "InternalError"}
    answered(sqs(reader, "DeleteMessageBatch", Entries=entries), Failed=[refused])
    assert not reader.is_done
    answered(sqs(reader, "DeleteMessage", ReceiptHandle="handle-a"))
    assert reader.is_done


def test_changes_of_visibility_and_sends_are_read(reader):
    received(reader)
    change = sqs(reader, "ChangeMessageVisibility", ReceiptHandle="handle-a", VisibilityTimeout=5).operation
    assert isinstance(change, ChangeVisibility)
    assert change.arguments() == {"messages": ["a"], "timeout": 5}
    one = sqs(reader, "SendMessage", MessageBody="again")
    assert isinstance(one.operation, Send)
    result, _ = answered(one, MessageId="b", MD5OfMessageBody="x")
    assert [(entry.entry, entry.message_id) for entry in result.sent] == [(0, "b")]
    many = sqs(reader, "SendMessageBatch", Entries=[{"Id": "p", "MessageBody": "1"}, {"Id": "q", "MessageBody": "2"}])
    result, _ = answered(many, Successful=[{"Id": "q", "MessageId": "c"}])
    assert [(entry.entry, entry.message_id) for entry in result.sent] == [(1, "c")]


def test_a_side_effect_is_an_update_of_the_ledger_and_knows_its_message(reader):
    received(reader)
    update = {"TableName": "ledger", "Key": {"message_id": {"S": "key-a"}}, "UpdateExpression": "ADD executions :one"}
    reading = dynamodb(reader, "UpdateItem", **update)
    assert reading.operation == PerformSideEffect("key-a", "a", 3, "g0")
    assert answered(reading, Attributes={"executions": {"N": "2"}})[0] == 2
    assert answered(reading)[0] is None
    update["Key"] = {"message_id": {"S": "never received"}}
    assert dynamodb(reader, "UpdateItem", **update).operation == PerformSideEffect("never received", "")


@pytest.mark.parametrize("shown", [{}, {"Item": {"executions": {"N": "1"}}}], ids=["bare", "with the item"])
def test_a_repeated_call_that_is_refused_says_that_it_was_done_before(reader, shown):
    update = {"TableName": "ledger", "Key": {"message_id": {"S": "key-a"}}, "UpdateExpression": "ADD executions :one"}
    refusal = json.dumps({"__type": "com.amazonaws.dynamodb#ConditionalCheckFailedException", **shown}).encode()
    repeated = dynamodb(reader, "UpdateItem", **update, ConditionExpression=NOT_ADDED_YET)
    assert repeated.refused(400, refusal) == (1 if shown else None, refusal)
    assert repeated.refused(400, json.dumps({"__type": "com.amazonaws#ThrottlingException"}).encode()) is None
    assert dynamodb(reader, "UpdateItem", **update).refused(400, refusal) is None


def test_a_look_into_the_ledger_is_read(reader):
    reading = dynamodb(reader, "GetItem", TableName="ledger", Key={"message_id": {"S": "key-a"}})
    assert reading.operation == LookUpSideEffect("key-a")
    assert answered(reading, Item={"message_id": {"S": "key-a"}})[0] is True
    assert answered(reading)[0] is False


@pytest.mark.parametrize("value", [{"N": "0.5"}, {"N": "-1"}, {"S": "1"}, {}])
def test_an_answer_without_a_count_is_reported(reader, value):
    update = {"TableName": "ledger", "Key": {"message_id": {"S": "key-a"}}, "UpdateExpression": "ADD executions :one"}
    with pytest.raises(BreaksContractError, match="leaves in the side-effects table what is no count"):
        answered(dynamodb(reader, "UpdateItem", **update), Attributes={"executions": value})
    with pytest.raises(BreaksContractError, match="what is no count"):
        executions_in(json.dumps({"Item": {"executions": value}}).encode())


def test_a_business_key_names_the_message_of_a_side_effect():
    reader = Reader(Surroundings("work", "ledger", business_field="order_id"))
    body = json.dumps({"id": "x", "order_id": "o1", "sequence": 0})
    answered(sqs(reader, "ReceiveMessage"), Messages=[{**DELIVERED, "Body": body}])
    assert reader.effect("o1").message_id == "a"


@pytest.mark.parametrize(
    "request_",
    [
        ("AmazonSQS.ReceiveMessage", {"QueueUrl": "http://127.0.0.1:1/000000000000/other"}),
        ("AmazonSQS.GetQueueAttributes", {"QueueUrl": URL}),
        ("AmazonSQS.ReceiveMessage", {"QueueUrl": None}),
        ("AmazonSQS.ReceiveMessage", {"QueueUrl": 5}),
        ("AmazonSQS.ReceiveMessage", "no object"),
        ("DynamoDB_20120810.PutItem", {"TableName": "its-own", "Item": {}}),
        ("DynamoDB_20120810.UpdateItem", {"TableName": "its-own", "Key": {}, "ConditionExpression": "x"}),
        ("DynamoDB_20120810.DescribeTable", {"TableName": "ledger"}),
        ("AWSSecurityTokenService.GetCallerIdentity", {}),
    ],
)
def test_what_is_the_programs_own_affair_passes_unread(reader, request_):
    target, document = request_
    assert reader.read(target, json.dumps(document).encode()) is None


def test_a_request_that_cannot_be_judged_is_refused_with_a_reason(reader):
    key = {"message_id": {"S": "key-a"}}
    with pytest.raises(BreaksContractError, match="puts a condition on its side effect"):
        dynamodb(reader, "UpdateItem", TableName="ledger", Key=key, ConditionExpression="attribute_not_exists(x)")
    with pytest.raises(BreaksContractError, match="changes the side-effects table by PutItem"):
        dynamodb(reader, "PutItem", TableName="ledger", Item=key)
    with pytest.raises(BreaksContractError, match="by TransactWriteItems"):
        dynamodb(reader, "TransactWriteItems", TransactItems=[{"Update": {"TableName": "ledger"}}])
    with pytest.raises(BreaksContractError, match="Query protocol of old SDKs"):
        reader.read("", b"Action=ReceiveMessage&QueueUrl=x")
    assert reader.read("", b"Action=GetCallerIdentity") is None


@pytest.mark.parametrize(
    ("action", "members", "reason"),
    [
        ("ReceiveMessage", {"MaxNumberOfMessages": "10"}, "a ReceiveMessage that the lab cannot read .*'str'"),
        ("ReceiveMessage", {"AttributeNames": 5}, "a ReceiveMessage that the lab cannot read .*not iterable"),
        ("DeleteMessageBatch", {}, "a DeleteMessageBatch that the lab cannot read .has no 'Entries'"),
        ("DeleteMessage", {"ReceiptHandle": None}, "has no 'ReceiptHandle'"),
        ("ChangeMessageVisibilityBatch", {"Entries": []}, "a ChangeMessageVisibilityBatch that the lab cannot read"),
    ],
)
def test_what_it_asks_of_its_own_queue_and_cannot_be_read_is_refused_and_not_passed_on(reader, action, members, reason):
    with pytest.raises(BreaksContractError, match=reason):
        sqs(reader, action, **members)


def test_an_update_of_the_ledger_that_cannot_be_read_is_refused(reader):
    with pytest.raises(BreaksContractError, match=r"a UpdateItem that the lab cannot read \(has no 'S'"):
        dynamodb(reader, "UpdateItem", TableName="ledger", Key={"message_id": {"N": "1"}})


STATE = {"TableName": "ledger", "Key": {"message_id": {"S": "state/e0"}}}


def handed_update(reader):
    body = json.dumps({"id": "key-u", "sequence": 0, "entity": "e0", "version": 2})
    answered(sqs(reader, "ReceiveMessage"), Messages=[{**DELIVERED, "Body": body}])


@pytest.mark.parametrize(
    ("action", "document", "conditional"),
    [
        ("UpdateItem", {**STATE, "UpdateExpression": "SET a = :a, version = :v", "ConditionExpression": "x"}, True),
        (
            "UpdateItem",
            {**STATE, "UpdateExpression": "SET #v=:v", "ExpressionAttributeNames": {"#v": "version"}},
            False,
        ),
        (
            "PutItem",
            {"TableName": "ledger", "Item": {"message_id": {"S": "state/e0"}, "version": {"N": "2"}}},
            False,
        ),
    ],
)
def test_a_write_of_a_version_is_read_with_its_message_and_whether_it_has_a_condition(
    reader, action, document, conditional
):
    handed_update(reader)
    values = {":a": {"S": "x"}, ":v": {"N": "2"}}
    reading = dynamodb(reader, action, **document, ExpressionAttributeValues=values)
    assert reading.operation == WriteState("e0", 2, "key-u", "a", only_if_newer=conditional)
    assert answered(reading) == (StateWritten(took=True, version=2), {})
    refusal = {"__type": "x#ConditionalCheckFailedException", "Item": {"version": {"N": "3"}}}
    result, body = reading.refused(400, json.dumps(refusal).encode())
    assert (result, json.loads(body)) == (StateWritten(took=False, version=3), {"__type": refusal["__type"]})
    assert reading.refused(400, b'{"__type": "x#ThrottlingException"}') is None


def test_a_look_at_a_state_tells_the_version_that_is_there(reader):
    reading = dynamodb(reader, "GetItem", **STATE)
    assert reading.operation == ReadState("e0")
    assert answered(reading, Item={"version": {"N": "7"}})[0] == 7
    assert answered(reading)[0] is None
    with pytest.raises(BreaksContractError, match=r"UpdateItem that the lab cannot read \(it does not set version\)"):
        dynamodb(reader, "UpdateItem", **STATE, UpdateExpression="SET other = :v")


def test_objects_of_the_bucket_are_fetched_and_removed():
    reader = Reader(Surroundings("work", "ledger", bucket="bucket"))
    fetch = reader.read_object("GET", "/bucket/payloads/a%20b?x-id=GetObject")
    assert fetch.operation == FetchObject("payloads/a b")
    assert fetch.answer(b"text") == ("text", b"text")
    gone = b"<Error><Code>NoSuchKey</Code></Error>"
    assert fetch.refused(404, gone) == (None, gone)
    assert fetch.refused(404, b"<Error><Code>NoSuchBucket</Code></Error>") is None
    assert reader.read_object("DELETE", "/bucket/payloads/a").operation == RemoveObject("payloads/a")
    for method, path in (("GET", "/other/a"), ("PUT", "/bucket/a"), ("GET", "/bucket"), ("GET", "/bucket/")):
        assert reader.read_object(method, path) is None
    assert Reader(Surroundings("work", "ledger")).read_object("GET", "/bucket/a") is None


FOUND_BY_A_QUERY = {"TableName": "ledger", "ExpressionAttributeValues": {":key": {"S": "key-a"}}}
TOLD = [{"message_id": {"S": "key-a"}, "executions": {"N": "1"}}]


@pytest.mark.parametrize(
    ("action", "asked", "answer", "found"),
    [
        ("Query", FOUND_BY_A_QUERY, {"Items": TOLD, "Count": 1}, ("key-a",)),
        ("Query", FOUND_BY_A_QUERY, {"Items": [], "Count": 0}, ()),
        ("Query", FOUND_BY_A_QUERY, {"Count": 1}, ("key-a",)),
        ("Query", FOUND_BY_A_QUERY, {"Items": [{"executions": {"N": "1"}}], "Count": 1}, ("key-a",)),
        ("Scan", {"TableName": "ledger"}, {"Items": TOLD, "Count": 1}, ("key-a",)),
        ("Scan", {"TableName": "ledger", "Select": "COUNT"}, {"Count": 1}, ()),
        ("BatchGetItem", {"RequestItems": {"ledger": {"Keys": TOLD}}}, {"Responses": {"ledger": TOLD}}, ("key-a",)),
        ("BatchGetItem", {"RequestItems": {"ledger": {"Keys": TOLD}}}, {"Responses": {"own": TOLD}}, ()),
    ],
)
def test_a_look_for_any_number_of_side_effects_tells_which_it_may_have_found(reader, action, asked, answer, found):
    reading = dynamodb(reader, action, **asked)
    assert reading.operation == ReadLedger(action)
    assert answered(reading, **answer)[0] == found


def test_a_look_into_a_table_of_its_own_is_the_programs_own_affair(reader):
    assert dynamodb(reader, "Query", TableName="own") is None
    assert dynamodb(reader, "BatchGetItem", RequestItems={"own": {"Keys": TOLD}}) is None


def test_a_handle_that_another_program_was_handed_tells_its_message():
    around = Surroundings("work", "ledger")
    received(Reader(around))
    another = Reader(replace(around))
    assert sqs(another, "DeleteMessage", ReceiptHandle="handle-a").operation.arguments() == {"messages": ["a"]}


def test_a_handle_that_came_with_an_event_tells_its_message():
    came = [Message("a", "handle-a", "{}", 1)]
    reader = Reader(Surroundings("work", "ledger", received=lambda: came))
    assert sqs(reader, "DeleteMessage", ReceiptHandle="handle-a").operation.arguments() == {"messages": ["a"]}
