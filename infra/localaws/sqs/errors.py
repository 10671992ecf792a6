"""The errors of SQS: one class each, with its code in the JSON and in the Query protocol.

::

    SqsError
    ├── InvalidParameterValue, MissingParameter, SerializationError,
    │   InvalidAction, MissingAction, MissingAuthenticationToken, NoSuchVersion,
    │   MalformedQueryString                                                                        (common errors)
    ├── QueueDoesNotExist, QueueNameExists, QueueDeletedRecently, PurgeQueueInProgress,
    │   ResourceNotFound                                                                            (queues)
    ├── InvalidAttributeName, InvalidAttributeValue, InvalidAddress                                 (requests)
    ├── InvalidMessageContents, ReceiptHandleIsInvalid, MessageNotInflight, OverLimit               (messages)
    ├── EmptyBatchRequest, TooManyEntriesInBatchRequest, BatchEntryIdsNotDistinct,
    │   BatchRequestTooLong, InvalidBatchEntryId                                                    (batches)
    └── UnsupportedOperation, RequestThrottled

Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/CommonErrors.html and each action's page.
"""

from typing import ClassVar

_SQS = "com.amazonaws.sqs#"
_COMMON = "com.amazon.coral.service#"
_LEGACY = "AWS.SimpleQueueService."


class SqsError(Exception):
    """A request that SQS refuses; ``str(error)`` is the text that it answers.

    Attributes:
        json_type: the ``__type`` of an answer in the JSON protocol.
        query_code: the ``Code`` in the Query protocol, the ``x-amzn-query-error`` header and batch results.
        status: the HTTP status.
        batch_code: the ``Code`` of an entry that failed in a batch.
        query_text: what the Query protocol says in place of ``str(error)``; None for the same.
    """

    json_type: ClassVar[str] = _COMMON + "InternalFailure"
    query_code: ClassVar[str] = "InternalFailure"
    status: ClassVar[int] = 400
    query_text: ClassVar[str | None] = None

    @property
    def batch_code(self) -> str:
        """The error's name: an entry tells neither protocol's prefix."""
        return self.json_type.partition("#")[2]


class InvalidParameterValue(SqsError):  # noqa: N818 - the errors bear AWS's names, which have no suffix
    """A parameter is out of its range or of a wrong form."""

    json_type = _COMMON + "InvalidParameterValueException"
    query_code = "InvalidParameterValue"

    @classmethod
    def of(cls, parameter: str, value: object, reason: str) -> "InvalidParameterValue":
        """Return the error with AWS's usual text for one parameter."""
        return cls(f"Value {value} for parameter {parameter} is invalid. Reason: {reason}")


class MissingParameter(SqsError):  # noqa: N818 - AWS's name
    """A required parameter is not there."""

    json_type = _COMMON + "MissingRequiredParameterException"
    query_code = "MissingParameter"

    @classmethod
    def named(cls, parameter: str) -> "MissingParameter":
        """Return the error with AWS's text for the missing parameter."""
        return cls(f"The request must contain the parameter {parameter}.")


class SerializationError(SqsError):
    """A request's JSON does not fit the shapes of the action."""

    json_type = _COMMON + "SerializationException"
    query_code = "SerializationException"


class InvalidAction(SqsError):  # noqa: N818 - AWS's name
    """An action that SQS does not have."""

    json_type = _COMMON + "UnknownOperationException"
    query_code = "InvalidAction"

    @classmethod
    def named(cls, action: str) -> "InvalidAction":
        """Return the error with AWS's text for an action that it does not know."""
        return cls(f"The action {action} is not valid for this endpoint.")


class MissingAction(SqsError):  # noqa: N818 - AWS's name
    """A Query request that names no action."""

    json_type = _COMMON + "UnknownOperationException"
    query_code = "MissingAction"

    def __init__(self, message: str = "The request must contain the parameter Action.") -> None:
        super().__init__(message)


class MissingAuthenticationToken(SqsError):  # noqa: N818 - AWS's name
    """A request that changes something by another method than POST carries no signature."""

    json_type = _COMMON + "MissingAuthenticationTokenException"
    query_code = "MissingAuthenticationToken"
    status = 403


class NoSuchVersion(SqsError):  # noqa: N818 - AWS's name
    """A Query request for a version of the API that SQS does not have."""

    json_type = _COMMON + "InvalidParameterValueException"
    query_code = "NoSuchVersion"


class MalformedQueryString(SqsError):  # noqa: N818 - AWS's name
    """A Query request whose form cannot be read."""

    json_type = _COMMON + "SerializationException"
    query_code = "MalformedQueryString"


class QueueDoesNotExist(SqsError):  # noqa: N818 - AWS's name
    """The queue is not there."""

    json_type = _SQS + "QueueDoesNotExist"
    query_code = _LEGACY + "NonExistentQueue"
    query_text = "The specified queue does not exist for this wsdl version."

    def __init__(self, message: str = "The specified queue does not exist.") -> None:
        super().__init__(message)


class QueueNameExists(SqsError):  # noqa: N818 - AWS's name
    """A queue of this name exists with other attributes."""

    json_type = _SQS + "QueueNameExists"
    query_code = "QueueAlreadyExists"


class QueueDeletedRecently(SqsError):  # noqa: N818 - AWS's name
    """A queue of this name was deleted within the last 60 seconds."""

    json_type = _SQS + "QueueDeletedRecently"
    query_code = _LEGACY + "QueueDeletedRecently"


class PurgeQueueInProgress(SqsError):  # noqa: N818 - AWS's name
    """The queue was purged within the last 60 seconds."""

    json_type = _SQS + "PurgeQueueInProgress"
    query_code = _LEGACY + "PurgeQueueInProgress"
    status = 403


class ResourceNotFound(SqsError):  # noqa: N818 - AWS's name, shortened as the others are
    """A queue or a move task that an ARN or a handle names is not there."""

    json_type = _SQS + "ResourceNotFoundException"
    query_code = "ResourceNotFoundException"
    status = 404


class InvalidAttributeName(SqsError):  # noqa: N818 - AWS's name
    """A queue attribute that does not exist, or not for this type of queue."""

    json_type = _SQS + "InvalidAttributeName"
    query_code = "InvalidAttributeName"


class InvalidAttributeValue(SqsError):  # noqa: N818 - AWS's name
    """A queue attribute's value is out of its range or of a wrong form."""

    json_type = _SQS + "InvalidAttributeValue"
    query_code = "InvalidAttributeValue"


class InvalidAddress(SqsError):  # noqa: N818 - AWS's name
    """The queue URL is not one of this endpoint's."""

    json_type = _SQS + "InvalidAddress"
    query_code = "InvalidAddress"
    status = 404


class InvalidMessageContents(SqsError):  # noqa: N818 - AWS's name
    """A body holds a character that SQS does not allow."""

    json_type = _SQS + "InvalidMessageContents"
    query_code = "InvalidMessageContents"


class ReceiptHandleIsInvalid(SqsError):  # noqa: N818 - AWS's name
    """A receipt handle that this queue never gave."""

    json_type = _SQS + "ReceiptHandleIsInvalid"
    query_code = "ReceiptHandleIsInvalid"


class MessageNotInflight(SqsError):  # noqa: N818 - AWS's name
    """The visibility of a message that is not in flight cannot change."""

    json_type = _SQS + "MessageNotInflight"
    query_code = _LEGACY + "MessageNotInflight"


class OverLimit(SqsError):  # noqa: N818 - AWS's name
    """Too many messages are in flight."""

    json_type = _SQS + "OverLimit"
    query_code = "OverLimit"
    status = 403


class EmptyBatchRequest(SqsError):  # noqa: N818 - AWS's name
    """A batch without entries."""

    json_type = _SQS + "EmptyBatchRequest"
    query_code = _LEGACY + "EmptyBatchRequest"


class TooManyEntriesInBatchRequest(SqsError):  # noqa: N818 - AWS's name
    """A batch of more than ten entries."""

    json_type = _SQS + "TooManyEntriesInBatchRequest"
    query_code = _LEGACY + "TooManyEntriesInBatchRequest"


class BatchEntryIdsNotDistinct(SqsError):  # noqa: N818 - AWS's name
    """Two entries of a batch share an id."""

    json_type = _SQS + "BatchEntryIdsNotDistinct"
    query_code = _LEGACY + "BatchEntryIdsNotDistinct"


class BatchRequestTooLong(SqsError):  # noqa: N818 - AWS's name
    """The messages of a batch are together larger than one message may be."""

    json_type = _SQS + "BatchRequestTooLong"
    query_code = _LEGACY + "BatchRequestTooLong"


class InvalidBatchEntryId(SqsError):  # noqa: N818 - AWS's name
    """An entry's id holds other characters than letters, digits, hyphens and underscores, or too many."""

    json_type = _SQS + "InvalidBatchEntryId"
    query_code = _LEGACY + "InvalidBatchEntryId"


class UnsupportedOperation(SqsError):  # noqa: N818 - AWS's name
    """An action or a parameter that this endpoint does not serve."""

    json_type = _SQS + "UnsupportedOperation"
    query_code = _LEGACY + "UnsupportedOperation"


class RequestThrottled(SqsError):  # noqa: N818 - AWS's name
    """A FIFO queue has had as many calls of an action in a second as it takes."""

    json_type = _SQS + "RequestThrottled"
    query_code = "RequestThrottled"

    def __init__(self, text: str = "The request was denied due to request throttling.") -> None:
        super().__init__(text)
