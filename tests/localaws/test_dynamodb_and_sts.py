"""DynamoDB by moto on the same port, and the identity that deployment tools ask for."""

import json
import threading

import pytest
from botocore.exceptions import ClientError

from infra.localaws.config import EndpointConfig
from infra.localaws.dynamodb import DynamoDb
from infra.localaws.server import running_endpoint
from tests.localaws.lab import client_of
from tests.localaws.plain_moto import ask

KEY = {"message_id": {"S": "m"}}


@pytest.fixture(scope="module")
def table(dynamodb):
    dynamodb.create_table(
        TableName="status",
        KeySchema=[{"AttributeName": "message_id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "message_id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    return "status"


@pytest.fixture(autouse=True)
def empty(dynamodb, table):
    dynamodb.delete_item(TableName=table, Key=KEY)


def _claim(dynamodb, table, owner, now, until):
    return dynamodb.update_item(
        TableName=table,
        Key=KEY,
        UpdateExpression="SET #owner = :owner, lease_until = :until ADD fence :one",
        ConditionExpression="attribute_not_exists(message_id) OR lease_until < :now",
        ExpressionAttributeNames={"#owner": "owner"},
        ExpressionAttributeValues={
            ":owner": {"S": owner},
            ":until": {"N": str(until)},
            ":now": {"N": str(now)},
            ":one": {"N": "1"},
        },
        ReturnValues="ALL_NEW",
        ReturnValuesOnConditionCheckFailure="ALL_OLD",
    )


def test_a_claim_is_conditional_and_its_refusal_shows_the_holder(dynamodb, table):
    assert _claim(dynamodb, table, "a", 10, 20)["Attributes"]["fence"] == {"N": "1"}
    with pytest.raises(dynamodb.exceptions.ConditionalCheckFailedException) as results:
        _claim(dynamodb, table, "b", 15, 25)
    assert results.value.response["Item"]["owner"] == {"S": "a"}
    assert _claim(dynamodb, table, "b", 21, 31)["Attributes"]["fence"] == {"N": "2"}
    item = dynamodb.get_item(TableName=table, Key=KEY, ConsistentRead=True)["Item"]
    assert item == {"message_id": {"S": "m"}, "owner": {"S": "b"}, "lease_until": {"N": "31"}, "fence": {"N": "2"}}


NO_VALUE = "An expression attribute value used in expression is not defined; attribute value: :missing"
NO_NAME = "An expression attribute name used in the document path is not defined; attribute name: #no"


@pytest.mark.parametrize(
    ("condition", "values", "message"),
    [
        ("a = :missing", {":n": {"N": "1"}}, NO_VALUE),
        ("a = :missing", {}, NO_VALUE),
        ("#no = :n", {":n": {"N": "1"}}, NO_NAME),
        ("a ! :n", {":n": {"N": "1"}}, "Syntax error; "),
    ],
)
def test_a_condition_that_refers_to_nothing_or_cannot_be_parsed_is_refused(dynamodb, table, condition, values, message):
    with pytest.raises(ClientError) as results:
        dynamodb.put_item(
            TableName=table,
            Item=KEY,
            ConditionExpression=condition,
            **({"ExpressionAttributeValues": values} if values else {}),
        )
    error = results.value.response["Error"]
    assert error["Code"] == "ValidationException"
    assert error["Message"].startswith(f"Invalid ConditionExpression: {message}")


def test_a_transaction_is_refused_for_a_condition_of_a_part_of_it(dynamodb, table):
    put = {"TableName": table, "Item": KEY, "ConditionExpression": "attribute_exists(b) OR a = :missing"}
    with pytest.raises(ClientError) as results:
        dynamodb.transact_write_items(TransactItems=[{"Put": put}])
    assert results.value.response["Error"]["Message"] == f"Invalid ConditionExpression: {NO_VALUE}"
    put |= {"ConditionExpression": "a ! :n", "ExpressionAttributeValues": {":n": {"N": "1"}}}
    with pytest.raises(ClientError) as results:
        dynamodb.transact_write_items(TransactItems=[{"Put": put}])
    assert results.value.response["Error"]["Message"].startswith("Invalid ConditionExpression: Syntax error; ")


@pytest.mark.parametrize(
    ("action", "body", "code", "message"),
    [
        # A sound condition is not blamed for what is wrong elsewhere.
        (
            "Scan",
            {"TableName": "status", "FilterExpression": "attribute_exists(a)", "Limit": "x"},
            "ValidationException",
            "The request holds a value that cannot be taken: ",
        ),
        (
            "UpdateItem",
            {"TableName": "status", "Key": KEY, "UpdateExpression": "SET a = :n", "ExpressionAttributeValues": 5},
            "ValidationException",
            "Invalid UpdateExpression: An expression attribute value",
        ),
        ("Scan", "[" * 100_000, "SerializationException", "The request's body is not JSON."),
        ("PutItem", "[1]", "SerializationException", "The request's body is not a JSON object."),
        (
            "PutItem",
            {"TableName": "status"},
            "ValidationException",
            "1 validation error detected: Value null at 'item' ",
        ),
        ("GetItem", {"Key": None}, "ValidationException", "2 validation errors detected: Value null at 'tableName' "),
        ("Zork", {}, "UnknownOperationException", "DynamoDB has no action 'Zork'."),
        ("PutItem", {"TableName": "status", "Item": {"x": 5}}, "SerializationException", "Unexpected value type"),
        ("PutItem", {"TableName": "status", "Item": 5}, "SerializationException", "Invalid type for parameter Item, "),
        (
            "UpdateItem",
            {"TableName": "status", "Key": {"k": {"S": 5}}},
            "SerializationException",
            "The value of S cannot",
        ),
        ("TransactWriteItems", {"TransactItems": [5]}, "SerializationException", "Invalid type for parameter Transact"),
        (
            "ExecuteStatement",
            {"Statement": "zork"},
            "ValidationException",
            "This endpoint cannot do this ExecuteStatement",
        ),
        ("ListExports", {}, "ValidationException", "This endpoint cannot do this ListExports (KeyError: 'TableArn')"),
        (
            "ListImports",
            {},
            "UnknownOperationException",
            "This endpoint does not serve the DynamoDB action ListImports.",
        ),
    ],
)
def test_what_moto_trips_over_is_the_clients_fault_where_it_is(action, body, code, message):
    tables = DynamoDb("000000000000", "us-west-1")
    create = {
        "TableName": "status",
        "KeySchema": [{"AttributeName": "message_id", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "message_id", "AttributeType": "S"}],
        "BillingMode": "PAY_PER_REQUEST",
    }
    ask(tables, "CreateTable", create)
    status, answer = ask(tables, action, body)
    told = json.loads(answer)
    assert (status, told["__type"].rpartition("#")[2]) == (400, code)
    assert told["message"].startswith(message)


def test_a_type_that_is_null_is_one_that_is_not_there():
    tables = DynamoDb("000000000000", "us-west-1")
    key = {"AttributeName": "k", "KeyType": "HASH"}
    kind = {"AttributeName": "k", "AttributeType": "S"}
    create = {
        "TableName": "plain",
        "KeySchema": [key],
        "AttributeDefinitions": [kind],
        "BillingMode": "PAY_PER_REQUEST",
    }
    assert ask(tables, "CreateTable", create)[0] == 200
    put = {"TableName": "plain", "Item": {"k": {"N": None, "S": "a"}}}
    assert ask(tables, "PutItem", put)[0] == 200
    got = ask(tables, "GetItem", {"TableName": "plain", "Key": {"k": {"S": "a"}}})
    assert json.loads(got[1]) == {"Item": {"k": {"S": "a"}}}


def test_of_many_claims_at_once_one_wins(endpoint, table):
    won = []
    barrier = threading.Barrier(8)

    def claim(owner):
        client = client_of(endpoint, "dynamodb")
        barrier.wait()
        try:
            _claim(client, table, owner, 10, 20)
        except ClientError:
            pass
        else:
            won.append(owner)
        client.close()

    threads = [threading.Thread(target=claim, args=(str(number),)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1


def test_a_put_only_if_absent_is_refused_the_second_time(dynamodb, table):
    put = {
        "TableName": table,
        "Item": KEY | {"n": {"N": "1"}},
        "ConditionExpression": "attribute_not_exists(message_id)",
    }
    dynamodb.put_item(**put)
    with pytest.raises(dynamodb.exceptions.ConditionalCheckFailedException, match="The conditional request failed"):
        dynamodb.put_item(**put)


def test_a_transaction_writes_all_or_nothing_and_says_which_condition_failed(dynamodb, table):
    dynamodb.put_item(TableName=table, Item=KEY)
    other = {"message_id": {"S": "other"}}
    with pytest.raises(dynamodb.exceptions.TransactionCanceledException) as results:
        dynamodb.transact_write_items(
            TransactItems=[
                {"Put": {"TableName": table, "Item": other}},
                {
                    "Put": {
                        "TableName": table,
                        "Item": KEY,
                        "ConditionExpression": "attribute_not_exists(message_id)",
                    }
                },
            ]
        )
    reasons = [reason["Code"] for reason in results.value.response["CancellationReasons"]]
    assert reasons == ["None", "ConditionalCheckFailed"]
    assert "Item" not in dynamodb.get_item(TableName=table, Key=other, ConsistentRead=True)


def test_binary_numbers_and_nested_values_come_back_as_they_were(dynamodb, table):
    item = KEY | {
        "b": {"B": b"\x00\xff"},
        "n": {"N": "-1.5"},
        "m": {"M": {"l": {"L": [{"BOOL": True}, {"NULL": True}]}}},
    }
    dynamodb.put_item(TableName=table, Item=item)
    assert dynamodb.get_item(TableName=table, Key=KEY)["Item"] == item


def test_a_table_can_be_described_until_it_is_deleted(dynamodb):
    dynamodb.create_table(
        TableName="short-lived",
        KeySchema=[{"AttributeName": "k", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "k", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    described = dynamodb.describe_table(TableName="short-lived")["Table"]
    assert described["TableArn"] == "arn:aws:dynamodb:us-west-1:000000000000:table/short-lived"
    assert described["TableStatus"] == "ACTIVE"
    dynamodb.delete_table(TableName="short-lived")
    with pytest.raises(dynamodb.exceptions.ResourceNotFoundException):
        dynamodb.describe_table(TableName="short-lived")


def test_a_missing_table_is_dynamodbs_own_error(dynamodb):
    for call in (dynamodb.get_item, dynamodb.delete_item):
        with pytest.raises(dynamodb.exceptions.ResourceNotFoundException, match="Requested resource not found"):
            call(TableName="none", Key=KEY)


def test_a_malformed_item_is_a_validation_error(dynamodb, table):
    with pytest.raises(ClientError, match="ValidationException"):
        dynamodb.put_item(TableName=table, Item={"n": {"N": "1"}})


def test_an_operation_that_is_not_there_is_named(dynamodb):
    with pytest.raises(ClientError, match="does not serve the DynamoDB action ListImports"):
        dynamodb.list_imports()


def test_everybody_is_the_dummy_accounts_root(endpoint):
    client = client_of(endpoint, "sts")
    identity = client.get_caller_identity()
    client.close()
    assert identity["Account"] == "000000000000"
    assert identity["Arn"] == "arn:aws:iam::000000000000:root"


def test_another_service_is_named_as_not_there(endpoint):
    client = client_of(endpoint, "sns")
    with pytest.raises(ClientError, match="The action ListTopics is not valid for this endpoint"):
        client.list_topics()
    client.close()
    client = client_of(endpoint, "kinesis")
    with pytest.raises(ClientError, match=r"does not serve 'Kinesis_20131202\.ListStreams'"):
        client.list_streams()
    client.close()


def test_two_endpoints_share_no_tables(endpoint, table):
    with running_endpoint(EndpointConfig()) as other:
        client = client_of(other, "dynamodb")
        assert table not in client.list_tables()["TableNames"]
        client.close()
