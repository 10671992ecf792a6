"""What a producer may put into a message: checks, sizes and MD5 digests.

Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html
"""

import re
from collections.abc import Mapping
from hashlib import md5
from typing import Final, NamedTuple

from infra.localaws.sqs.errors import InvalidMessageContents, InvalidParameterValue, MissingParameter
from infra.localaws.sqs.limits import (
    MAX_ATTRIBUTE_NAME_LENGTH,
    MAX_ATTRIBUTE_TYPE_LENGTH,
    MAX_MESSAGE_ATTRIBUTES,
)


class MessageAttribute(NamedTuple):
    """A message attribute: its data type (``String``, ``Number`` or ``Binary``, maybe with a suffix) and its value."""

    data_type: str
    value: str | bytes


class MessageDraft(NamedTuple):
    """A message as a producer hands it over.

    Attributes:
        body: the text.
        delay: seconds until it is visible; None for the queue's own delay.
        attributes: message attributes by name.
        trace_header: the ``AWSTraceHeader`` system attribute.
        group: the message group (FIFO), or the tenant (standard).
        deduplication_id: for FIFO queues.
    """

    body: str
    delay: int | None = None
    attributes: Mapping[str, MessageAttribute] | None = None
    trace_header: str | None = None
    group: str | None = None
    deduplication_id: str | None = None


def message_size(draft: MessageDraft) -> int:
    """Return the bytes that count towards the limits: the body and the attributes' names, types and values."""
    body = draft.body
    size = len(body) if body.isascii() else len(body.encode("utf-8", "surrogatepass"))
    if draft.attributes:
        for name, (data_type, value) in draft.attributes.items():
            size += len(_bytes(name)) + len(_bytes(data_type)) + len(_bytes(value))
    return size


def check_content(draft: MessageDraft, maximum_size: int) -> None:
    """Raise the SqsError that SQS answers to a draft that it does not accept.

    Args:
        draft: the message to check.
        maximum_size: bytes, the queue's ``MaximumMessageSize``.

    Raises:
        MissingParameter: the body is empty.
        InvalidMessageContents: the body holds a character outside the allowed set.
        InvalidParameterValue: the message is too large, or an attribute is malformed.
    """
    if not draft.body:
        raise MissingParameter.named("MessageBody")
    # Most bodies are plain text, which is seen at once.
    plain = draft.body.isascii() and draft.body.isprintable()
    if not plain and _FORBIDDEN(draft.body):
        raise InvalidMessageContents(_ALLOWED)
    if draft.attributes:
        _check_attributes(draft.attributes)
    if message_size(draft) > maximum_size:
        raise InvalidParameterValue(
            f"One or more parameters are invalid. Reason: Message must be shorter than {maximum_size} bytes."
        )


def empty_value(name: str, data_type: str) -> InvalidParameterValue:
    """Return the error for a message attribute without a value."""
    return InvalidParameterValue(
        f"Message (user) attribute '{name}' must contain a non-empty value of type '{data_type}'."
    )


def body_md5(body: str) -> str:
    """Return the MD5 of a body, as hexadecimal digits."""
    return md5(body.encode(), usedforsecurity=False).hexdigest()


def attributes_md5(attributes: Mapping[str, MessageAttribute]) -> str:
    """Return the MD5 of message attributes, as hexadecimal digits.

    Source: "Calculating the MD5 message digest for message attributes" in
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-message-metadata.html
    """
    digest = md5(usedforsecurity=False)
    for name in sorted(attributes):
        data_type, value = attributes[name]
        content = _bytes(value)
        for part in (_bytes(name), _bytes(data_type)):
            digest.update(len(part).to_bytes(4, "big") + part)
        digest.update(_STRING_VALUE if isinstance(value, str) else _BINARY_VALUE)
        digest.update(len(content).to_bytes(4, "big") + content)
    return digest.hexdigest()


_STRING_VALUE: Final = b"\x01"
_BINARY_VALUE: Final = b"\x02"
_FORBIDDEN: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]").search
_ALLOWED: Final = (
    "Invalid characters found. Valid unicode characters are "
    "#x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF"
)
_ATTRIBUTE_NAME: Final = re.compile(r"[\w-]+(\.[\w-]+)*").fullmatch
_RESERVED_PREFIXES: Final = ("aws.", "amazon.")
_NUMBER: Final = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?").fullmatch


def _bytes(value: str | bytes) -> bytes:
    return value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value


def _check_attributes(attributes: Mapping[str, MessageAttribute]) -> None:
    if len(attributes) > MAX_MESSAGE_ATTRIBUTES:
        raise InvalidParameterValue(
            f"Number of message attributes [{len(attributes)}] exceeds the allowed maximum [{MAX_MESSAGE_ATTRIBUTES}]."
        )
    for name, attribute in attributes.items():
        _check_attribute_name(name)
        _check_attribute_value(name, attribute)


def _check_attribute_name(name: str) -> None:
    if len(name) > MAX_ATTRIBUTE_NAME_LENGTH:
        raise InvalidParameterValue(
            f"Message (user) attribute names must be shorter than {MAX_ATTRIBUTE_NAME_LENGTH} Bytes"
        )
    if name.lower().startswith(_RESERVED_PREFIXES) or name.startswith(".") or name.endswith("."):
        raise InvalidParameterValue(
            "You can't use message attribute names beginning with 'AWS.' or 'Amazon.'. These strings are reserved for "
            "internal use. Additionally, they cannot start or end with '.'."
        )
    if not _ATTRIBUTE_NAME(name):
        # The space at the end is SQS's own.
        raise InvalidParameterValue(
            "Message (user) attributes name can only contain upper and lower score characters, digits, periods, "
            "hyphens and underscores. "
        )


def _check_attribute_value(name: str, attribute: MessageAttribute) -> None:
    data_type, value = attribute
    if not data_type:
        raise InvalidParameterValue(f"The message attribute '{name}' must contain non-empty message attribute type.")
    base = data_type.split(".", 1)[0]
    if base not in {"String", "Number", "Binary"} or len(data_type) > MAX_ATTRIBUTE_TYPE_LENGTH:
        raise InvalidParameterValue(
            f"The message attribute '{name}' has an invalid message attribute type, the set of supported type "
            "prefixes is Binary, Number, and String."
        )
    if not value:
        raise empty_value(name, data_type)
    if isinstance(value, bytes) is not (base == "Binary"):
        raise InvalidParameterValue(
            f"The message attribute '{name}' with type '{base}' must use field '{_field_of(base)}'."
        )
    if isinstance(value, str):
        if _FORBIDDEN(value):
            raise InvalidParameterValue(_ALLOWED)
        if base == "Number" and not _NUMBER(value):
            raise InvalidParameterValue(f"Can't cast the value of message attribute '{name}' to a number.")


def _field_of(base: str) -> str:
    return "BinaryValue" if base == "Binary" else "StringValue"
