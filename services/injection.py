"""One operation with its records and its faults: one code path for real and for simulated processes.

    invoke ── faults before it ── the operation ── faults on its reply ── ok or fail ── faults after it

It is a generator, as a consumer is. It yields what comes next, an operation to perform or a fault to carry out, and is
sent the operation's result. A driver does so with a real clock and a real SIGKILL, a simulation in virtual time. What a
fault means stands here alone: when it strikes, what the history says of it, and what the caller is told.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Protocol, TypeAlias

from services.batches import PartialBatch
from services.history import Recorder
from services.operations import Operation, OperationFailed

#: What a caller is told whose reply was lost, or whose request is still on its way.
TIMEOUT = "ReadTimeoutError"
#: What a caller is told that does not reach a service, and one whose credentials have expired.
NOT_REACHED = "EndpointConnectionError"
EXPIRED = "ExpiredTokenException"


class ServiceErrors(NamedTuple):
    """The codes of a service's errors: too many requests, a failure of its own, no queue or table of that name."""

    throttled: str
    failed: str
    missing: str


SQS_ERRORS: Final = ServiceErrors("ThrottlingException", "InternalError", "AWS.SimpleQueueService.NonExistentQueue")
DYNAMODB_ERRORS: Final = ServiceErrors(
    "ProvisionedThroughputExceededException", "InternalServerError", "ResourceNotFoundException"
)

#: Codes of errors that do not pass by themselves; any other that is injected does.
#: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/CommonErrors.html
FOR_GOOD = frozenset(
    {
        SQS_ERRORS.missing,
        "AccessDeniedException",
        EXPIRED,
        "QueueDoesNotExist",
        DYNAMODB_ERRORS.missing,
        "UnrecognizedClientException",
    }
)
#: The event that tells of a request which took effect after its caller was told of a timeout.
ARRIVED_LATE = "arrived-late"


class InjectedFault(Protocol):
    """A fault that strikes now.

    ``crash``, ``delay`` and kinds that only a simulation has are carried out by whatever steps the generator. One that
    lasts does nothing by itself: its source strikes the operations that it reaches. The rest is carried out here:
    ``error``, ``reply-lost``, ``late-request``, ``partial-failure``.
    """

    @property
    def kind(self) -> str:
        """What it does."""

    @property
    def code(self) -> str:
        """The code of an error."""

    @property
    def entries(self) -> tuple[int, ...]:
        """The entries of a batch that it keeps from being done."""

    @property
    def seconds(self) -> float:
        """How long it takes, or how late a request is."""

    def as_json(self) -> Mapping[str, Any]:
        """Return what the history says of it."""


class FaultSource(Protocol):
    """Decides which faults strike. Each method is called once for an operation that comes so far."""

    def before(self, operation: Operation) -> Iterable[InjectedFault]:
        """Return the faults that strike before an operation, in their order."""

    def on_reply(self, operation: Operation, result: Any) -> Iterable[InjectedFault]:
        """Return the faults that strike when an operation is done, and its caller has not heard of it."""

    def after(self, operation: Operation, result: Any) -> Iterable[InjectedFault]:
        """Return the faults that strike when an operation was done and recorded."""


@dataclass(frozen=True, slots=True)
class LateRequest:
    """A request that is still on its way when its caller gives up.

    Attributes:
        operation: it takes effect all the same, and nobody hears of that.
        seconds: from now until then.
        invocation: the index of its invoke record.
    """

    operation: Operation
    seconds: float
    invocation: int


#: What comes next: an operation to perform, a request to perform later, or a fault to carry out.
Step: TypeAlias = Operation | LateRequest | InjectedFault


def perform_with_faults(operation: Operation, recorder: Recorder, faults: FaultSource) -> Generator[Step, Any, Any]:
    """Yield the steps of an operation; return its result.

    Raises:
        OperationFailed: it failed by itself, or a fault had it fail.
    """
    invocation = recorder.invoke(operation)
    refused: set[int] = set()
    unanswered = False
    try:
        for fault in faults.before(operation):
            refused.update(fault.entries)
            unanswered = unanswered or fault.kind == "partial-reply-lost"
            yield from _strike(fault, recorder, invocation, operation)
        if refused:
            cut = PartialBatch(operation, refused, "an injected fault")
            result = cut.answer(None if cut.rest is None else (yield cut.rest))
        else:
            result = yield operation
        _require_reply(lost=unanswered)
        for fault in faults.on_reply(operation, result):
            yield from _strike(fault, recorder, invocation, operation)
    except OperationFailed as error:
        recorder.fail(invocation, operation, error)
        raise
    recorder.ok(invocation, operation, result)
    for fault in faults.after(operation, result):
        yield from _strike(fault, recorder, invocation, operation)
    return result


def _require_reply(*, lost: bool) -> None:
    if lost:
        raise OperationFailed(TIMEOUT, "the reply was lost", transient=True)


def _strike(
    fault: InjectedFault, recorder: Recorder, invocation: int, operation: Operation
) -> Generator[Step, Any, None]:
    recorder.fault(invocation, operation, fault.as_json())
    yield fault
    match fault.kind:
        case "error":
            raise OperationFailed(fault.code, "an injected fault", transient=fault.code not in FOR_GOOD)
        case "reply-lost":
            raise OperationFailed(TIMEOUT, "the reply was lost", transient=True)
        case "late-request":
            yield LateRequest(operation, fault.seconds, invocation)
            raise OperationFailed(TIMEOUT, "no reply came in time", transient=True)


def record_arrival(recorder: Recorder, late: LateRequest, error: OperationFailed | None) -> None:
    """Say in the history that a late request has arrived, and whether it was done."""
    facts = late.operation.arguments()
    about = {name: facts[name] for name in ("key", "message_id", "messages") if name in facts}
    details = {"operation": type(late.operation).__name__, "invocation": late.invocation, "late_by": late.seconds}
    refused = {} if error is None else {"error": error.code}
    recorder.event(ARRIVED_LATE, **details, **about, **refused)
