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
    with pytest.raises(ClientError) as results:
        call(**parameters)
    return results.value.response["Error"]["Code"]


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
    with pytest.raises(dynamodb.exceptions.TransactionCanceledException) as results:
        dynamodb.transact_write_items(
            TransactItems=[
                {"Put": {"TableName": events, "Item": _item("a", 2), **absent}},
                {"Put": {"TableName": events, "Item": _item("a", 1), **absent}},
            ]
        )
    assert [reason["Code"] for reason in results.value.response["CancellationReasons"]] == [
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
    with pytest.raises(dynamodb.exceptions.ConditionalCheckFailedException) as results:
        dynamodb.put_item(
            TableName=events,
            Item=_item("a", 1),
            ConditionExpression="attribute_not_exists(#k)",
            ExpressionAttributeNames={"#k": "key"},
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )
    assert results.value.response["Item"]["status"] == {"S": "DONE"}


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


HUGE = "9." + "9" * 37 + "e125"


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("1.0", "1"),
        ("1e0", "1"),
        ("+1", "1"),
        ("-0.0", "0"),
        ("0e5", "0"),
        ("007", "7"),
        (".5", "0.5"),
        ("1.2300E1", "12.3"),
        ("1000", "1000"),
        ("1E20", "1" + "0" * 20),
        ("-1e-3", "-0.001"),
        ("1e-130", "0." + "0" * 129 + "1"),
        (HUGE, "9" * 38 + "0" * 88),
        ("9" * 38, "9" * 38),
        ("1" + "0" * 60, "1" + "0" * 60),
    ],
)
def test_a_number_is_kept_in_one_spelling(dynamodb, events, given, kept):
    item = _item("a", 1) | {
        "n": {"N": given},
        "ns": {"NS": [given]},
        "deep": {"M": {"n": {"L": [{"N": given}, {"M": {"N": {"N": given}}}]}}},
        "text": {"S": given},
    }
    dynamodb.put_item(TableName=events, Item=item)
    found = dynamodb.get_item(TableName=events, Key={"key": {"S": "a"}, "sequence": {"N": "1.0"}})["Item"]
    assert found["n"] == {"N": kept}
    assert found["ns"] == {"NS": [kept]}
    assert found["deep"] == {"M": {"n": {"L": [{"N": kept}, {"M": {"N": {"N": kept}}}]}}}
    assert found["text"] == {"S": given}


EMPTY = "must contain exactly one of the supported datatypes"


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ({"N": "abc"}, "The parameter cannot be converted to a numeric value: abc"),
        ({"N": ""}, "The parameter cannot be converted to a numeric value"),
        ({"N": "NaN"}, "The parameter cannot be converted to a numeric value: NaN"),
        ({"N": "1_0"}, "The parameter cannot be converted to a numeric value: 1_0"),
        ({"N": "1" * 39}, "Attempting to store more than 38 significant digits in a Number"),
        ({"N": "1e126"}, "Number overflow. Attempting to store a number with magnitude larger than supported range"),
        ({"N": "1e-131"}, "Number underflow. Attempting to store a number with magnitude smaller than supported range"),
        (
            {"NS": ["1", "1.0"]},
            "One or more parameter values were invalid: Input collection [1, 1.0] contains duplicates.",
        ),
        ({"SS": []}, "One or more parameter values were invalid: An string set  may not be empty"),
        ({"SS": ["a", "a"]}, "One or more parameter values were invalid: Input collection [a, a] contains duplicates."),
        ({"M": {"x": {"N": "x"}}}, "The parameter cannot be converted to a numeric value: x"),
        ({}, f"Supplied AttributeValue is empty, {EMPTY}"),
        ({"S": "1", "N": "1"}, f"Supplied AttributeValue has more than one datatypes set, {EMPTY}"),
    ],
)
def test_a_value_that_cannot_be_kept_is_refused_in_dynamodbs_words(dynamodb, events, value, sentence):
    key = {"key": {"S": "a"}, "sequence": {"N": "1"}}
    with pytest.raises(ClientError) as results:
        dynamodb.put_item(TableName=events, Item=key | {"x": value})
    assert results.value.response["Error"] == {"Code": "ValidationException", "Message": sentence}
    with pytest.raises(ClientError) as results:
        dynamodb.update_item(
            TableName=events, Key=key, UpdateExpression="SET x = :x", ExpressionAttributeValues={":x": value}
        )
    told = f"ExpressionAttributeValues contains invalid value: {sentence} for key :x"
    assert results.value.response["Error"] == {"Code": "ValidationException", "Message": told}
    assert "Item" not in dynamodb.get_item(TableName=events, Key=key)


def test_what_is_counted_is_exact_and_kept_in_that_spelling(dynamodb, events):
    update = {"TableName": events, "Key": {"key": {"S": "a"}, "sequence": {"N": "1"}}, "ReturnValues": "ALL_NEW"}

    def changed(expression, by):
        values = {":by": {"N": by}}
        return dynamodb.update_item(**update, UpdateExpression=expression, ExpressionAttributeValues=values)[
            "Attributes"
        ]

    assert changed("ADD n :by", "0.5")["n"] == {"N": "0.5"}
    assert changed("ADD n :by", "0.5")["n"] == {"N": "1"}
    assert changed("SET n = n - :by", "0.50")["n"] == {"N": "0.5"}
    legacy = {"n": {"Action": "ADD", "Value": {"N": "0.5"}}}
    assert dynamodb.update_item(**update, AttributeUpdates=legacy)["Attributes"]["n"] == {"N": "1"}
    changed("SET m = :by", "1" + "0" * 37)
    assert changed("ADD m :by", "1")["m"] == {"N": "1" + "0" * 36 + "1"}
    with pytest.raises(ClientError, match="Attempting to store more than 38 significant digits"):
        changed("ADD m :by", "0.1")
    changed("SET m = :by", HUGE)
    with pytest.raises(ClientError, match="Number overflow"):
        changed("ADD m :by", HUGE)


def test_a_key_is_not_empty_and_a_batch_not_too_large(dynamodb, events):
    with pytest.raises(ClientError, match=r"cannot contain an empty string value\. Key: key"):
        dynamodb.update_item(TableName=events, Key={"key": {"S": ""}, "sequence": {"N": "1"}})
    written = [{"PutRequest": {"Item": _item("a", number)}} for number in range(26)]
    with pytest.raises(ClientError, match="Too many items requested for the BatchWriteItem call"):
        dynamodb.batch_write_item(RequestItems={events: written})
    assert dynamodb.scan(TableName=events)["Count"] == 0


@pytest.mark.parametrize("asked", [None, "NONE", "TOTAL"])
def test_a_client_that_asks_is_told_the_consumed_capacity(dynamodb, events, asked):
    options = {"ReturnConsumedCapacity": asked} if asked else {}
    told = [
        dynamodb.update_item(
            TableName=events,
            Key={"key": {"S": "a"}, "sequence": {"N": "1"}},
            UpdateExpression="SET x = :x",
            ExpressionAttributeValues={":x": {"S": "ConsumedCapacity"}},
            **options,
        ),
        dynamodb.batch_write_item(RequestItems={events: [{"PutRequest": {"Item": _item("a", 1)}}]}, **options),
    ]
    assert ["ConsumedCapacity" in answer for answer in told] == [asked == "TOTAL"] * 2
