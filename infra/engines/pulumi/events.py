"""What the real engine tells while it works, in this project's words: steps, warnings, and why it failed."""

import re
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from infra.engines.engine import Observer
from infra.engines.plan import Operation, Plan, Step

if TYPE_CHECKING:
    from pulumi.automation.events import EngineEvent, StepEventMetadata

_OPERATIONS = {
    "create": Operation.CREATE,
    "update": Operation.UPDATE,
    "delete": Operation.DELETE,
    "same": Operation.SAME,
    # A replacement is three steps of the engine: the new resource is made, the old one is marked, and deleted. The
    # first of them tells the story.
    "create-replacement": Operation.REPLACE,
}
_COLOUR = re.compile(r"<\{%[^%]*%\}>")
_SAYS_NOTHING = frozenset({"update failed", "preview failed", "refresh failed", "destroy failed"})


class Reporter:
    """Turns the engine's events into a plan; is told of them from another thread.

    Args:
        observer: Is told of each step.
        warn: Is told of each warning.
    """

    def __init__(self, observer: Observer, warn: Callable[[str], None]) -> None:
        self.plan = Plan()
        self.errors: list[str] = []
        self._observer = observer
        self._warn = warn
        self._seen: set[tuple[str, Operation]] = set()
        self._lock = threading.Lock()

    def on_event(self, event: "EngineEvent") -> None:
        """Take one event over."""
        with self._lock:
            if event.res_outputs_event is not None:
                self._step(event.res_outputs_event.metadata)
            elif event.diagnostic_event is not None:
                self._message(event.diagnostic_event.severity, event.diagnostic_event.message)

    def _step(self, metadata: "StepEventMetadata") -> None:
        operation = _OPERATIONS.get(metadata.op.value)
        # A component comes once when it is registered and, in a preview, once more with its outputs.
        if operation is None or (metadata.urn, operation) in self._seen:
            return
        self._seen.add((metadata.urn, operation))
        changes = () if operation in (Operation.CREATE, Operation.SAME) else tuple(sorted(metadata.diffs or ()))
        step = Step(operation, metadata.urn, changes)
        self.plan.steps.append(step)
        self._observer(step)

    def _message(self, severity: str, message: str) -> None:
        text = _COLOUR.sub("", message).strip()
        if severity == "warning":
            self._warn(text)
        elif severity == "error" and text.removeprefix("error: ") not in _SAYS_NOTHING:
            self.errors.append(text.removeprefix("error: "))
