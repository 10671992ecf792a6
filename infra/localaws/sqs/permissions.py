"""AddPermission and RemovePermission: statements of a queue's access policy, by their labels.

The policy is kept and answered as AWS does; nothing enforces it, since the endpoint checks no credentials.

Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_AddPermission.html
"""

import json
import re
from collections.abc import Sequence
from typing import Any, Final

from infra.localaws.sqs.errors import InvalidParameterValue, MissingParameter, OverLimit
from infra.localaws.sqs.limits import MAX_LABEL_LENGTH, MAX_PERMISSION_ACTIONS, MAX_POLICY_STATEMENTS


def with_permission(policy: str, queue_arn: str, label: str, accounts: Sequence[str], actions: Sequence[str]) -> str:
    """Return the policy with one statement more.

    Args:
        policy: the queue's policy as JSON; empty for none.
        queue_arn: what the statement is about.
        label: the statement's ``Sid``.
        accounts: who is allowed to, as account ids of 12 digits.
        actions: what they are allowed to do, such as ``SendMessage``, or ``*`` for everything.

    Raises:
        MissingParameter: no account or no action.
        InvalidParameterValue: a malformed label, a label that the policy has already, an account or an action that
            cannot be.
        OverLimit: more actions than a statement holds, or more statements than a policy does.
    """
    _check_label(label)
    _check_principals(accounts)
    _check_actions(actions)
    document = _document(policy) or {"Version": "2008-10-17", "Id": f"{queue_arn}/SQSDefaultPolicy", "Statement": []}
    statements = _statements(document)
    if any(statement.get("Sid") == label for statement in statements):
        raise InvalidParameterValue.of("Label", label, "Already exists.")
    if len(statements) >= MAX_POLICY_STATEMENTS:
        raise OverLimit(
            f"{len(statements) + 1} statements were found in the queue's policy, maximum allowed is "
            f"{MAX_POLICY_STATEMENTS}."
        )
    statement = {
        "Sid": label,
        "Effect": "Allow",
        "Principal": {"AWS": _one_or_all([f"arn:aws:iam::{account}:root" for account in accounts])},
        "Action": _one_or_all([f"SQS:{action}" for action in actions]),
        "Resource": queue_arn,
    }
    return _text(document | {"Statement": [*statements, statement]})


def without_permission(policy: str, label: str) -> str:
    """Return the policy without the statement of this label; empty if it was the last one.

    Raises:
        InvalidParameterValue: the policy has no such statement.
    """
    document = _document(policy)
    statements = _statements(document)
    left = [statement for statement in statements if statement.get("Sid") != label]
    if len(left) == len(statements):
        raise InvalidParameterValue.of("Label", label, "can't find label.")
    return _text(document | {"Statement": left}) if left else ""


def _check_label(label: str) -> None:
    if not _LABEL(label):
        raise InvalidParameterValue.of(
            "Label",
            label,
            f"Can only include alphanumeric characters, hyphens, or underscores. 1 to {MAX_LABEL_LENGTH} in length.",
        )


def _check_principals(accounts: Sequence[str]) -> None:
    if not accounts:
        raise MissingParameter.named("PrincipalId")
    for account in accounts:
        if not _ACCOUNT(account):
            raise InvalidParameterValue.of("PrincipalId", f"[{account}]", "Unable to verify.")


def _check_actions(actions: Sequence[str]) -> None:
    if not actions:
        raise MissingParameter.named("Actions")
    if len(actions) > MAX_PERMISSION_ACTIONS:
        raise OverLimit(f"{len(actions)} Actions were found, maximum allowed is {MAX_PERMISSION_ACTIONS}.")
    for action in actions:
        if action not in _ACTIONS:
            raise InvalidParameterValue.of(
                "ActionName",
                f"SQS:{action}",
                "Only the queue owner is allowed to invoke this action."
                if action in _OWNERS_ACTIONS
                else "Please refer to the appropriate WSDL for a list of valid actions. ",
            )


def _document(policy: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(policy) if policy else {}
    return document


def _statements(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a policy's statements; IAM lets a single one stand without its list."""
    statements = document.get("Statement", [])
    return [each for each in (statements if isinstance(statements, list) else [statements]) if isinstance(each, dict)]


def _one_or_all(values: list[str]) -> str | list[str]:
    return values[0] if len(values) == 1 else values


def _text(document: dict[str, Any]) -> str:
    return json.dumps(document, separators=(",", ":"))


_LABEL: Final = re.compile(rf"[A-Za-z0-9_-]{{1,{MAX_LABEL_LENGTH}}}").fullmatch
_ACCOUNT: Final = re.compile(r"[0-9]{12}").fullmatch
_ACTIONS: Final = frozenset(
    {
        "*",
        "ChangeMessageVisibility",
        "DeleteMessage",
        "GetQueueAttributes",
        "GetQueueUrl",
        "ListDeadLetterSourceQueues",
        "PurgeQueue",
        "ReceiveMessage",
        "SendMessage",
    }
)
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-customer-managed-policy-examples.html
# names the actions that no other account can be allowed.
_OWNERS_ACTIONS: Final = frozenset(
    {
        "AddPermission",
        "CancelMessageMoveTask",
        "CreateQueue",
        "DeleteQueue",
        "ListMessageMoveTasks",
        "ListQueues",
        "ListQueueTags",
        "RemovePermission",
        "SetQueueAttributes",
        "StartMessageMoveTask",
        "TagQueue",
        "UntagQueue",
    }
)
