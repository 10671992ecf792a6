"""The program as the SDK's language server runs it: errors as sentences, and nothing left open afterwards.

The engine ends while the program still runs when a resource fails. The SDK's language server then fails as well: it
logs to the engine that is gone, and leaves the program's event loop unclosed and its traceback to gRPC's logger.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import grpc
import pulumi
from google.protobuf import empty_pb2
from pulumi.runtime.settings import get_engine

from infra.errors import InfraError

END_SECONDS = 5.0
"""Seconds for the language server's thread to come to its end once the engine has."""
_PAUSE = 0.01
_GRPC_LOG = logging.getLogger("grpc._server")


class InlineProgram:
    """A program to be handed to the Automation API.

    Args:
        program: The program.
    """

    def __init__(self, program: Callable[[], None]) -> None:
        self._program = program
        self._loops: list[asyncio.AbstractEventLoop] = []

    def __call__(self) -> None:
        """Run it, in the event loop that the language server has made.

        Raises:
            RunError: A user's error, whose sentence Pulumi prints without a traceback.
        """
        self._loops.append(asyncio.get_event_loop())
        _log_only_while_the_engine_listens()
        try:
            self._program()
        except InfraError as error:
            raise pulumi.RunError(str(error)) from None

    @contextmanager
    def cleaned_up(self) -> Iterator[None]:
        """Close at the end of a ``with`` block what the language server has left open."""
        level = _GRPC_LOG.level
        _GRPC_LOG.setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            while self._loops:
                _close(self._loops.pop())
            _GRPC_LOG.setLevel(level)


def _log_only_while_the_engine_listens() -> None:
    engine = get_engine()
    if engine is None:
        return
    log = engine.Log

    def log_if_it_listens(request: object) -> object:
        try:
            answer: object = log(request)
        except grpc.RpcError:
            return empty_pb2.Empty()
        return answer

    engine.Log = log_if_it_listens


def _close(loop: asyncio.AbstractEventLoop) -> None:
    deadline = time.monotonic() + END_SECONDS
    while not loop.is_closed() and time.monotonic() < deadline:
        if loop.is_running():
            time.sleep(_PAUSE)
            continue
        # The language server's thread may be about to do the same: who comes second is refused, and looks again.
        with suppress(RuntimeError):
            loop.run_until_complete(_cancel_all_tasks())
            loop.close()


async def _cancel_all_tasks() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
