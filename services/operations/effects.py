"""The operations on external systems: LookUpSideEffect, PerformSideEffect, CallApi, WriteState."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.operations.base import Mark, Names, Operation, OperationFailed, RecordedCall, brief_key, immutable


@immutable
class LookUpSideEffect(Operation, part="store", mark=Mark("look up", "lookup", "world")):
    """Ask the external system whether it has already done this. Result: bool.

    Attributes:
        consistent: the answer knows of each side effect that was answered before.
        fencing_token: the system refuses from now on what comes with an older token; None for a system that compares
            no tokens. See ``services.consumer.fencing``.
    """

    key: str
    consistent: bool = True
    fencing_token: int | None = None

    def arguments(self) -> dict[str, Any]:
        """Return the key, and what is not the usual."""
        unusual: dict[str, Any] = {} if self.consistent else {"consistent": False}
        return {"key": self.key, **unusual, **_token(self.fencing_token)}

    @classmethod
    def told(cls, call: RecordedCall, names: Names) -> tuple[str, str]:
        """Say what the ledger answered."""
        return f"looks up {brief_key(names, call)}", "it was done before" if call.result else "it was never done"


@immutable
class PerformSideEffect(Operation, part="store", mark=Mark("side effect", "perform", "world")):
    """Cause the side effect. Result: how often the external system has now done it for this key.

    The ledger counts executions and refuses none: a refused duplicate could never be seen.

    Attributes:
        sequence: the payload's own ``sequence``, by which order is judged.
        group: the message group, None on a standard queue.
        fencing_token: the system refuses it for good, with the code ``STALE_TOKEN``, where it has seen a newer token
            of this key; None for a system that compares no tokens.
    """

    key: str
    message_id: str
    sequence: int | None = None
    group: str | None = None
    fencing_token: int | None = None

    def arguments(self) -> dict[str, Any]:
        """Return what it is about; no token where there is none."""
        about = {"key": self.key, "message_id": self.message_id, "sequence": self.sequence, "group": self.group}
        return {**about, **_token(self.fencing_token)}

    @classmethod
    def told(cls, call: RecordedCall, names: Names) -> tuple[str, str]:
        """Say how often it has been done by now, where it is not the first time; or that its API did nothing again."""
        # An HTTP API of a program's that honours idempotency keys answers as one that CallApi calls.
        known = isinstance(call.result, Mapping) and call.result.get("recognised")
        return f"PERFORMS {brief_key(names, call)}", _KNOWN if known else _for_the_nth_time(call.result)


@immutable
class StateWritten:
    """What became of a :class:`WriteState`.

    Attributes:
        took: whether the state is what this write made it.
        version: the version that is there now.
    """

    took: bool
    version: int


@immutable
class WriteState(Operation, part="store", mark=Mark("write of a version", "perform", "world")):
    """Set the state of an entity to what it is in a version. Result: :class:`StateWritten`.

    Attributes:
        key: the key of the update.
        only_if_newer: leave the state alone where it has this version or a newer one.
    """

    entity: str
    version: int
    key: str
    message_id: str
    only_if_newer: bool = True

    @classmethod
    def told(cls, call: RecordedCall, names: Names) -> tuple[str, str]:
        """Say whether a newer version was there."""
        arguments, result = call.arguments, call.result or {}
        doing = f"writes {arguments['entity']} version {arguments['version']} ({brief_key(names, call)})"
        return doing, "" if result.get("took", True) else f"refused, version {result['version']} is there"


#: How a system refuses a known idempotency key with another call's contents: AWS's own code; Stripe says
#: ``idempotency_error``. https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html
KEY_REUSED = "IdempotentParameterMismatch"


#: How a system refuses a call whose fencing token is older than one that it has seen.
STALE_TOKEN = "StaleFencingToken"  # noqa: S105 - a name, no secret


def stale_token(key: str) -> OperationFailed:
    """Return the refusal of a call with an outdated fencing token."""
    return OperationFailed(STALE_TOKEN, f"a newer fencing token of {key} has been seen", transient=False)


def _token(fencing_token: int | None) -> dict[str, Any]:
    return {} if fencing_token is None else {"fencing_token": fencing_token}


def key_reused(idempotency_key: str) -> OperationFailed:
    """Return the refusal of a known idempotency key that comes with other contents."""
    said = f"the idempotency key {idempotency_key} came with other contents before"
    return OperationFailed(KEY_REUSED, said, transient=False)


@immutable
class ApiAnswer:
    """The answer of a system that honours idempotency keys: the same to a key's second call as to its first.

    Attributes:
        executions: how often the side effect has now been done.
        recognised: the key had been seen before; this call did nothing.
    """

    executions: int
    recognised: bool


@immutable
class CallApi(Operation, part="store", mark=Mark("call with a key", "perform", "world")):
    """Cause the side effect in a system that does it once for each idempotency key. Result: :class:`ApiAnswer`.

    A known idempotency key with another ``key`` is refused for good, with the code ``KEY_REUSED``, and nothing is done.

    Attributes:
        key: the contents of the call: what the side effect is about, and by which executions are counted.
        idempotency_key: identifies the call, whatever process makes it.
    """

    key: str
    message_id: str
    idempotency_key: str
    sequence: int | None = None
    group: str | None = None

    @classmethod
    def told(cls, call: RecordedCall, names: Names) -> tuple[str, str]:
        """Say whether the system knew the key."""
        answer = call.result or {}
        return (
            f"CALLS THE API for {brief_key(names, call)} with the key {call.arguments['idempotency_key']}",
            _KNOWN if answer.get("recognised") else _for_the_nth_time(answer.get("executions")),
        )


_KNOWN = "the API knows the key, and does nothing again"


def _for_the_nth_time(count: int | None) -> str:
    if count is None or count <= 1:
        return ""
    return f"for the {'second' if count == 2 else 'third' if count == 3 else f'{count}th'} time"  # noqa: PLR2004
