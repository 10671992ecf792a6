"""The tables of a history: what is answered at once is what moto answers, request by request, and most is."""

import json
import random

import pytest

from infra.localaws.dynamodb import DynamoDb
from infra.localaws.http import Request
from infra.localaws.sqs.model import ACCOUNT
from scenarios.lockstep import tables
from scenarios.lockstep.expressions import BeyondError, read_condition, read_projection, read_update
from scenarios.lockstep.tables import Tables

NAMES = {"#status": "status", "#n": "count_", "#k": "message_id", "#odd": "a.b"}
VALUES = {
    ":s": {"S": "STARTED"},
    ":t": {"S": "COMP"},
    ":n": {"N": "7"},
    ":m": {"N": "1.50"},
    ":set": {"SS": ["x", "y"]},
    ":b": {"BOOL": True},
    ":null": {"NULL": True},
    ":map": {"M": {"x": {"S": "y"}}},
}
PATHS = ("#status", "#n", "lease", "seen", "executions", "#k", "message_id", "status", "#odd", "lease.x", "#none")
OFTEN = ("#status", "#n", "lease", "seen")


def path(rng):
    return rng.choice(OFTEN if rng.random() < 0.9 else PATHS)


def value(rng):
    return rng.choice((":s", ":t", ":n", ":m") if rng.random() < 0.9 else tuple(VALUES))


def condition(rng, depth=2):
    if depth and rng.random() < 0.6:
        first, second = condition(rng, depth - 1), condition(rng, depth - 1)
        shapes = (f"{first} OR {second}", f"{first} AND {second}", f"({first} OR {second}) AND {first}", f"NOT {first}")
        return rng.choice(shapes)
    return rng.choice(
        [
            f"attribute_exists({path(rng)})",
            f"attribute_not_exists({path(rng)})",
            f"{path(rng)} {rng.choice(['=', '<>', '<', '<=', '>', '>='])} {value(rng)}",
            f"{value(rng)} {rng.choice(['=', '<', '>='])} {path(rng)}",
            f"begins_with({path(rng)}, {value(rng)})",
            f"contains({path(rng)}, {value(rng)})",
            f"{path(rng)} BETWEEN {value(rng)} AND {value(rng)}",
            f"size({path(rng)}) > {value(rng)}",
        ]
    )


def update(rng):
    def operand():
        return rng.choice([value(rng), value(rng), path(rng), f"if_not_exists({path(rng)}, {value(rng)})"])

    assignments = [
        f"{path(rng)} = {operand()}" + (f" {rng.choice('+-')} {operand()}" if rng.random() < 0.3 else "")
        for _ in range(rng.randint(1, 2))
    ]
    sections = [
        f"SET {', '.join(assignments)}",
        f"ADD {path(rng)} {rng.choice([':n', ':n', ':m', ':set', ':s'])}",
        f"REMOVE {path(rng)}",
    ]
    return " ".join(rng.sample(sections, rng.randint(1, 2)))


def placeholders(rng, *texts):
    """Return what the texts name; now and then too much, or too little."""
    text = " ".join(texts)
    names = {name: stands for name, stands in NAMES.items() if name in text}
    values = {
        name: stands for name, stands in VALUES.items() if name in text.replace(",", " ").replace(")", " ").split()
    }
    if rng.random() < 0.04:
        (names if rng.random() < 0.5 else values).pop(rng.choice([*names, *values, ":s"]), None)
    if rng.random() < 0.02:
        values[":s"] = VALUES[":s"]
    return {
        key: held for key, held in (("ExpressionAttributeNames", names), ("ExpressionAttributeValues", values)) if held
    }


def asked(rng):
    """Return a request for an item, plain or not."""
    key = {"message_id": {"S": rng.choice("abc")}}
    action = rng.choice(["GetItem", "PutItem", "UpdateItem", "UpdateItem", "UpdateItem", "DeleteItem"])
    where = {
        "TableName": rng.choice(["side-effects", "status", "status", "none"] if rng.random() < 0.1 else ["status"])
    }
    if action == "GetItem":
        if rng.random() < 0.5:
            return action, {**where, "Key": key, "ConsistentRead": True}
        shown = ", ".join(path(rng) for _ in range(rng.randint(1, 2)))
        return action, {**where, "Key": key, "ProjectionExpression": shown, **placeholders(rng, shown)}
    texts = {}
    if rng.random() < 0.6:
        texts["ConditionExpression"] = condition(rng)
        if rng.random() < 0.5:
            texts["ReturnValuesOnConditionCheckFailure"] = rng.choice(["ALL_OLD", "NONE"])
    if rng.random() < 0.5:
        texts["ReturnValues"] = rng.choice(["ALL_OLD", "ALL_NEW", "UPDATED_NEW", "UPDATED_OLD", "NONE"])
    if action == "UpdateItem":
        texts["UpdateExpression"] = update(rng)
    told = placeholders(rng, texts.get("ConditionExpression", ""), texts.get("UpdateExpression", ""))
    if action == "PutItem":
        kinds = [{"S": "STARTED"}, {"N": "4"}, {"N": "1.0"}, {"SS": ["x"]}, {"BOOL": False}, {"L": []}, {"N": "x"}]
        chosen = rng.choices(kinds, weights=[6, 6, 2, 3, 1, 1, 1], k=2)
        held = {
            name: rng.choice([chosen[0], chosen[1]]) for name in rng.sample(["status", "count_", "lease", "seen"], 2)
        }
        return action, {**where, "Item": {**key, **held}, **texts, **told}
    if rng.random() < 0.02:
        key = rng.choice([{"other": {"S": "a"}}, {"message_id": {"N": "1"}}, {"message_id": {"S": ""}}])
    return action, {**where, "Key": key, **texts, **told}


def unordered(answer):
    """Return an answer with its sets sorted: a set has no order."""
    for item in answer.values():
        for held in item.values() if isinstance(item, dict) else ():
            if "SS" in held:
                held["SS"].sort()
    return answer


def wire(action, document):
    headers = {"x-amz-target": f"DynamoDB_20120810.{action}", "host": "127.0.0.1"}
    return Request("POST", "/", headers, json.dumps(document).encode())


@pytest.fixture
def slow():
    """moto's own answers."""
    dynamodb = DynamoDb(ACCOUNT, "us-west-1")
    for table in ("side-effects", "status"):
        document = {
            "TableName": table,
            "KeySchema": [{"AttributeName": "message_id", "KeyType": "HASH"}],
            "AttributeDefinitions": [{"AttributeName": "message_id", "AttributeType": "S"}],
            "BillingMode": "PAY_PER_REQUEST",
        }
        dynamodb.answer(wire("CreateTable", document))
    return dynamodb


@pytest.mark.parametrize("seed", [1, 2, pytest.param(3, marks=pytest.mark.thorough)])
def test_what_is_answered_at_once_is_what_moto_answers(slow, monkeypatch, seed):
    rng, quick = random.Random(seed), Tables("us-west-1", "side-effects", "status")
    by_moto = []
    answer = quick._dynamodb.answer
    monkeypatch.setattr(quick._dynamodb, "answer", lambda request: by_moto.append(request) or answer(request))
    outcomes, at_once = [], 0
    for number in range(500):
        action, document = asked(rng)
        request = wire(action, document)
        before = len(by_moto)
        mine, theirs = quick.answer(request.headers, request.body), slow.answer(request)
        told = unordered(json.loads(mine.body)), unordered(json.loads(theirs.body))
        assert (mine.status, told[0]) == (theirs.status, told[1]), (number, action, document)
        at_once += len(by_moto) == before
        outcomes.append((mine.status, told[0].get("__type", "").rpartition("#")[2]))
    assert at_once > 150
    assert {(200, ""), (400, "ConditionalCheckFailedException"), (400, "ValidationException")} <= set(outcomes)


@pytest.mark.parametrize("text", [
    "attribute_not_exists(message_id) OR (#status = :s AND lease <= :n)", "NOT contains(seen, :s)", ":n < lease",
])  # fmt: skip
def test_usual_conditions_are_read(text):
    assert read_condition(text, (("#status", "status"),)).values


@pytest.mark.parametrize("text", [
    "", "status = :s", "#none = :s", "a.b = :s", "a[0] = :s", "a = b", ":s = :n", "size(a) > :n", "a = :s b", "(a = :s",
    "a = :s and b = :s", "NOT", "begins_with(a)", "attribute_exists(:s)", "a = :s;", "a" * 5000 + " = :s",
])  # fmt: skip
def test_what_is_no_usual_condition_is_left_to_moto(text):
    with pytest.raises(BeyondError):
        read_condition(text, (("#status", "status"),))


@pytest.mark.parametrize("text", [
    "", "SET", "SET a", "SET a = :s SET b = :s", "SET a = :s, a = :n", "SET message_id = :s", "DELETE a :set",
    "set a = :s", "SET a.b = :s", "SET a = list_append(a, :s)", "ADD a b", "REMOVE", "SET a = :s,",
])  # fmt: skip
def test_what_is_no_usual_update_is_left_to_moto(text):
    with pytest.raises(BeyondError):
        read_update(text, (), "message_id")


def test_a_projection_names_attributes():
    assert read_projection("#s, lease", (("#s", "status"),)) == ({"status", "lease"}, {"#s"})
    for text in ("", "a,", "a a", "a, a", "a.b", "status"):
        with pytest.raises(BeyondError):
            read_projection(text, ())


def test_an_update_reads_the_item_as_it_was():
    swap = read_update("SET a = b, b = a ADD c :n REMOVE d", (), "message_id")
    item = {"a": {"S": "1"}, "b": {"S": "2"}, "d": {"S": "3"}}
    assert swap.applied(item, {":n": {"N": "2"}}) == {"a": {"S": "2"}, "b": {"S": "1"}, "c": {"N": "2"}}
    assert item["a"] == {"S": "1"}


def test_a_request_that_is_not_answered_at_once_changes_nothing(monkeypatch):
    quick = Tables("us-west-1", "status")
    item = {"message_id": {"S": "a"}, "n": {"N": "0.5"}}
    quick.answer(*_given("PutItem", {"TableName": "status", "Item": item}))
    add = {"UpdateExpression": "SET x = :n ADD n :n", "ExpressionAttributeValues": {":n": {"N": "1"}}}
    given = _given("UpdateItem", {"TableName": "status", "Key": {"message_id": {"S": "a"}}, **add})
    with pytest.raises(tables._OTHERS):
        quick._quick("UpdateItem", json.loads(given[1]))
    assert quick.item("status", "a") == item
    assert quick.answer(*given).status == 200
    assert quick.item("status", "a") == {**item, "n": {"N": "1.5"}, "x": {"N": "1"}}


def _given(action, document):
    request = wire(action, document)
    return request.headers, request.body


# --- reads that are not consistent -----------------------------------------------------------------------------------

PLACE = {"message_id": {"S": "a"}}
#: Writes of the item, each with whether it is answered at once.
WRITES = [
    ("PutItem", {"TableName": "status", "Item": {**PLACE, "n": {"N": "2"}}}),
    ("DeleteItem", {"TableName": "status", "Key": PLACE}),
    ("UpdateItem", {"TableName": "status", "Key": PLACE, "UpdateExpression": "ADD n :one",
                    "ExpressionAttributeValues": {":one": {"N": "1"}}}),
    # By moto, which changes an item in its place.
    ("UpdateItem", {"TableName": "status", "Key": PLACE, "UpdateExpression": "SET m = :map",
                    "ExpressionAttributeValues": {":map": {"M": {"x": {"S": "y"}}}}}),
    ("TransactWriteItems", {"TransactItems": [{"Delete": {"TableName": "status", "Key": PLACE}}]}),
    ("BatchWriteItem", {"RequestItems": {"status": [{"PutRequest": {"Item": {**PLACE, "m": {"L": []}}}}]}}),
]  # fmt: skip
READS = [
    ("GetItem", {"TableName": "status", "Key": PLACE}),
    ("GetItem", {"TableName": "status", "Key": PLACE, "ConsistentRead": False, "ProjectionExpression": "n, m.x"}),
    ("BatchGetItem", {"RequestItems": {"status": {"Keys": [PLACE]}}}),
    ("Query", {"TableName": "status", "KeyConditionExpression": "message_id = :a",
               "ExpressionAttributeValues": {":a": {"S": "a"}}}),
    ("Scan", {"TableName": "status"}),
]  # fmt: skip


def tables_with(item):
    quick = Tables("us-west-1", "status")
    for held in ({"message_id": {"S": "b"}}, {"message_id": {"S": "b"}, "n": {"N": "7"}}, item):
        assert quick.answer(*_given("PutItem", {"TableName": "status", "Item": held})).status == 200
    return quick


@pytest.mark.parametrize("write", WRITES, ids=lambda write: write[0])
@pytest.mark.parametrize("read", READS, ids=lambda read: read[0])
def test_a_read_that_is_not_consistent_may_see_an_item_as_it_was_before_its_last_change(write, read):
    quick = tables_with({**PLACE, "n": {"N": "1"}})
    before = quick.answer(*_given(*read)).body
    assert quick.answer(*_given(*write)).status == 200
    present = quick.answer(*_given(*read)).body
    asked = []
    # Of the items that a Scan shows, this is the last that changed.
    stale = quick.answer_stale(*_given(*read), lambda: not asked.append(True) and (read[0] != "Scan" or len(asked) > 1))
    assert stale is not None
    assert (stale[0].status, stale[0].body, stale[1]) == (200, before, ["a"])
    assert before != present == quick.answer(*_given(*read)).body
    # Only what changes is a change: what was before it stays known.
    refused = {"TableName": "status", "Item": {**PLACE, "n": {"N": "9"}}, "ConditionExpression": "n = :no",
               "ExpressionAttributeValues": {":no": {"N": "-1"}}}  # fmt: skip
    assert quick.answer(*_given("PutItem", refused)).status == 400
    assert quick.answer_stale(*_given(*read), lambda: True) is not None
    assert quick.answer_stale(*_given(*read), lambda: False) is None


@pytest.mark.parametrize(("action", "document"), [
    ("GetItem", {"TableName": "status", "Key": PLACE, "ConsistentRead": True}),
    ("GetItem", {"TableName": "status", "Key": {"message_id": {"S": "never written"}}}),
    ("GetItem", {"TableName": "none", "Key": PLACE}),
    ("GetItem", {"TableName": "status", "Key": PLACE, "ProjectionExpression": "other"}),
    ("BatchGetItem", {"RequestItems": {"status": {"Keys": [PLACE], "ConsistentRead": True}}}),
    ("Scan", {"TableName": "status", "ConsistentRead": True}),
    ("TransactGetItems", {"TransactItems": [{"Get": {"TableName": "status", "Key": PLACE}}]}),
    ("PutItem", {"TableName": "status", "Item": PLACE}),
])  # fmt: skip
def test_what_is_consistent_or_would_be_no_different_is_answered_from_the_present(action, document):
    quick = tables_with({**PLACE, "n": {"N": "1"}})
    quick.answer(*_given("PutItem", {"TableName": "status", "Item": {**PLACE, "n": {"N": "2"}}}))
    assert quick.answer_stale(*_given(action, document), lambda: pytest.fail("nothing is to choose")) is None
    assert quick.item("status", "a")["n"] == {"N": "2"}


def test_the_reads_of_a_batch_are_stale_one_by_one():
    quick = tables_with({**PLACE, "n": {"N": "1"}})
    batch = {"RequestItems": {"status": {"Keys": [PLACE, {"message_id": {"S": "b"}}]}}}
    choices = [False, True]
    answer, keys = quick.answer_stale(*_given("BatchGetItem", batch), choices.pop)
    assert (keys, choices) == (["b"], [])
    assert {item["message_id"]["S"]: "n" in item for item in json.loads(answer.body)["Responses"]["status"]} == {
        "a": True,
        "b": False,
    }
