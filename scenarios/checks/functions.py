"""Lambda consumers: a function at an event source mapping, its settings, and the invocation as an operation.

The poller is AWS's service. It receives, invokes and deletes, and it survives what kills the function. In a history
both bear one name, the consumer's: the mapping's operations are ``Receive``, ``InvokeFunction`` and ``Delete``, and
between an invocation's two records stand the handler's own.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from scenarios.errors import LabError, RequestError
from services.faults import Fault
from services.operations import Mark, Operation
from services.operations.base import Names, RecordedCall, brief_name, immutable

#: AWS's default, in seconds. https://docs.aws.amazon.com/lambda/latest/dg/configuration-timeout.html
DEFAULT_TIMEOUT = 3


@immutable
class InvokeFunction(Operation, part="program", mark=Mark("invoke", "other", "store")):
    """One batch handed to the function.

    Attributes:
        messages: the MessageIds of the batch.
        attempt: 1, or more after a throttle.
    """

    messages: tuple[str, ...]
    attempt: int = 1

    @classmethod
    def told(cls, call: RecordedCall, names: Names) -> tuple[str, str]:
        """Name the messages, and say what the function made of them."""
        doing = f"invokes the function with {', '.join(brief_name(names, item) for item in call.arguments['messages'])}"
        failed = (call.result or {}).get("failed", ())
        return doing, f"{len(failed)} of them failed" if failed else ""


@dataclass(frozen=True, slots=True)
class FunctionSettings:
    """How a function and its mapping are set up, by AWS's names and with AWS's defaults.

    Attributes:
        batch_size: messages in a batch; None for as many as the scenario has its consumer receive.
        batch_window: seconds for which a batch is gathered.
        report_batch_item_failures: the answer names the messages that failed.
        maximum_concurrency: batches at once of the mapping; None for AWS's own limit.
        reserved_concurrency: invocations at once of the function; None for none reserved.
        filters: patterns as JSON texts; a message that none matches is deleted without an invocation.
        function_timeout: seconds; None for AWS's default, or the queue's visibility timeout where that is shorter.
        memory: MB, told to the function.
    """

    batch_size: int | None = None
    batch_window: int = 0
    report_batch_item_failures: bool = False
    maximum_concurrency: int | None = None
    reserved_concurrency: int | None = None
    filters: tuple[str, ...] = ()
    function_timeout: int | None = None
    memory: int = 128

    def changed(self, changes: Mapping[str, Any]) -> FunctionSettings:
        """Return the settings with some of them changed."""
        return replace(self, **changes)

    def timeout_at(self, visibility_timeout: float) -> int:
        """Return the function's timeout at a queue, in seconds."""
        if self.function_timeout is not None:
            return self.function_timeout
        return min(DEFAULT_TIMEOUT, int(visibility_timeout))


@dataclass(frozen=True, slots=True)
class Handler:
    """A handler of the user's own.

    Attributes:
        handler: ``module.function``, or the path of a program that speaks the Runtime API.
        runtime: ``python``, ``node`` or ``provided``; None tells it by the handler's form.
        code: where its code lies.
        settings: what the user has set of ``FunctionSettings``.
    """

    handler: str
    runtime: str | None = None
    code: Path = Path()
    settings: Mapping[str, Any] = field(default_factory=dict)

    def words(self) -> list[str]:
        """Return the options that name this handler on a command line."""
        words = [f"--handler {shlex.quote(self.handler)}"]
        if self.runtime:
            words.append(f"--runtime {self.runtime}")
        if self.code != Path():
            words.append(f"--code {shlex.quote(str(self.code))}")
        for name, value in self.settings.items():
            option = name.removesuffix("s") if name == "filters" else name
            option = f"--{option.replace('_', '-')}"
            if name == "filters":
                words += [f"{option} {shlex.quote(each)}" for each in value]
            elif value is True:
                words.append(option)
            else:
                words.append(f"{option} {value}")
        return words


@dataclass(frozen=True, slots=True)
class Function:
    """A function as a run deploys it: whose code, its settings, and its environment variables beside the lab's."""

    handler: Handler
    settings: FunctionSettings
    variables: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FunctionStage:
    """What a scenario of Lambda consumers stages.

    Attributes:
        staged: settings that are part of the scenario, whoever's handler it is.
        pattern: settings that belong to the pattern under study, which our handler has and a user's may lack.
    """

    staged: Mapping[str, Any] = field(default_factory=dict)
    pattern: Mapping[str, Any] = field(default_factory=dict)


def check_handler(handler: Handler) -> None:
    """Refuse a handler that is not there.

    Raises:
        RequestError: its directory or its program is not there, or it is neither a program nor ``module.function``.
    """
    if not handler.code.is_dir():
        raise RequestError(f"--code is the directory of the handler's code, and {handler.code} is none.")
    if handler.runtime == "provided" or (handler.runtime is None and "/" in handler.handler):
        program = handler.code / handler.handler
        if not program.is_file():
            raise RequestError(
                f"--handler names the program {handler.handler}, and {program} is no file; give its path from --code."
            )
    elif "." not in handler.handler.strip("."):
        raise RequestError(
            f"--handler is module.function, such as app.handler, or the path of a program such as ./bootstrap, and is "
            f"{handler.handler!r}."
        )


#: Batches at once where neither the scenario nor the user says: a consumer of a scenario is no fleet.
DEFAULT_MAXIMUM_CONCURRENCY = 2
#: How much longer a scenario's timeouts last on the wall with a handler: AWS wants a visibility timeout of several
#: function timeouts, and a function takes a second to start.
STRETCH = 2.5
#: The speed of a scenario of functions: they start and end on the wall clock of a machine that may be busy.
FUNCTION_SPEED = 0.5
#: Its speed on a machine that has processors to spare: an invocation takes a hundredth of a second there.
FREE_FUNCTION_SPEED = 2.0
#: The operations that the mapping performs; a handler performs the others.
OF_MAPPING = frozenset({"Receive", "InvokeFunction", "Delete"})


def split_faults(faults: Sequence[Fault]) -> tuple[list[dict[str, Any]], list[Fault]]:
    """Return the faults of the mapping and its invocations as the endpoint has them, and those of the handler's calls.

    Raises:
        LabError: one can strike neither.
    """
    of_mapping, of_handler = [], []
    for fault in faults:
        if fault.operation in OF_MAPPING:
            of_mapping.append(_as_function_fault(fault))
        else:
            of_handler.append(fault)
    return of_mapping, of_handler


#: By operation, kind and point: what the endpoint calls it. A receive's end is the beginning of an invocation.
_KINDS: Mapping[tuple[str, str, str], str] = {
    ("Receive", "crash", "after"): "crash-before",
    ("InvokeFunction", "crash", "before"): "crash-before",
    ("InvokeFunction", "crash", "during"): "crash-during",
    ("InvokeFunction", "crash", "after"): "crash-after",
    ("Delete", "crash", "before"): "crash-after",
    ("InvokeFunction", "timeout", ""): "hang",
    ("InvokeFunction", "reply-lost", ""): "answer-lost",
    ("InvokeFunction", "throttle", ""): "throttle",
    ("InvokeFunction", "cold-start", ""): "cold-start",
    ("Delete", "error", ""): "delete-failed",
    ("Delete", "partial-failure", ""): "delete-failed",
}


def _as_function_fault(fault: Fault) -> dict[str, Any]:
    point = fault.point if fault.kind == "crash" else ""
    kind = _KINDS.get((fault.operation, fault.kind, point))
    if kind is None:
        raise LabError(f"A {fault.kind} {point} {fault.operation} cannot be staged with a Lambda function.")
    return {"kind": kind, "at": fault.nth, "seconds": fault.seconds, "entries": list(fault.entries)}
