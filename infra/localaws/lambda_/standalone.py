"""A function at a queue for daily work: ``python -m infra.localaws --lambda app.handler --queue orders``."""

import argparse
import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TextIO

from infra.localaws.config import EndpointError
from infra.localaws.lambda_.api import LambdaApi
from infra.localaws.lambda_.code import Code
from infra.localaws.lambda_.config import RUNTIMES, FunctionConfig, runtime_of
from infra.localaws.lambda_.errors import LambdaError
from infra.localaws.lambda_.function import Function
from infra.localaws.lambda_.limits import (
    DEFAULT_BATCH_SIZE,
    DEFAULT_MEMORY_MB,
    DEFAULT_TIMEOUT_SECONDS,
    MAX_TIMEOUT_SECONDS,
)
from infra.localaws.lambda_.runner import MappingRunner
from infra.localaws.lambda_.settings import MappingSettings
from infra.localaws.sqs.errors import SqsError
from infra.localaws.sqs.limits import DEFAULT_VISIBILITY_SECONDS
from infra.localaws.sqs.model import FIFO_SUFFIX

REFRESH_SECONDS: Final = 0.2
SAY_SECONDS: Final = 1.0
"""Seconds between two progress lines where the output is no terminal."""
LOOK_SECONDS: Final = 0.3
"""Seconds between two looks at the code."""
MAX_WATCHED: Final = 5_000
SKIPPED: Final = frozenset({"node_modules", "__pycache__", "venv"})


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of a function at a queue."""
    group = parser.add_argument_group(
        "a Lambda function at a queue", "The options bear the names and defaults of AWS's event source mapping."
    )
    group.add_argument(
        "--lambda",
        dest="handler",
        metavar="HANDLER",
        help="module.function, or the path of a program such as ./bootstrap",
    )
    group.add_argument("--queue", metavar="NAME", help="the queue that it reads; created at the start")
    group.add_argument(
        "--runtime", choices=sorted(RUNTIMES), help="what runs the handler; told by its form if left out"
    )
    group.add_argument("--code", type=Path, default=Path(), metavar="DIR", help="where the handler's code lies")
    group.add_argument("--batch-size", type=int, default=DEFAULT_BATCH_SIZE, metavar="N", help="messages in a batch")
    group.add_argument("--batch-window", type=int, default=0, metavar="SECONDS", help="how long a batch is gathered")
    group.add_argument(
        "--report-batch-item-failures", action="store_true", help="the handler's answer names the messages that failed"
    )
    group.add_argument("--maximum-concurrency", type=int, metavar="N", help="batches at once, 2 to 1000")
    group.add_argument("--reserved-concurrency", type=int, metavar="N", help="invocations at once; above it: throttled")
    group.add_argument("--filter", action="append", default=[], metavar="JSON", help="an event filter; may be repeated")
    group.add_argument(
        "--function-timeout",
        type=int,
        default=DEFAULT_TIMEOUT_SECONDS,
        metavar="SECONDS",
        help="after which the function is killed",
    )
    group.add_argument("--memory", type=int, default=DEFAULT_MEMORY_MB, metavar="MB", help="told to the function only")
    group.add_argument(
        "--visibility-timeout",
        type=int,
        default=DEFAULT_VISIBILITY_SECONDS,
        metavar="SECONDS",
        help="of the queue",
    )


def check_options(options: argparse.Namespace) -> None:
    """Raise EndpointError if the options do not describe a function at a queue, or nothing of the kind."""
    if options.handler is None and options.queue is None:
        return
    if options.handler is None or options.queue is None:
        raise EndpointError("A function needs both: --lambda HANDLER and --queue NAME.")
    if not options.code.is_dir():
        raise EndpointError(f"--code is the directory of the handler's code, and {options.code} is none.")
    if not 1 <= options.function_timeout <= MAX_TIMEOUT_SECONDS:
        raise EndpointError(
            f"--function-timeout is from 1 to {MAX_TIMEOUT_SECONDS} seconds, not {options.function_timeout}."
        )


def attach(api: LambdaApi, options: argparse.Namespace, output: TextIO) -> "Attached":
    """Create the queue, and map it to the function.

    Raises:
        EndpointError: SQS or Lambda refuses.
    """
    service = api.service
    model = service.queues.model
    fifo = options.queue.endswith(FIFO_SUFFIX)
    attributes = {"VisibilityTimeout": str(options.visibility_timeout)}
    if fifo:
        attributes |= {"FifoQueue": "true", "ContentBasedDeduplication": "true"}
    try:
        settings = MappingSettings(
            batch_size=options.batch_size,
            window=options.batch_window,
            report_item_failures=options.report_batch_item_failures,
            maximum_concurrency=options.maximum_concurrency,
            filters=tuple(options.filter),
        )
        settings.check_against(
            fifo=fifo, visibility_timeout=options.visibility_timeout, function_timeout=options.function_timeout
        )
        config = _config(options, f"arn:aws:lambda:{model.region}:{model.account}:function:")
        function = service.deploy(config, Code(config.directory, "", 0), {})
        if options.reserved_concurrency is not None:
            service.concurrency.reserve(config.name, options.reserved_concurrency)
        model.create_queue(options.queue, attributes)
        mapped = service.map_queue(settings, options.queue, config.name)
    except (LambdaError, SqsError) as error:
        raise EndpointError(f"{options.handler} cannot read {options.queue}: {error}") from None
    return Attached(api, function, mapped.runner, output)


class Attached:
    """A function at a queue, with what a terminal shows of it.

    Args:
        api: the endpoint's Lambda.
        function: the function.
        runner: drives its mapping.
        output: where log and progress go.
    """

    def __init__(self, api: LambdaApi, function: Function, runner: MappingRunner, output: TextIO) -> None:
        self._api = api
        self._function = function
        self._runner = runner
        self._output = output
        self._is_terminal = output.isatty()
        self._shown = ""
        self._said_at = 0.0
        self._timers: dict[Callable[[], None], asyncio.TimerHandle] = {}
        self._watch = Watch(function.config.directory, function.config.program)

    def start(self) -> None:
        """Poll, show, and watch the code."""
        self._api.logs.on_line = self._show_line
        self._runner.step()
        self._show_progress()
        self._look()

    def stop(self) -> None:
        """Show no more."""
        for timer in self._timers.values():
            timer.cancel()
        self._api.logs.on_line = None
        self._clear()

    # Within

    def _again(self, seconds: float, act: Callable[[], None]) -> None:
        self._timers[act] = asyncio.get_running_loop().call_later(seconds, act)

    def _look(self) -> None:
        changed = self._watch.changed()
        if changed is not None:
            self._function.reconfigure(self._function.config)
            self._show_line(f"{changed} has changed: the next invocation is a cold start with the new code.")
        self._again(LOOK_SECONDS, self._look)

    def _show_line(self, line: str) -> None:
        self._clear()
        self._output.write(f"{line}\n")
        if self._is_terminal:
            self._output.write(self._shown)
        self._output.flush()

    def _show_progress(self) -> None:
        text = self._progress()
        now = time.monotonic()
        if self._is_terminal:
            self._clear()
            self._output.write(text)
            self._output.flush()
            self._shown = text
        elif text != self._shown and now - self._said_at >= SAY_SECONDS:
            self._output.write(f"{text}\n")
            self._output.flush()
            self._shown, self._said_at = text, now
        self._again(REFRESH_SECONDS, self._show_progress)

    def _progress(self) -> str:
        counts, model = self._runner.counts, self._api.service.queues.model
        name = self._runner.mapping.queue.name
        try:
            there = model.queue(name).counts(model.now())
        except SqsError:
            return f"{name} is gone"
        return (
            f"{name}: {there.visible} visible, {there.in_flight} in flight, {there.delayed} delayed | "
            f"{counts.answered} batches answered, {counts.failed} failed, {counts.throttled} throttled | "
            f"{counts.deleted} messages deleted"
        )

    def _clear(self) -> None:
        if self._is_terminal and self._shown:
            self._output.write("\r\x1b[2K")


@dataclass(slots=True)
class Watch:
    """Tells which file of a function's code has changed since the last look.

    Attributes:
        directory: the code; hidden directories, virtual environments and installed packages are passed over.
        program: looked at alone, where the function is a program.
    """

    directory: Path
    program: Path | None = None
    _seen: dict[Path, tuple[int, int]] | None = None

    def changed(self) -> str | None:
        """Return the name of a file that was changed, added or removed; None at the first look, or if none was."""
        now = dict(self._stamps())
        before, self._seen = self._seen, now
        if before is None or before == now:
            return None
        return next(path.name for path in [*now, *before] if now.get(path) != before.get(path))

    def _stamps(self) -> Iterator[tuple[Path, tuple[int, int]]]:
        paths = [self.program] if self.program is not None else _files(self.directory)
        for count, path in enumerate(paths):
            try:
                stat = path.stat()
            except OSError:
                continue
            yield path, (stat.st_mtime_ns, stat.st_size)
            if count >= MAX_WATCHED:
                return


def _files(directory: Path) -> Iterator[Path]:
    for path in sorted(directory.iterdir()):
        if path.name.startswith(".") or path.name in SKIPPED:
            continue
        if path.is_dir():
            if not (path / "pyvenv.cfg").exists():
                yield from _files(path)
        else:
            yield path


def _config(options: argparse.Namespace, prefix: str) -> FunctionConfig:
    path = Path(options.handler)
    runtime, program = runtime_of(options.handler, options.runtime, options.code)
    name = "".join(letter if letter.isalnum() else "-" for letter in path.name if letter.isascii()) or "function"
    return FunctionConfig(
        name,
        prefix + name,
        runtime,
        options.handler,
        options.code.resolve(),
        options.function_timeout,
        options.memory,
        program=program,
        inherits=True,
    )
