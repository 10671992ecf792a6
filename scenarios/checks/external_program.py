"""Consumers of any make: a command line in the place of our own consumer, and what can be seen of it from outside.

Our consumer records what it does. An external program knows nothing of the lab; a proxy records its calls to AWS (see
``scenarios.local.recording_proxy``), so its history holds the operations of ``SEEN`` and no others. A check that needs
any other operation is not judged, and the verdict names it.
"""

from __future__ import annotations

import re
import shlex
import shutil
from collections.abc import Iterable

from scenarios.errors import RequestError
from services.operations import Mark, Operation
from services.operations.base import Names, RecordedCall, immutable

#: The operations that every consumer does in the open: those of the queue, and those of the external system.
SEEN = frozenset(
    {
        *("Receive", "Delete", "ChangeVisibility", "Send", "LookUpSideEffect", "PerformSideEffect"),
        *("ReadLedger", "ReadState", "WriteState", "FetchObject", "RemoveObject"),
    }
)


@immutable
class OtherRequest(Operation, part="program", mark=Mark("other request", "other", "store")):
    """A request of a program's that is neither about its queue's messages nor about the ledger.

    Attributes:
        service: such as ``dynamodb``.
        action: such as ``UpdateItem``; of other protocols the HTTP method.
        resource: the name of the table, queue or path.
    """

    service: str
    action: str
    resource: str


@immutable
class WriteFile(Operation, part="program", mark=Mark("write to a file", "other", "store")):
    """The moment at which a program begins to write to a file that its side effects lie in.

    Attributes:
        file: its name: that of an SQLite database, or of a log.
    """

    asks = False
    file: str

    @classmethod
    def told(cls, call: RecordedCall, _names: Names) -> tuple[str, str]:
        """Say where it writes."""
        return f"begins to write to {call.arguments['file']}", ""


@immutable
class ReadLedger(Operation, part="program", mark=Mark("read of the ledger", "lookup", "world")):
    """A look into the ledger for any number of side effects at once. Result: the keys that it may have found.

    Where an answer tells no key, the keys that the request names may be found.

    Attributes:
        action: such as ``Query``.
    """

    action: str


@immutable
class ReadState(Operation, part="program", mark=Mark("read of a version", "lookup", "world")):
    """A look at the state of an entity. Result: the version that is there; None where there is none."""

    entity: str

    @classmethod
    def told(cls, call: RecordedCall, _names: Names) -> tuple[str, str]:
        """Say which version is there."""
        there = "nothing is there" if call.result is None else f"version {call.result} is there"
        return f"reads {call.arguments['entity']}", there if call.status == "ok" else ""


@immutable
class Recognised:
    """The answer of an HTTP API to a call whose idempotency key it has seen: that of the first, and nothing is done.

    Attributes:
        executions: how often the side effect has been done; the API does not say.
        recognised: always.
    """

    executions: None = None
    recognised: bool = True


_CLASS = re.compile(r"\w+(\.\w+)*:\w+")


def is_program(consumer: str) -> bool:
    """Return whether ``--consumer`` names a program, and no class of ours as ``module:Class``."""
    return bool(consumer.strip()) and not _CLASS.fullmatch(consumer.strip())


def command_line(consumer: str) -> tuple[str, ...]:
    """Return a program and its arguments; no shell reads them.

    Raises:
        RequestError: it is no command line, or there is no such program.
    """
    try:
        words = tuple(shlex.split(consumer))
    except ValueError as error:
        raise RequestError(f"--consumer {consumer!r} is no command line: {error}.") from None
    if not words or not shutil.which(words[0]):
        raise RequestError(
            f"--consumer is neither module:Class nor a program: {words[0] if words else consumer!r} is not there, "
            "or cannot be executed."
        )
    return words


def check_class(consumer: str) -> None:
    """Refuse a program where a consumer's own code is stepped.

    Raises:
        RequestError: it is a program.
    """
    if is_program(consumer):
        raise RequestError(
            f"The simulated tier steps a consumer's code, and --consumer {consumer!r} is no module:Class such as "
            "my_project.consumers:Careful; programs run in the local tier, and in `invoke explore`."
        )


def unseen(operations: Iterable[str], *, function: bool = False) -> tuple[str, ...]:
    """Return those operations that cannot be seen from outside a consumer; of a function the invocations can."""
    seen = SEEN | {"InvokeFunction"} if function else SEEN
    return tuple(name for name in operations if name not in seen)
