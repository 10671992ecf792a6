"""Lambda's errors, with its codes and HTTP statuses."""

# ruff: noqa: N818 - the names are AWS's

from typing import ClassVar


class LambdaError(Exception):
    """A refusal by Lambda; ``str(error)`` is its message.

    Attributes:
        code: AWS's name of it.
        status: the HTTP status that carries it.
    """

    code: ClassVar[str] = "ServiceException"
    status: ClassVar[int] = 500


class InvalidParameterValue(LambdaError):
    """A parameter's value is not acceptable."""

    code = "InvalidParameterValueException"
    status = 400


class ValidationError(LambdaError):
    """A request breaks a constraint of AWS's model."""

    code = "ValidationException"
    status = 400


class InvalidRequestContent(LambdaError):
    """A request's body is not JSON."""

    code = "InvalidRequestContentException"
    status = 400


class UnsupportedParameter(LambdaError):
    """A parameter of AWS's that this endpoint does not know how to honour."""

    code = "InvalidParameterValueException"
    status = 400


class ResourceNotFound(LambdaError):
    """There is no such function or mapping."""

    code = "ResourceNotFoundException"
    status = 404


class ResourceConflict(LambdaError):
    """The resource exists already."""

    code = "ResourceConflictException"
    status = 409


class ResourceInUse(LambdaError):
    """The mapping is being deleted."""

    code = "ResourceInUseException"
    status = 400


class TooManyRequests(LambdaError):
    """The function's concurrency is used up."""

    code = "TooManyRequestsException"
    status = 429


class RequestTooLarge(LambdaError):
    """An event is larger than a synchronous invocation may carry."""

    code = "RequestTooLargeException"
    status = 413
