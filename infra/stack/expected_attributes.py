"""What the program promises of a scenario's queue, by SQS's names, and what a queue says of itself, to compare."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from infra.topology import DELAY, MAX_MESSAGE_SIZE, RETENTION

if TYPE_CHECKING:
    from infra.stack.stacks import ScenarioResources

#: The attributes that SQS has as text of JSON.
_POLICIES = ("RedrivePolicy", "RedriveAllowPolicy")
#: Set by the program on every endpoint; not every one that is like AWS tells them again.
_NOT_ALWAYS_ANSWERED = frozenset({"DelaySeconds", "MaximumMessageSize", "MessageRetentionPeriod"})


def expected_attributes(resources: ScenarioResources) -> dict[str, Any]:
    """Return the attributes that a scenario's queue was given: nothing of it is left to an endpoint's own defaults."""
    return {
        "VisibilityTimeout": resources.visibility_timeout,
        "ReceiveMessageWaitTimeSeconds": resources.receive_wait,
        "DelaySeconds": DELAY,
        "MessageRetentionPeriod": RETENTION,
        "MaximumMessageSize": MAX_MESSAGE_SIZE,
        "RedrivePolicy": {
            "deadLetterTargetArn": resources.dead_letter_queue_arn,
            "maxReceiveCount": resources.max_receive_count,
        },
    }


def actual_attributes(attributes: Mapping[str, str]) -> dict[str, Any]:
    """Return what GetQueueAttributes answers, with numbers as numbers and policies as objects."""
    told = {name: int(text) if text.isdecimal() else text for name, text in attributes.items()}
    return told | {name: _policy(attributes.get(name)) for name in _POLICIES}


def differences(promised: Mapping[str, Any], told: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Yield each attribute that is not as promised: its name, what is promised, and what is there."""
    for name, expected in promised.items():
        found = told.get(name)
        if found != expected and not (found is None and name in _NOT_ALWAYS_ANSWERED):
            yield name, expected, found


def _policy(text: str | None) -> Mapping[str, Any] | None:
    if not text:
        return None
    policy: dict[str, Any] = json.loads(text)
    if "maxReceiveCount" in policy:
        policy["maxReceiveCount"] = int(policy["maxReceiveCount"])  # SQS takes and answers it as number or text
    return policy
