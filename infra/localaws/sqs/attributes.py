"""A queue's attributes: their defaults, their checks, and the text form in which SQS takes and gives them.

Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from infra.localaws.sqs.errors import InvalidAttributeName, InvalidAttributeValue, InvalidParameterValue
from infra.localaws.sqs.limits import (
    DEFAULT_KMS_REUSE_SECONDS,
    DEFAULT_RETENTION_SECONDS,
    DEFAULT_VISIBILITY_SECONDS,
    MAX_DELAY_SECONDS,
    MAX_KMS_REUSE_SECONDS,
    MAX_MESSAGE_BYTES,
    MAX_RECEIVE_COUNT_LIMIT,
    MAX_RECEIVE_WAIT_SECONDS,
    MAX_REDRIVE_SOURCES,
    MAX_RETENTION_SECONDS,
    MAX_VISIBILITY_SECONDS,
    MIN_KMS_REUSE_SECONDS,
    MIN_MAXIMUM_MESSAGE_SIZE,
    MIN_RETENTION_SECONDS,
)
from services.common.numbers import whole_number

PER_QUEUE: Final = "queue"
PER_GROUP: Final = "messageGroup"


@dataclass(frozen=True, slots=True)
class RedrivePolicy:
    """Where a message goes when its receive count would exceed the maximum."""

    dead_letter_target_arn: str
    max_receive_count: int

    def to_json(self) -> str:
        """Return the text that GetQueueAttributes answers."""
        return _compact(
            {"deadLetterTargetArn": self.dead_letter_target_arn, "maxReceiveCount": self.max_receive_count},
        )


@dataclass(frozen=True, slots=True)
class RedriveAllowPolicy:
    """Which queues may name this one as their dead-letter queue."""

    permission: str
    source_arns: tuple[str, ...] = ()

    def allows(self, source_arn: str) -> bool:
        """Return whether the queue with this ARN may."""
        return self.permission == "allowAll" or (self.permission == "byQueue" and source_arn in self.source_arns)

    def to_json(self) -> str:
        """Return the text that GetQueueAttributes answers."""
        policy: dict[str, Any] = {"redrivePermission": self.permission}
        if self.source_arns:
            policy["sourceQueueArns"] = list(self.source_arns)
        return _compact(policy)


@dataclass(frozen=True, slots=True)
class QueueAttributes:
    """What a queue is set to. Times are seconds, sizes bytes."""

    fifo: bool = False
    visibility_timeout: int = DEFAULT_VISIBILITY_SECONDS
    delay: int = 0
    retention: int = DEFAULT_RETENTION_SECONDS
    maximum_message_size: int = MAX_MESSAGE_BYTES
    receive_wait: int = 0
    redrive_policy: RedrivePolicy | None = None
    redrive_allow_policy: RedriveAllowPolicy | None = None
    content_based_deduplication: bool = False
    deduplication_scope: str = PER_QUEUE
    fifo_throughput_limit: str = "perQueue"
    policy: str = ""
    kms_key: str = ""
    kms_reuse: int = DEFAULT_KMS_REUSE_SECONDS
    sqs_managed_sse: bool = True

    def changed(self, texts: Mapping[str, str]) -> "QueueAttributes":
        """Return these attributes with some changed.

        Args:
            texts: the new values by AWS's names, in their text form.

        Raises:
            InvalidAttributeName: an attribute that does not exist, is read-only, or belongs to the other type of queue.
            InvalidAttributeValue: a value that is out of its range or malformed.
            InvalidParameterValue: a malformed redrive policy.
        """
        changes: dict[str, Any] = {}
        for name, text in texts.items():
            if name not in _SETTABLE:
                raise InvalidAttributeName(f"Unknown Attribute {name}.")
            if name in _FIFO_ONLY and not self.fifo:
                raise InvalidAttributeName(_FIFO_ONLY[name])
            field, parse = _SETTABLE[name]
            changes[field] = parse(name, text)
        if changes.get("kms_key"):
            changes.setdefault("sqs_managed_sse", False)
        after = replace(self, **changes)
        if after.fifo_throughput_limit == "perMessageGroupId" and after.deduplication_scope != PER_GROUP:
            raise InvalidAttributeValue(
                "Invalid value for the parameter FifoThroughputLimit. Reason: The perMessageGroupId value is allowed "
                "only when the value for DeduplicationScope is messageGroup."
            )
        if after.kms_key and after.sqs_managed_sse:
            raise InvalidAttributeValue(
                "You can use one type of server-side encryption (SSE) at one time. You can either enable KMS SSE or "
                "SQS SSE."
            )
        return after

    def texts(self) -> dict[str, str]:
        """Return the attributes that are set, by AWS's names, in the form that GetQueueAttributes answers."""
        texts = {
            "VisibilityTimeout": str(self.visibility_timeout),
            "MaximumMessageSize": str(self.maximum_message_size),
            "MessageRetentionPeriod": str(self.retention),
            "DelaySeconds": str(self.delay),
            "ReceiveMessageWaitTimeSeconds": str(self.receive_wait),
            "SqsManagedSseEnabled": _boolean_text(self.sqs_managed_sse),
        }
        if self.policy:
            texts["Policy"] = self.policy
        if self.redrive_policy:
            texts["RedrivePolicy"] = self.redrive_policy.to_json()
        if self.redrive_allow_policy:
            texts["RedriveAllowPolicy"] = self.redrive_allow_policy.to_json()
        if self.kms_key:
            texts["KmsMasterKeyId"] = self.kms_key
            texts["KmsDataKeyReusePeriodSeconds"] = str(self.kms_reuse)
        if self.fifo:
            texts["FifoQueue"] = "true"
            texts["ContentBasedDeduplication"] = _boolean_text(self.content_based_deduplication)
            texts["DeduplicationScope"] = self.deduplication_scope
            texts["FifoThroughputLimit"] = self.fifo_throughput_limit
        return texts


def is_arn(text: str) -> bool:
    """Return whether a text has the form of an ARN."""
    return _ARN(text) is not None


def _compact(document: dict[str, Any]) -> str:
    return json.dumps(document, separators=(",", ":"))


def _boolean_text(value: bool) -> str:
    return "true" if value else "false"


def _invalid(name: str) -> InvalidAttributeValue:
    return InvalidAttributeValue(f"Invalid value for the parameter {name}.")


def _integer(lowest: int, highest: int) -> Callable[[str, str], int]:
    def parse(name: str, text: str) -> int:
        number = whole_number(text)
        if number is None or not lowest <= number <= highest:
            raise _invalid(name)
        return number

    return parse


def _boolean(name: str, text: str) -> bool:
    if text.lower() not in {"true", "false"}:
        raise _invalid(name)
    return text.lower() == "true"


def _choice(*values: str) -> Callable[[str, str], str]:
    def parse(name: str, text: str) -> str:
        if text not in values:
            raise _invalid(name)
        return text

    return parse


def _text(_name: str, text: str) -> str:
    return text


def _policy(name: str, text: str) -> str:
    if text:
        _json_object(text, _invalid(name))
    return text


def _json_object(text: str, error: Exception) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise error from None
    if not isinstance(document, dict):
        raise error
    return document


def _redrive_policy(name: str, text: str) -> RedrivePolicy | None:
    if not text:
        return None
    document = _json_object(text, InvalidParameterValue.of(name, text, "Redrive policy is not a valid JSON map."))
    for key in ("deadLetterTargetArn", "maxReceiveCount"):
        if key not in document:
            raise InvalidParameterValue.of(name, text, f"Redrive policy does not contain mandatory attribute: {key}.")
    if unknown := document.keys() - {"deadLetterTargetArn", "maxReceiveCount"}:
        raise InvalidParameterValue.of(name, text, f"Unknown field in redrive policy: {min(unknown)}.")
    given = document["maxReceiveCount"]
    count = whole_number(given) if isinstance(given, str) else given
    if type(count) is not int or not 1 <= count <= MAX_RECEIVE_COUNT_LIMIT:
        raise InvalidParameterValue.of(
            name,
            text,
            f"Invalid value for maxReceiveCount: {given}, "
            f"valid values are from 1 to {MAX_RECEIVE_COUNT_LIMIT} both inclusive.",
        )
    target = document["deadLetterTargetArn"]
    if not (isinstance(target, str) and is_arn(target)):
        raise InvalidParameterValue.of(name, text, "Invalid value for deadLetterTargetArn.")
    return RedrivePolicy(target, count)


def _redrive_allow_policy(name: str, text: str) -> RedriveAllowPolicy | None:
    if not text:
        return None
    malformed = InvalidParameterValue.of(name, text, "Amazon SQS can't create the redrive allow policy.")
    document = _json_object(text, malformed)
    permission = document.get("redrivePermission")
    if not isinstance(permission, str) or permission not in {"allowAll", "denyAll", "byQueue"}:
        raise malformed
    if document.keys() - {
        "redrivePermission",
        "sourceQueueArns",
    }:
        raise malformed
    sources = document.get("sourceQueueArns", [])
    if not isinstance(sources, list) or not all(isinstance(arn, str) for arn in sources):
        raise malformed
    if (permission == "byQueue") is not bool(sources):
        raise InvalidParameterValue.of(
            name, text, "sourceQueueArns must be given with the redrivePermission byQueue, and only with it."
        )
    if len(sources) > MAX_REDRIVE_SOURCES:
        raise InvalidParameterValue.of(name, text, f"At most {MAX_REDRIVE_SOURCES} source queue ARNs can be specified.")
    return RedriveAllowPolicy(permission, tuple(sources))


_ARN: Final = re.compile(r"arn:[^:]+:[^:]+:[^:]*:[^:]*:[^:]+").fullmatch
_SETTABLE: Final[dict[str, tuple[str, Callable[[str, str], Any]]]] = {
    "VisibilityTimeout": ("visibility_timeout", _integer(0, MAX_VISIBILITY_SECONDS)),
    "DelaySeconds": ("delay", _integer(0, MAX_DELAY_SECONDS)),
    "MessageRetentionPeriod": ("retention", _integer(MIN_RETENTION_SECONDS, MAX_RETENTION_SECONDS)),
    "MaximumMessageSize": ("maximum_message_size", _integer(MIN_MAXIMUM_MESSAGE_SIZE, MAX_MESSAGE_BYTES)),
    "ReceiveMessageWaitTimeSeconds": ("receive_wait", _integer(0, MAX_RECEIVE_WAIT_SECONDS)),
    "RedrivePolicy": ("redrive_policy", _redrive_policy),
    "RedriveAllowPolicy": ("redrive_allow_policy", _redrive_allow_policy),
    "Policy": ("policy", _policy),
    "KmsMasterKeyId": ("kms_key", _text),
    "KmsDataKeyReusePeriodSeconds": ("kms_reuse", _integer(MIN_KMS_REUSE_SECONDS, MAX_KMS_REUSE_SECONDS)),
    "SqsManagedSseEnabled": ("sqs_managed_sse", _boolean),
    "ContentBasedDeduplication": ("content_based_deduplication", _boolean),
    "DeduplicationScope": ("deduplication_scope", _choice(PER_QUEUE, PER_GROUP)),
    "FifoThroughputLimit": ("fifo_throughput_limit", _choice("perQueue", "perMessageGroupId")),
}
# Attributes of FIFO queues, with what SQS says of each on a standard queue.
_FIFO_ONLY: Final = {
    "ContentBasedDeduplication": "Unknown Attribute ContentBasedDeduplication.",
    "DeduplicationScope": "You can specify the DeduplicationScope only when FifoQueue is set to true.",
    "FifoThroughputLimit": "You can specify the FifoThroughputLimit only when FifoQueue is set to true.",
}
