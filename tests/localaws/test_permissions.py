"""AddPermission and RemovePermission: the policy that they make of their parameters."""

import json

import pytest

from infra.localaws.sqs.errors import InvalidParameterValue, MissingParameter, OverLimit, SqsError
from infra.localaws.sqs.permissions import with_permission, without_permission

ARN = "arn:aws:sqs:us-west-1:000000000000:q"


def test_statements_come_and_go_by_their_labels(lab):
    lab.model.create_queue("q")
    lab.model.add_permission("q", "one", ["111111111111"], ["SendMessage"])
    lab.model.add_permission("q", "many", ["111111111111", "222222222222"], ["SendMessage", "ReceiveMessage"])
    policy = json.loads(lab.model.attribute_texts("q")["Policy"])
    assert policy == {
        "Version": "2008-10-17",
        "Id": f"{ARN}/SQSDefaultPolicy",
        "Statement": [
            {
                "Sid": "one",
                "Effect": "Allow",
                "Principal": {"AWS": "arn:aws:iam::111111111111:root"},
                "Action": "SQS:SendMessage",
                "Resource": ARN,
            },
            {
                "Sid": "many",
                "Effect": "Allow",
                "Principal": {"AWS": ["arn:aws:iam::111111111111:root", "arn:aws:iam::222222222222:root"]},
                "Action": ["SQS:SendMessage", "SQS:ReceiveMessage"],
                "Resource": ARN,
            },
        ],
    }
    lab.model.remove_permission("q", "one")
    assert [each["Sid"] for each in json.loads(lab.model.attribute_texts("q")["Policy"])["Statement"]] == ["many"]
    lab.model.remove_permission("q", "many")
    assert "Policy" not in lab.model.attribute_texts("q")


def test_a_users_own_policy_keeps_its_statements():
    own = json.dumps({"Version": "2012-10-17", "Statement": {"Sid": "own", "Effect": "Deny"}})
    after = json.loads(with_permission(own, ARN, "x", ["111111111111"], ["*"]))
    assert [each["Sid"] for each in after["Statement"]] == ["own", "x"]
    assert after["Version"] == "2012-10-17"


@pytest.mark.parametrize(
    ("label", "accounts", "actions", "error", "text"),
    [
        (
            "x",
            ["111111111111"],
            ["SendMessage"],
            InvalidParameterValue,
            "Value x for parameter Label .* Already exists",
        ),
        ("a b", ["111111111111"], ["SendMessage"], InvalidParameterValue, "parameter Label"),
        ("y", [], ["SendMessage"], MissingParameter, "PrincipalId"),
        ("y", ["1"], ["SendMessage"], InvalidParameterValue, r"Value \[1\] for parameter PrincipalId"),
        ("y", ["111111111111"], [], MissingParameter, "Actions"),
        ("y", ["111111111111"], ["Nonsense"], InvalidParameterValue, "Value SQS:Nonsense for parameter ActionName"),
        ("y", ["111111111111"], ["DeleteQueue"], InvalidParameterValue, "Only the queue owner"),
        ("y", ["111111111111"], ["SendMessage"] * 8, OverLimit, "8 Actions were found, maximum allowed is 7."),
    ],
)
def test_what_no_policy_holds_is_refused(label, accounts, actions, error, text):
    policy = with_permission("", ARN, "x", ["111111111111"], ["SendMessage"])
    with pytest.raises(error, match=text):
        with_permission(policy, ARN, label, accounts, actions)


def test_a_policy_holds_twenty_statements():
    policy = ""
    for number in range(20):
        policy = with_permission(policy, ARN, str(number), ["111111111111"], ["*"])
    with pytest.raises(OverLimit, match="maximum allowed is 20"):
        with_permission(policy, ARN, "more", ["111111111111"], ["*"])


def test_a_label_that_is_not_there_cannot_go():
    for policy in ("", "{}", with_permission("", ARN, "x", ["111111111111"], ["*"])):
        with pytest.raises(SqsError, match="can't find label"):
            without_permission(policy, "y")
