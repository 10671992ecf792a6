"""The AWS driver: performs operations through boto3, on real AWS or on any endpoint that speaks its protocols.

One table from operation to method; the queue's part and the store's part stand in modules of their own.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from services.drivers.aws_errors import as_operation_failed
from services.drivers.payloads import Payloads
from services.drivers.queue import Queue
from services.drivers.store import Store
from services.operations import (
    AppendToLog,
    CallApi,
    ChangeVisibility,
    CheckTables,
    Claim,
    CommitChange,
    Complete,
    Delete,
    DescribeQueue,
    FetchObject,
    ListObjects,
    LookUpSideEffect,
    MarkSent,
    Note,
    Operation,
    OperationFailed,
    PerformSideEffect,
    Purge,
    PutObject,
    ReadClock,
    ReadOutbox,
    ReadWallClock,
    Receive,
    ReleaseClaim,
    RemoveObject,
    RenewClaim,
    Send,
    Sleep,
    WriteState,
)

log = logging.getLogger("services")


class AwsDriver:
    """Perform operations for real.

    Args:
        queue: the one queue of this process.
        store: the tables; None for a process that has none (a producer).
        wake: set at shutdown; it cuts every Sleep short.
        payloads: the bucket; None for a process that has none.
    """

    def __init__(
        self,
        queue: Queue,
        store: Store | None = None,
        wake: threading.Event | None = None,
        payloads: Payloads | None = None,
    ) -> None:
        self._wake = wake or threading.Event()
        self._methods: dict[type[Operation], Callable[[Any], Any]] = {
            DescribeQueue: queue.describe,
            Receive: queue.receive,
            Delete: queue.delete,
            ChangeVisibility: queue.change_visibility,
            Send: queue.send,
            Purge: queue.purge,
            AppendToLog: _append_to_log,
            Sleep: self._sleep,
            ReadClock: lambda _: time.monotonic(),
            ReadWallClock: lambda _: time.time(),
            Note: _log,
        }
        if store is not None:
            self._methods |= {
                CheckTables: store.check_tables,
                Claim: store.claim,
                RenewClaim: store.renew,
                ReleaseClaim: store.release,
                Complete: store.complete,
                LookUpSideEffect: store.look_up_side_effect,
                PerformSideEffect: store.perform_side_effect,
                WriteState: store.write_state,
                CallApi: store.call_api,
                CommitChange: store.outbox.commit,
                ReadOutbox: store.outbox.read,
                MarkSent: store.outbox.mark_sent,
            }

        if payloads is not None:
            self._methods |= {
                PutObject: payloads.put,
                FetchObject: payloads.fetch,
                RemoveObject: payloads.remove,
                ListObjects: payloads.keys,
            }

    def perform(self, operation: Operation) -> Any:
        """Perform an operation; see :class:`services.drivers.base.Driver`."""
        method = self._methods[type(operation)]
        try:
            return method(operation)
        except OperationFailed:
            raise
        except Exception as error:
            raise as_operation_failed(error) from error

    def _sleep(self, operation: Sleep) -> bool:
        if operation.uninterrupted:
            time.sleep(operation.seconds)
            return True
        return not self._wake.wait(operation.seconds)


def _append_to_log(operation: AppendToLog) -> None:
    # One write of a whole line to a file opened for appending: lines of several processes do not mix.
    with Path(operation.path).open("ab", buffering=0) as file:
        file.write(operation.line.encode() + b"\n")


def _log(note: Note) -> None:
    said = " ".join(f"{name}={value}" for name, value in cast("dict[str, Any]", note.details).items())
    log.log(note.level, "%s %s", note.event, said)
