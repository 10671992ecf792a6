"""DynamoDB's own limits: each is refused before anything slow looks at the request, and just below it is served."""

import json

import pytest

from infra.localaws.dynamodb import DynamoDb
from infra.localaws.http import Request
from infra.localaws.limits import MAX_ITEM_BYTES, check_size
from infra.localaws.server import DYNAMODB_TARGET
from infra.localaws.worker import Worker
from tests.localaws.growth import grows_too_fast

TABLE = {
    "TableName": "t",
    "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
    "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
    "BillingMode": "PAY_PER_REQUEST",
}
ITEM = {"id": {"S": "a"}}
KEY = {"id": {"S": "a"}}


@pytest.fixture
def ask():
    """Return a function that asks a table of its own: the status and the answer."""
    Worker()  # which lets moto go as deep as it does in the endpoint
    tables = DynamoDb("000000000000", "us-west-1")

    def asked(action, **body):
        head = {"x-amz-target": DYNAMODB_TARGET + action}
        answer = tables.answer(Request("POST", "/", head, json.dumps({"TableName": "t", **body}).encode()))
        return answer.status, json.loads(answer.body)

    assert asked("CreateTable", **TABLE)[0] == 200
    return asked


def _nested(levels):
    value = {"S": "x"}
    for level in range(levels):
        value = {"L": [value]} if level % 2 else {"M": {"a": value}}
    return value


def _in(count):
    names = [f":v{number}" for number in range(count)]
    return f"id IN ({', '.join(names)})", {name: {"S": "x"} for name in names}


def test_an_expression_of_more_than_4_kb_is_refused(ask):
    values = {":v": {"S": "x"}}
    filled = "id = :v" + " " * (4096 - len("id = :v"))
    assert ask("Scan", FilterExpression=filled, ExpressionAttributeValues=values)[0] == 200
    for name, action in (("FilterExpression", "Scan"), ("ConditionExpression", "PutItem")):
        status, answer = ask(action, **{name: filled + " "}, Item=ITEM, ExpressionAttributeValues=values)
        assert (status, answer["message"]) == (
            400,
            f"Invalid {name}: Expression size has exceeded the maximum allowed size; expression size: 4097",
        )


def test_an_expression_in_a_transaction_is_measured_too(ask):
    put = {"TableName": "t", "Item": ITEM, "ConditionExpression": "attribute_exists(id)" + " " * 4096}
    status, answer = ask("TransactWriteItems", TransactItems=[{"Put": put}])
    assert status == 400
    assert "Expression size has exceeded" in answer["message"]


def test_in_takes_a_hundred_operands(ask):
    for count, expected in ((100, 200), (101, 400)):
        expression, values = _in(count)
        status, answer = ask("Scan", FilterExpression=expression, ExpressionAttributeValues=values)
        assert status == expected, answer
    assert "too many operands" in answer["message"]


def test_operands_of_several_ins_are_counted_each(ask):
    expression, values = _in(60)
    both = f"{expression} OR contains(id, :v1) OR {expression}"
    assert ask("Scan", FilterExpression=both, ExpressionAttributeValues=values)[0] == 200


@pytest.mark.thorough
def test_an_update_has_at_most_300_operators(ask):
    values = {":v": {"N": "1"}}
    for count, expected in ((300, 200), (301, 400)):
        update = "SET " + ",".join(f"b{number}=:v" for number in range(count))
        status, answer = ask("UpdateItem", Key=KEY, UpdateExpression=update, ExpressionAttributeValues=values)
        assert status == expected, answer
    assert "more than 300 operators" in answer["message"]


def test_values_lie_at_most_32_levels_deep(ask):
    assert ask("PutItem", Item={**ITEM, "d": _nested(32)})[0] == 200
    status, answer = ask("PutItem", Item={**ITEM, "d": _nested(33)})
    assert status == 400
    assert answer["message"].startswith("Nesting Levels have exceeded supported limits")


def test_an_item_has_at_most_400_kb(ask):
    rest = MAX_ITEM_BYTES - len("idad")
    assert ask("PutItem", Item={**ITEM, "d": {"S": "x" * (rest - 5_000)}})[0] == 200
    status, answer = ask("PutItem", Item={**ITEM, "d": {"S": "x" * (rest + 1)}})
    assert (status, answer["message"]) == (400, "Item size has exceeded the maximum allowed size")
    check_size({**ITEM, "d": {"S": "x" * rest}})


def test_an_update_that_makes_an_item_too_large_changes_nothing(ask):
    ask("PutItem", Item={**ITEM, "d": {"S": "x" * 300_000}})
    status, answer = ask(
        "UpdateItem",
        Key=KEY,
        UpdateExpression="SET a = :a, b = :b",
        ExpressionAttributeValues={":a": {"S": "1"}, ":b": {"S": "x" * 200_000}},
    )
    assert status == 400
    assert "size" in answer["message"]
    assert ask("GetItem", Key=KEY)[1]["Item"].keys() == {"id", "d"}


def test_an_update_that_fails_in_its_middle_leaves_no_new_item(ask):
    status, _ = ask(
        "UpdateItem",
        Key=KEY,
        UpdateExpression="SET a = :one, b = missing",
        ExpressionAttributeValues={":one": {"N": "1"}},
    )
    assert status == 400
    assert "Item" not in ask("GetItem", Key=KEY)[1]


def test_an_update_that_fails_in_its_middle_leaves_the_item_as_it_was(ask):
    ask("PutItem", Item={**ITEM, "t": {"S": "text"}})
    status, _ = ask(
        "UpdateItem",
        Key=KEY,
        UpdateExpression="SET a = :one ADD t :one",
        ExpressionAttributeValues={":one": {"N": "1"}},
    )
    assert status == 400
    assert ask("GetItem", Key=KEY)[1]["Item"] == {**ITEM, "t": {"S": "text"}}


@pytest.mark.parametrize("what", ["put", "replace", "project", "attribute updates"])
def test_the_work_on_an_item_grows_with_its_attributes_and_not_with_their_square(ask, what):
    def attributes(count):
        return {f"a{number}": {"S": "v"} for number in range(count)}

    def work(count):
        match what:
            case "put":
                answer = ask("PutItem", Item={**ITEM, **attributes(count)})
            case "replace":
                answer = ask("PutItem", Item={**ITEM, **attributes(count)}, ReturnValues="ALL_OLD")
            case "project":
                paths = ", ".join(f"a{number}" for number in range(min(count, 600)))
                answer = ask("GetItem", Key=KEY, ProjectionExpression=paths)
            case _:
                changes = {name: {"Action": "PUT", "Value": value} for name, value in attributes(count).items()}
                answer = ask("UpdateItem", Key=KEY, AttributeUpdates=changes)
        assert answer[0] == 200, answer

    small, large = 75, 600
    ask("PutItem", Item={**ITEM, **attributes(large)})
    work(small)
    assert not grows_too_fast(lambda: work(small), lambda: work(large))
