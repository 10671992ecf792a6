"""Whether a role may be assumed by Lambda, and what its policies allow.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
"""

from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any, Final

LAMBDA_PRINCIPAL: Final = "lambda.amazonaws.com"
SQS_ACTIONS: Final = ("ReceiveMessage", "DeleteMessage", "GetQueueAttributes")
"""What a mapping needs on its queue, in the order in which Lambda misses it."""

Policy = Mapping[str, Any]


def lambda_may_assume(trust: Policy) -> bool:
    """Return whether a role's trust policy names Lambda."""
    return any(
        statement.get("Effect") == "Allow"
        and "sts:AssumeRole" in _listed(statement.get("Action"))
        and LAMBDA_PRINCIPAL in _listed(_services(statement.get("Principal")))
        for statement in _statements([trust])
    )


def allows(policies: Iterable[Policy], action: str, resource: str) -> bool:
    """Return whether policies allow an action on a resource; a statement with a condition allows nothing here."""
    matching = [s for s in _statements(policies) if _matches(s, action, resource)]
    if any(statement.get("Effect") == "Deny" for statement in matching):
        return False
    return any(statement.get("Effect") == "Allow" and "Condition" not in statement for statement in matching)


def _matches(statement: Policy, action: str, resource: str) -> bool:
    actions = [str(pattern).lower() for pattern in _listed(statement.get("Action"))]
    resources = _listed(statement.get("Resource"))
    return any(fnmatchcase(action.lower(), pattern) for pattern in actions) and any(
        fnmatchcase(resource, str(pattern)) for pattern in resources
    )


def _statements(policies: Iterable[Policy]) -> Iterator[Policy]:
    for policy in policies:
        statements = policy.get("Statement", [])
        yield from [statements] if isinstance(statements, Mapping) else statements


def _services(principal: Any) -> Any:
    return principal.get("Service") if isinstance(principal, Mapping) else None


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
