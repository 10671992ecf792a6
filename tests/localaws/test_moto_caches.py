"""moto with our caches answers as moto does without them, whatever is asked of a table."""

import json
import re
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.localaws.dynamodb import DynamoDb
from infra.stack.paths import project_root
from tests.localaws.plain_moto import ask

NAMES = {"#a": "a", "#status": "status", "#m": "m"}
VALUES = {
    ":n": {"N": "3"},
    ":s": {"S": "text"},
    ":ss": {"SS": ["x", "y"]},
    ":l": {"L": [{"N": "1"}, {"S": "two"}]},
    ":m": {"M": {"deep": {"N": "1"}}},
    ":empty": {"S": ""},
}

ITEM = {
    "message_id": {"S": "one"},
    "a": {"N": "1"},
    "b": {"S": "text"},
    "status": {"S": "text"},
    "m": {"M": {"deep": {"N": "5"}}},
    "l": {"L": [{"N": "1"}, {"N": "2"}]},
    "e": {"L": [{"N": "1"}, {"N": "2"}, {"N": "3"}]},
    "marks": {"SS": ["x", "y", "z"]},
}

PATHS = st.sampled_from(
    ["a", "b", "#a", "#status", "status", "m", "m.deep", "#m.deep", "l", "l[0]", "l[7]", "message_id", "#no"]
)
NAMED_VALUES = st.sampled_from([*VALUES, ":missing"])
OPERANDS = st.one_of(
    PATHS,
    NAMED_VALUES,
    st.builds("if_not_exists({}, {})".format, PATHS, NAMED_VALUES),
    st.builds("list_append({}, {})".format, st.one_of(PATHS, NAMED_VALUES), NAMED_VALUES),
)
SETS = st.one_of(
    st.builds("{} = {}".format, PATHS, OPERANDS),
    st.builds("{}={} {} {}".format, PATHS, OPERANDS, st.sampled_from("+-"), OPERANDS),
)


def _clause(word, action):
    return st.lists(action, min_size=1, max_size=3).map(lambda actions: f"{word} {', '.join(actions)}")


UPDATES = st.one_of(
    st.lists(
        st.one_of(
            _clause("SET", SETS),
            _clause("REMOVE", PATHS),
            _clause("ADD", st.builds("{} {}".format, PATHS, NAMED_VALUES)),
            _clause("DELETE", st.builds("{} {}".format, PATHS, NAMED_VALUES)),
        ),
        min_size=1,
        max_size=3,
    ).map(" ".join),
    st.sampled_from(["", "SET", "SET a = ", "SET a = :n,", "GET a", "SET a == :n", "set a = :n"]),
)
COMPARISONS = st.one_of(
    st.builds("{} {} {}".format, PATHS, st.sampled_from(["=", "<>", "<", "<=", ">"]), NAMED_VALUES),
    st.builds("attribute_exists({})".format, PATHS),
    st.builds("attribute_not_exists({})".format, PATHS),
    st.builds("contains({}, {})".format, PATHS, NAMED_VALUES),
    st.builds("{} BETWEEN {} AND {}".format, PATHS, NAMED_VALUES, NAMED_VALUES),
    st.sampled_from(["a = ", "a ! :n", "((a = :n))"]),
)
#: Most of what real programs ask, of an item as :data:`ITEM` is; at most one of each line's, since they overlap.
SOUND_SETS = st.tuples(
    st.sampled_from(["", "a = :n", "a = a + :n", "#a = if_not_exists(#a, :n) - :n", "a=:s"]),
    st.sampled_from(["", "#status = :s", "#status = b"]),
    st.sampled_from(["", "m.deep = :n", "#m.deep = m.deep + :n", "m = :m"]),
    st.sampled_from(["", "l[0] = :s", "l = list_append(l, :l)", "l[7] = :n", "l = if_not_exists(l, :l)"]),
)
SOUND_OTHERS = st.tuples(
    st.sampled_from(["", "ADD c :n", "ADD c :n, tags :ss", "ADD tags :ss"]),
    st.sampled_from(["", "DELETE marks :ss"]),
    st.sampled_from(["", "REMOVE b", "REMOVE b, d", "REMOVE e[1], e[0]"]),
)
SOUND_CONDITIONS = st.sampled_from(
    [
        "attribute_exists(message_id)",
        "attribute_not_exists(message_id) OR (#status = :s AND a <= :n)",
        "attribute_not_exists(b) OR a < :n",
        "NOT contains(tags, :s)",
        "a BETWEEN :n AND :n OR attribute_exists(m.deep)",
    ]
)


def _joined(parts):
    sets, others = parts
    assignments = ", ".join(filter(None, sets))
    return " ".join(filter(None, [assignments and f"SET {assignments}", *others]))


SOUND_UPDATES = st.tuples(SOUND_SETS, SOUND_OTHERS).map(_joined)
CONDITIONS = st.one_of(
    COMPARISONS,
    st.builds("{} {} {}".format, COMPARISONS, st.sampled_from(["AND", "OR"]), COMPARISONS),
    st.builds("NOT {}".format, COMPARISONS),
    st.builds("{} OR ({} AND {})".format, COMPARISONS, COMPARISONS, COMPARISONS),
)


@st.composite
def updates(draw):
    """An UpdateItem of a small table, which may be wrong in any of its parts."""
    update = draw(SOUND_UPDATES if draw(st.integers(0, 3)) else UPDATES)
    condition = draw(SOUND_CONDITIONS if draw(st.integers(0, 3)) else CONDITIONS) if draw(st.booleans()) else None
    used = re.findall(r"[#:]\w+", f"{update} {condition or ''}")
    # What is given and not used is refused, so mostly give what is used.
    all_of_them = draw(st.integers(0, 9)) == 0
    names = {name: value for name, value in NAMES.items() if all_of_them or name in used}
    values = {name: value for name, value in VALUES.items() if all_of_them or name in used}
    body = {
        "Key": {"message_id": {"S": draw(st.sampled_from(["one", "one", "one", "two"]))}},
        "UpdateExpression": update,
        "ReturnValues": draw(st.sampled_from(["NONE", "ALL_OLD", "ALL_NEW", "UPDATED_OLD", "UPDATED_NEW"])),
        **({"ConditionExpression": condition} if condition else {}),
        **({"ExpressionAttributeNames": names} if names else {}),
        **({"ExpressionAttributeValues": values} if values else {}),
    }
    if draw(st.booleans()):
        body["ReturnValuesOnConditionCheckFailure"] = "ALL_OLD"
    return body


class PlainMoto:
    """The process that answers as moto does."""

    def __init__(self):
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.localaws.plain_moto"],
            cwd=project_root(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, action, body):
        self._process.stdin.write(json.dumps([action, body]) + "\n")
        self._process.stdin.flush()
        return tuple(json.loads(self._process.stdout.readline()))

    def close(self):
        self._process.communicate(timeout=30)


@pytest.fixture(scope="module")
def both():
    plain = PlainMoto()
    quick = DynamoDb("000000000000", "us-west-1")
    yield lambda action, body: (ask(quick, action, body), plain.ask(action, body))
    plain.close()


@pytest.mark.thorough
@given(requests=st.lists(updates(), min_size=1, max_size=6))
@settings(deadline=None)
def test_the_answers_are_those_of_moto_as_it_is(both, requests):
    table = {
        "TableName": "items",
        "KeySchema": [{"AttributeName": "message_id", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "message_id", "AttributeType": "S"}],
        "BillingMode": "PAY_PER_REQUEST",
    }
    both("CreateTable", table)
    both("PutItem", {"TableName": "items", "Item": ITEM})
    for request in requests:
        ours, moto = both("UpdateItem", {"TableName": "items", **request})
        assert ours == moto
    ours, moto = both("Scan", {"TableName": "items"})
    assert ours == moto
    both("DeleteTable", {"TableName": "items"})
