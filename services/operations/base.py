"""What all operations have in common, and what each of them declares about itself.

An operation is performed by the method of its own name, in snake case, of one part of a driver: ``RenewClaim`` by
``store.renew_claim``. The record of it holds ``arguments()`` and ``kept_result()``. A report draws it by its ``mark``,
and a counterexample tells it by ``told()``.
"""

from __future__ import annotations

import re
import sysconfig
import traceback
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, fields
from operator import attrgetter
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple, Protocol, TypeAlias, TypeVar, dataclass_transform

Kind = TypeVar("Kind")
Result = TypeVar("Result")
#: The parts of a driver: the SQS queue, the two tables, the outbox, the bucket, and the process itself.
#: A ``program``'s own requests are another's affair: no driver performs them, and only a recording proxy sees them.
#: A ``runtime`` steps tasks, and performs nothing itself.
Part = Literal["queue", "store", "outbox", "payloads", "process", "program", "runtime"]
#: The track of a report's lane: what an operation speaks to.
Track = Literal["queue", "store", "world"]


class OperationFailed(Exception):  # noqa: N818 - the history's own word for it: an operation ends ok or fails
    """An operation was not done, or it is unknown whether it was.

    Attributes:
        code: the error's name as the service gave it, for example ``ThrottlingException``.
        transient: whether the same call may succeed later.
    """

    def __init__(self, code: str, message: str, *, transient: bool) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.transient = transient


class Mark(NamedTuple):
    """How a report draws an operation: its words, the name of its colour, and its track."""

    label: str
    colour: str
    track: Track


class Names(Protocol):
    """The names that a history gives to messages and keys, for people."""

    def name(self, message_id: str) -> str:
        """Return a message's name, such as ``message #3``."""

    def name_of_key(self, key: str) -> str:
        """Return the name of the message that a key is about."""


class RecordedCall(Protocol):
    """An operation as a history holds it."""

    @property
    def arguments(self) -> Mapping[str, Any]:
        """What ``Operation.arguments`` returned."""

    @property
    def result(self) -> Any:
        """What ``Operation.kept_result`` returned; None where it was not done."""

    @property
    def status(self) -> str:
        """``ok``, ``fail`` or ``unknown``."""


#: Where Python's own modules and installed packages lie.
_LIBRARIES = tuple(path for name, path in sysconfig.get_paths().items() if name in ("stdlib", "purelib", "platlib"))

#: The operations by their names, as records have them.
OPERATIONS: dict[str, type[Operation]] = {}


@dataclass_transform(frozen_default=True)
def immutable(kind: type[Kind]) -> type[Kind]:
    """Make a class one of data that does not change: a dataclass with slots.

    A type checker refuses to assign to its fields. Python does not: a frozen dataclass takes ten times as long to make,
    and a simulation makes hundreds of operations and messages in a few milliseconds.
    """
    return dataclass(slots=True, unsafe_hash=True)(kind)


@immutable
class Operation:
    """One call to the outside."""

    #: Whether the history keeps it. Reading a clock or waiting is no fact about the queue.
    recorded: ClassVar[bool] = True
    #: Whether it asks another system, which may refuse it, be slow, or not be heard.
    asks: ClassVar[bool] = True
    #: Which part of a driver performs it.
    part: ClassVar[Part]
    #: The name of that part's method.
    method: ClassVar[str]
    #: How a report draws it.
    mark: ClassVar[Mark] = Mark("", "other", "world")

    def __init_subclass__(cls, part: Part | None = None, mark: Mark | None = None) -> None:
        # A dataclass with slots is made twice, and the second time without these arguments.
        if part is not None:
            cls.part = part
        if mark is not None:
            cls.mark = mark
        cls.method = re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower()
        OPERATIONS[cls.__name__] = cls

    def arguments(self) -> dict[str, Any]:
        """Return what the history keeps of this operation: JSON values, no credentials."""
        return _plain_fields(self)

    def kept_result(self, result: Any) -> Any:
        """Return what the history keeps of its result."""
        return plain(result)

    def subjects(self, _result: Any = None) -> Sequence[Mapping[str, Any]]:
        """Return the facts of each message that the operation is about, by which a fault may choose it."""
        return [self.arguments()]

    @classmethod
    def told(cls, _call: RecordedCall, _names: Names) -> tuple[str, str]:
        """Return a line for people: what a process does, and what comes of it. Empty where there is nothing to say."""
        return "", ""


#: A task of a producer or a consumer: yields operations, is sent their results, returns a value of its own.
Task: TypeAlias = Generator[Operation, Any, Result]
#: The methods that perform the operations, by their classes.
Methods: TypeAlias = dict[type[Operation], Callable[..., Any]]


class Tagged:
    """Marks a result of several shapes: the history keeps the name of its class."""

    __slots__ = ()


def methods_of(parts: Mapping[Part, Any]) -> Methods:
    """Return the methods of a driver's parts that perform operations; those of a part that is absent are left out."""
    return {kind: getattr(parts[kind.part], kind.method) for kind in OPERATIONS.values() if kind.part in parts}


def place_of(error: BaseException) -> str:
    """Return where an error was raised, as ``file:line in function``; empty for one that has no traceback.

    What a library raises is placed where the library was called.
    """
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return ""
    own = [frame for frame in frames if not frame.filename.startswith(_LIBRARIES)]
    last = (own or frames)[-1]
    return f"{Path(last.filename).name}:{last.lineno} in {last.name}"


def no_operation(task: Any, given: object) -> str:
    """Return the sentence about a task that yields what is no operation: it names the innermost generator."""
    while isinstance(getattr(task, "gi_yieldfrom", None), Generator):
        task = task.gi_yieldfrom
    said = f"{given!r}, which is no operation"
    if (frame := getattr(task, "gi_frame", None)) is None:
        return f"A task yields {said}; yield one of services.operations."
    code = frame.f_code
    name = getattr(code, "co_qualname", code.co_name)
    place = f"{Path(code.co_filename).name}:{frame.f_lineno}"
    return f"{name} yields {said} ({place}); yield one of services.operations."


def not_a_task(consumer: object, method: str, given: object) -> str:
    """Return the sentence about a method that has to be a generator, and is none."""
    kind = type(consumer)
    name = f"{kind.__module__}:{kind.__qualname__}.{method}"
    return f"{name} returns {given!r}, and has to be a generator: let it yield operations of services.operations."


def brief_name(names: Names, message_id: str) -> str:
    """Return a message's name within a line about messages."""
    return names.name(message_id).removeprefix("message ")


def brief_key(names: Names, call: RecordedCall) -> str:
    """Return the name of what a call's key is about."""
    return names.name_of_key(call.arguments["key"]).removeprefix("message ")


_SCALARS = frozenset({str, int, float, bool, type(None)})
#: Annotations of fields that JSON holds as they are.
_PLAIN_TYPES = frozenset({"str", "int", "float", "bool", "str | None", "int | None", "float | None"})


def plain(value: Any) -> Any:
    """Return a value as JSON can hold it: dataclasses as objects, tuples as lists."""
    kind = type(value)
    if kind in _SCALARS:
        return value
    if kind is tuple or kind is list:
        return [plain(item) for item in value]
    if hasattr(kind, "__dataclass_fields__"):
        named = _plain_fields(value)
        return {"type": kind.__name__, **named} if isinstance(value, Tagged) else named
    if isinstance(value, Mapping):
        return {str(name): item if type(item) in _SCALARS else plain(item) for name, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, tuple | list) else value


def _plain_fields(value: Any) -> dict[str, Any]:
    kind = type(value)
    layout = _layouts.get(kind)
    if layout is None:
        layout = _layouts[kind] = _layout(kind)
    kept = dict(zip(layout.names, layout.read(value), strict=True))
    for name in layout.others:
        kept[name] = plain(kept[name])
    return kept


class _Layout(NamedTuple):
    """The fields of a dataclass: all of them, what reads them, and those that JSON may not hold as they are."""

    names: tuple[str, ...]
    read: Callable[[Any], tuple[Any, ...]]
    others: tuple[str, ...]


#: By dataclass: ``dataclasses.fields`` would look for its fields anew at each record.
_layouts: dict[type[Any], _Layout] = {}


def _layout(kind: type[Any]) -> _Layout:
    known = fields(kind)
    names = tuple(item.name for item in known)
    others = tuple(item.name for item in known if item.type not in _PLAIN_TYPES)
    if len(names) > 1:
        return _Layout(names, attrgetter(*names), others)
    return _Layout(names, lambda value: tuple(getattr(value, name) for name in names), others)
