"""Event filters: which records pass, and which patterns are refused."""

import json

import pytest

from infra.localaws.lambda_.errors import InvalidParameterValue
from infra.localaws.lambda_.filters import Filters

RECORD = {
    "messageId": "m-1",
    "attributes": {"ApproximateReceiveCount": "1", "SenderId": "000000000000"},
    "messageAttributes": {"kind": {"stringValue": "order", "dataType": "String"}},
    "eventSource": "aws:sqs",
    "awsRegion": "us-west-1",
}


def passes(pattern, body):
    text = body if isinstance(body, str) else json.dumps(body)
    return Filters([json.dumps(pattern)]).match({**RECORD, "body": text})


@pytest.mark.parametrize(
    ("rule", "yes", "no"),
    [
        (["A"], ["A"], ["a", "B", None, 1, ""]),
        ([""], [""], ["a", None]),
        ([None], [None], ["", "null", 0]),
        ([True], [True], [1, "true", False]),
        ([3], [3, 3.0], ["3", True, 4]),
        (["A", "B"], ["A", "B"], ["C"]),
        ([{"equals-ignore-case": "tokyo"}], ["Tokyo", "TOKYO"], ["Kyoto", 1]),
        ([{"prefix": "us-"}], ["us-west-1", "us-"], ["eu-us-", 5]),
        ([{"suffix": ".png"}], ["a.png"], ["a.jpg", None]),
        ([{"anything-but": ["A", "B"]}], ["C", 1, None], ["A", "B"]),
        ([{"anything-but": "A"}], ["B"], ["A"]),
        ([{"anything-but": {"prefix": "init"}}], ["done"], ["initial"]),
        ([{"numeric": ["=", 100]}], [100, 100.0], [101, "100", True]),
        ([{"numeric": [">", 10, "<=", 20]}], [11, 20], [10, 21]),
        ([{"exists": True}], ["", 0, False, None], []),
        (["A", {"numeric": ["<", 0]}], ["A", -1], ["B", 0]),
    ],
)
def test_rules(rule, yes, no):
    for value in yes:
        assert passes({"body": {"field": rule}}, {"field": value}), value
    for value in no:
        assert not passes({"body": {"field": rule}}, {"field": value}), value


def test_a_missing_field_matches_only_the_rule_that_it_is_missing():
    assert passes({"body": {"field": [{"exists": False}]}}, {"other": 1})
    assert not passes({"body": {"field": [{"exists": False}]}}, {"field": 1})
    assert not passes({"body": {"field": [{"anything-but": ["x"]}]}}, {"other": 1})
    assert passes({"body": {"a": {"b": [{"exists": False}]}}}, {"other": 1})


def test_all_fields_of_a_pattern_have_to_match():
    pattern = {"body": {"a": ["1"], "b": {"c": ["2"]}}}
    assert passes(pattern, {"a": "1", "b": {"c": "2"}, "more": 0})
    assert not passes(pattern, {"a": "1", "b": {"c": "3"}})
    assert not passes(pattern, {"a": "1"})
    assert not passes(pattern, {"a": "1", "b": "2"})


def test_or_over_several_fields():
    pattern = {"body": {"$or": [{"a": ["1"]}, {"b": ["2"]}], "c": ["3"]}}
    assert passes(pattern, {"a": "1", "c": "3"})
    assert passes(pattern, {"b": "2", "c": "3"})
    assert not passes(pattern, {"c": "3"})
    assert not passes(pattern, {"a": "1", "b": "2"})


def test_a_list_in_the_message_matches_if_any_member_does():
    assert passes({"body": {"tags": ["x"]}}, {"tags": ["y", "x"]})
    assert not passes({"body": {"tags": ["x"]}}, {"tags": ["y"]})
    assert passes({"body": {"lines": {"sku": ["s1"]}}}, {"lines": [{"sku": "s0"}, {"sku": "s1"}]})


def test_any_of_several_filters_suffices():
    filters = Filters(['{"body": {"a": ["1"]}}', '{"body": {"b": ["2"]}}'])
    assert filters.match({**RECORD, "body": '{"b": "2"}'})
    assert not filters.match({**RECORD, "body": '{"c": "2"}'})


def test_a_json_pattern_drops_a_plain_body_and_a_plain_pattern_drops_a_json_body():
    assert not passes({"body": {"a": [{"exists": False}]}}, "plain text")
    assert not passes({"body": {"a": ["1"]}}, '{"a": "1"')
    assert not passes({"body": [{"prefix": "{"}]}, {"a": "1"})
    assert passes({"body": [{"prefix": "plain"}]}, "plain text")
    assert passes({"body": ["exact"]}, "exact")
    assert not passes({"body": ["exact"]}, "exactly")


def test_a_pattern_without_a_body_looks_at_the_records_other_fields_whatever_the_body_is():
    pattern = {"messageAttributes": {"kind": {"stringValue": ["order"]}}}
    assert passes(pattern, "plain")
    assert passes(pattern, {"a": 1})
    assert not passes({"messageAttributes": {"kind": {"stringValue": ["note"]}}}, "plain")
    assert passes({"attributes": {"ApproximateReceiveCount": ["1"]}}, "plain")
    assert not passes({"nonsense": ["1"]}, "plain")


def test_no_filters_let_everything_through():
    assert Filters([]).match({**RECORD, "body": "x"})


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        "not json",
        "[]",
        '"text"',
        '{"body": "text"}',
        '{"body": []}',
        '{"body": {}}',
        '{"body": {"a": "1"}}',
        '{"body": {"a": []}}',
        '{"body": {"a": [["1"]]}}',
        '{"body": {"a": [{"like": "x"}]}}',
        '{"body": {"a": [{"prefix": 1}]}}',
        '{"body": {"a": [{"prefix": "a", "suffix": "b"}]}}',
        '{"body": {"a": [{"numeric": ["~", 1]}]}}',
        '{"body": {"a": [{"numeric": [">", "1"]}]}}',
        '{"body": {"a": [{"numeric": [">"]}]}}',
        '{"body": {"a": [{"exists": "yes"}]}}',
        '{"body": {"a": [{"anything-but": []}]}}',
        '{"body": {"$or": {"a": ["1"]}}}',
        '{"body": {"a": ["' + "x" * 4_096 + '"]}}',
    ],
)
def test_what_is_no_pattern_is_refused(pattern):
    with pytest.raises(InvalidParameterValue, match=r"^Invalid filter pattern definition\.$"):
        Filters([pattern])


def test_a_mapping_takes_five_filters():
    pattern = '{"body": {"a": ["1"]}}'
    Filters([pattern] * 5)
    with pytest.raises(InvalidParameterValue, match="at most 5 filters, and 6 are given"):
        Filters([pattern] * 6)
