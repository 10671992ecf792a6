"""boto3's exceptions as failed operations: with AWS's own code, and whether a later attempt may succeed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as BotoConnectionError

from services.operations import OperationFailed

#: Codes that name a passing state of the service. An operation with any other code would fail again.
#: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/CommonErrors.html
#: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html
TRANSIENT_CODES = frozenset(
    {
        "InternalError",
        "InternalFailure",
        "InternalServerError",
        "ItemCollectionSizeLimitExceededException",
        "KmsThrottled",
        "LimitExceededException",
        "OverLimit",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "ServiceUnavailable",
        "Throttling",
        "ThrottlingException",
        "TransactionConflictException",
    }
)
#: A status from which on the fault is the service's.
SERVER_FAULT = 500


def as_operation_failed(error: Exception) -> OperationFailed:
    """Return the failed operation for an exception of boto3; any other exception is a bug, and is raised."""
    match error:
        case ClientError():
            code = error.response.get("Error", {}).get("Code", "Unknown")
            message = error.response.get("Error", {}).get("Message", "") or str(error)
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            return OperationFailed(code, message, transient=code in TRANSIENT_CODES or status >= SERVER_FAULT)
        case BotoConnectionError() | HTTPClientError():
            return OperationFailed(type(error).__name__, str(error), transient=True)
        case BotoCoreError() | OSError():
            return OperationFailed(type(error).__name__, str(error), transient=False)
    raise error


def failed_condition(error: ClientError) -> Mapping[str, Any]:
    """Return the reason of a transaction that was cancelled because one of its conditions does not hold.

    Raises:
        OperationFailed: another transaction works on the same items; a later attempt may succeed.
        ClientError: any other error.
    """
    cancelled: Iterable[Mapping[str, Any]] = error.response.get("CancellationReasons", ())
    reasons = {reason.get("Code"): reason for reason in cancelled}
    if "ConditionalCheckFailed" in reasons:
        return reasons["ConditionalCheckFailed"]
    if "TransactionConflict" in reasons:
        raise OperationFailed("TransactionConflict", str(error), transient=True) from error
    raise error
