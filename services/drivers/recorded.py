"""The recorded driver: every operation leaves its records, and this is where faults strike.

No other place injects a fault, so a handler holds no chaos code, and a history names each fault that struck. What a
fault means stands in ``services.injection``, for real and for simulated processes alike.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn, Protocol

from services.drivers.base import Driver
from services.faults import Fault
from services.history import Recorder
from services.injection import FaultSource, LateRequest, Step, perform_with_faults, record_arrival
from services.operations import Note, Operation, OperationFailed


class FaultHandler(Protocol):
    """Carries out what a fault does to a process."""

    def crash(self) -> NoReturn:
        """End the process as SIGKILL would."""

    def delay(self, seconds: float) -> None:
        """Let time pass; a signal does not cut it short."""

    def later(self, seconds: float, act: Callable[[], None]) -> None:
        """Do something after a time, and return at once."""


class RealFaults:
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

    def later(self, seconds: float, act: Callable[[], None]) -> None:
        """Act in a thread; a process that ends by itself waits for it."""
        threading.Timer(seconds, act).start()


class RecordedDriver:
    """Perform operations through another driver, with records around them and faults among them.

    Attributes:
        inner: performs the operations themselves.
    """

    def __init__(self, inner: Driver, recorder: Recorder, faults: FaultSource, handler: FaultHandler) -> None:
        self.inner = inner
        self._recorder = recorder
        self._faults = faults
        self._handler = handler

    def perform(self, operation: Operation) -> Any:
        """Perform an operation; see :class:`services.drivers.base.Driver`."""
        if isinstance(operation, Note):
            self._recorder.event(operation.event, **operation.details)
        if not operation.recorded:
            return self.inner.perform(operation)

        steps = perform_with_faults(operation, self._recorder, self._faults)
        try:
            step = next(steps)
            while True:
                try:
                    result = self._do(step)
                except OperationFailed as error:
                    step = steps.throw(error)
                else:
                    step = steps.send(result)
        except StopIteration as stop:
            return stop.value

    def _do(self, step: Step) -> Any:
        if isinstance(step, Operation):
            return self.inner.perform(step)
        if isinstance(step, LateRequest):
            self._handler.later(step.seconds, partial(self._arrive, step))
            return None
        assert isinstance(step, Fault)  # noqa: S101 - a plan has no others
        if step.kind == "crash":
            self._handler.crash()
        elif step.kind == "delay":
            self._handler.delay(step.seconds)
        return None

    def _arrive(self, late: LateRequest) -> None:
        """Let a late request take effect; its caller has long been told of a timeout."""
        error = None
        try:
            self.inner.perform(late.operation)
        except OperationFailed as failed:
            error = failed
        record_arrival(self._recorder, late, error)
