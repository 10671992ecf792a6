"""DynamoDB beyond what the project's own consumer calls: what a user's consumer would."""

import itertools

import pytest
from botocore.exceptions import ClientError

_NUMBERS = itertools.count()


@pytest.fixture
def events(dynamodb):
    """A table of events by key and sequence, with an index by status."""
    name = f"events-{next(_NUMBERS)}"
    dynamodb.create_table(
        TableName=name,
        AttributeDefinitions=[
            {"AttributeName": "key", "AttributeType": "S"},
            {"AttributeName": "sequence", "AttributeType": "N"},
            {"AttributeName": "status", "AttributeType": "S"},
        ],
        KeySchema=[{"AttributeName": "key", "KeyType": "HASH"}, {"AttributeName": "sequence", "KeyType": "RANGE"}],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "by-status",
                "KeySchema": [{"AttributeName": "status", "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
        BillingMode="PAY_PER_REQUEST",
    )
    return name


def _item(key, sequence, status="NEW"):
    return {"key": {"S": key}, "sequence": {"N": str(sequence)}, "status": {"S": status}}


def _code(call, **parameters):
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    return caught.value.response["Error"]["Code"]


def test_batches_are_written_read_and_queried_in_pages(dynamodb, events):
    written = [{"PutRequest": {"Item": _item("a", number)}} for number in range(25)]
    assert not dynamodb.batch_write_item(RequestItems={events: written})["UnprocessedItems"]
    keys = [{"key": {"S": "a"}, "sequence": {"N": str(number)}} for number in (3, 24)]
    assert len(dynamodb.batch_get_item(RequestItems={events: {"Keys": keys}})["Responses"][events]) == 2
    query = {
        "TableName": events,
        "KeyConditionExpression": "#k = :a AND #s >= :from",
        "ExpressionAttributeNames": {"#k": "key", "#s": "sequence"},
        "ExpressionAttributeValues": {":a": {"S": "a"}, ":from": {"N": "5"}},
        "ScanIndexForward": False,
    }
    pages = list(dynamodb.get_paginator("query").paginate(**query, PaginationConfig={"PageSize": 8}))
    assert [int(item["sequence"]["N"]) for page in pages for item in page["Items"]] == list(range(24, 4, -1))
    assert [page["Count"] for page in pages][:2] == [8, 8]
    dynamodb.batch_write_item(RequestItems={events: [{"DeleteRequest": {"Key": keys[0]}}]})
    assert dynamodb.scan(TableName=events, Select="COUNT")["Count"] == 24


def test_an_index_and_a_filter_find_items(dynamodb, events):
    for number in range(4):
        dynamodb.put_item(TableName=events, Item=_item("a", number, "DONE" if number % 2 else "NEW"))
    found = dynamodb.query(
        TableName=events,
        IndexName="by-status",
        KeyConditionExpression="#s = :done",
        ExpressionAttributeNames={"#s": "status"},
        ExpressionAttributeValues={":done": {"S": "DONE"}},
    )
    assert sorted(item["sequence"]["N"] for item in found["Items"]) == ["1", "3"]
    filtered = dynamodb.scan(
        TableName=events,
        FilterExpression="#n > :one AND begins_with(#s, :d)",
        ExpressionAttributeNames={"#n": "sequence", "#s": "status"},
        ExpressionAttributeValues={":one": {"N": "1"}, ":d": {"S": "D"}},
    )
    assert [item["sequence"]["N"] for item in filtered["Items"]] == ["3"]


def test_a_transaction_is_all_or_nothing_and_says_which_part_failed(dynamodb, events):
    dynamodb.put_item(TableName=events, Item=_item("a", 1))
    absent = {"ConditionExpression": "attribute_not_exists(#k)", "ExpressionAttributeNames": {"#k": "key"}}
    with pytest.raises(dynamodb.exceptions.TransactionCanceledException) as caught:
        dynamodb.transact_write_items(
            TransactItems=[
                {"Put": {"TableName": events, "Item": _item("a", 2), **absent}},
                {"Put": {"TableName": events, "Item": _item("a", 1), **absent}},
            ]
        )
    assert [reason["Code"] for reason in caught.value.response["CancellationReasons"]] == [
        "None",
        "ConditionalCheckFailed",
    ]
    assert dynamodb.scan(TableName=events, Select="COUNT")["Count"] == 1
    dynamodb.transact_write_items(
        TransactItems=[
            {"Put": {"TableName": events, "Item": _item("a", 2), **absent}},
            {"Delete": {"TableName": events, "Key": {"key": {"S": "a"}, "sequence": {"N": "1"}}}},
        ]
    )
    got = dynamodb.transact_get_items(
        TransactItems=[{"Get": {"TableName": events, "Key": {"key": {"S": "a"}, "sequence": {"N": "2"}}}}]
    )
    assert got["Responses"][0]["Item"] == _item("a", 2)


@pytest.mark.parametrize(
    "condition", ["#v < :text", "#v <= :text", "#v > :text", "#v >= :text", "#v BETWEEN :text AND :text"]
)
def test_a_number_has_no_order_with_a_text(dynamodb, events, condition):
    dynamodb.put_item(TableName=events, Item=_item("a", 1))
    change = {
        "TableName": events,
        "Key": {"key": {"S": "a"}, "sequence": {"N": "1"}},
        "UpdateExpression": "SET seen = :text",
        "ExpressionAttributeNames": {"#v": "sequence"},
        "ExpressionAttributeValues": {":text": {"S": "1"}},
    }
    assert _code(dynamodb.update_item, ConditionExpression=condition, **change) == "ConditionalCheckFailedException"
    dynamodb.update_item(ConditionExpression=f"NOT {condition}", **change)


def test_a_failed_condition_can_show_the_item_that_failed_it(dynamodb, events):
    dynamodb.put_item(TableName=events, Item=_item("a", 1, "DONE"))
    with pytest.raises(dynamodb.exceptions.ConditionalCheckFailedException) as caught:
        dynamodb.put_item(
            TableName=events,
            Item=_item("a", 1),
            ConditionExpression="attribute_not_exists(#k)",
            ExpressionAttributeNames={"#k": "key"},
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )
    assert caught.value.response["Item"]["status"] == {"S": "DONE"}


def test_time_to_live_is_described_as_it_was_set(dynamodb, events):
    describe = dynamodb.describe_time_to_live
    assert describe(TableName=events)["TimeToLiveDescription"] == {"TimeToLiveStatus": "DISABLED"}
    dynamodb.update_time_to_live(
        TableName=events, TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires"}
    )
    assert describe(TableName=events)["TimeToLiveDescription"] == {
        "TimeToLiveStatus": "ENABLED",
        "AttributeName": "expires",
    }


def test_errors_have_dynamodbs_codes(dynamodb, events):
    key = {"key": {"S": "a"}, "sequence": {"N": "1"}}
    assert _code(dynamodb.get_item, TableName="none", Key=key) == "ResourceNotFoundException"
    assert _code(dynamodb.get_item, TableName=events, Key={"key": {"S": "a"}}) == "ValidationException"
    assert _code(dynamodb.delete_table, TableName="none") == "ResourceNotFoundException"
    assert (
        _code(
            dynamodb.update_item,
            TableName=events,
            Key=key,
            UpdateExpression="SET #s = :x",
            ExpressionAttributeNames={"#s": "status"},
        )
        == "ValidationException"
    )
