"""The recorded driver: every operation leaves its records, and this is where faults strike.

    invoke ── crash before ── delay ── error ── the operation itself ── reply lost ── ok or fail ── crash after
                                                   └ or a part of it

No other place injects a fault, so a handler holds no chaos code, and a history names each fault that struck.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any, NoReturn, Protocol

from services.batches import CutBatch
from services.drivers.base import Driver
from services.faults import TIMEOUT, Fault, FaultPlan
from services.history import Recorder
from services.operations import Note, Operation, OperationFailed


class Strikes(Protocol):
    """How a fault is carried out: for real in a process, by the scheduler in simulated time."""

    def crash(self) -> NoReturn:
        """End the process as SIGKILL would."""

    def delay(self, seconds: float) -> None:
        """Let time pass; a signal does not cut it short."""


class RealStrikes:
    """Strike this very process."""

    def __init__(self, sleep: Callable[[float], None]) -> None:
        self._sleep = sleep

    def crash(self) -> NoReturn:
        """Kill this process with SIGKILL: no handler runs, no buffer is flushed, no connection is closed."""
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("a process outlived its SIGKILL")  # pragma: no cover - the kernel sees to it

    def delay(self, seconds: float) -> None:
        """Sleep."""
        self._sleep(seconds)


class RecordedDriver:
    """Perform operations through another driver, with records around them and faults among them.

    Attributes:
        inner: that driver; what is performed by it leaves no record.
    """

    def __init__(self, inner: Driver, recorder: Recorder, faults: FaultPlan, strikes: Strikes) -> None:
        self.inner = inner
        self._recorder = recorder
        self._faults = faults
        self._strikes = strikes

    def perform(self, operation: Operation) -> Any:
        """Perform an operation; see :class:`services.drivers.base.Driver`."""
        if isinstance(operation, Note):
            self._recorder.event(operation.event, **operation.details)
        if not operation.recorded:
            return self.inner.perform(operation)

        invocation = self._recorder.invoke(operation)
        try:
            refused: set[int] = set()
            for fault in self._faults.before(operation):
                self._strike(fault, invocation, operation)
                refused.update(fault.entries)
            cut = CutBatch(operation, refused, "an injected fault")
            result = cut.answer(None if cut.rest is None else self.inner.perform(cut.rest))
            for fault in self._faults.losing_the_reply(operation, result):
                self._strike(fault, invocation, operation)
        except OperationFailed as error:
            self._recorder.fail(invocation, operation, error)
            raise
        self._recorder.ok(invocation, operation, result)
        for fault in self._faults.after(operation, result):
            self._strike(fault, invocation, operation)
        return result

    def _strike(self, fault: Fault, invocation: int, operation: Operation) -> None:
        self._recorder.fault(invocation, operation, fault.as_json())
        match fault.kind:
            case "crash":
                self._strikes.crash()
            case "delay":
                self._strikes.delay(fault.seconds)
            case "error":
                raise OperationFailed(fault.code, "an injected fault", transient=True)
            case "reply-lost":
                raise OperationFailed(TIMEOUT, "the reply was lost", transient=True)
