"""Python code of any make in this very process, one turn at a time: what it asks for ends its turn.

    scheduler ── resume ──▶ the handler computes ── asks for an HTTP answer, or sleeps ──▶ scheduler
        ▲                                                                                    │
        └──────────────────────────── virtual time passes, faults strike ◀───────────────────┘

The handler is an ordinary function on a greenlet of its own. During its turn, and at no other time, the functions by
which Python code reads the time, sleeps, draws random bytes and opens connections are the simulation's.
"""

from __future__ import annotations

import asyncio
import ctypes
import io
import os
import random
import selectors
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache, partial
from http import HTTPStatus
from importlib.machinery import SourceFileLoader
from itertools import islice
from math import inf
from types import ModuleType
from typing import Any, Final, NamedTuple, NoReturn, cast
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

import boto3
import botocore.hooks
import botocore.httpsession
import botocore.session
import time_machine
from botocore.awsrequest import AWSPreparedRequest, AWSResponse, HeadersDict
from botocore.client import BaseClient
from botocore.exceptions import ConnectionClosedError, ReadTimeoutError
from botocore.hooks import EventAliaser
from botocore.model import OperationModel
from greenlet import getcurrent, greenlet

from infra.localaws.http import HttpConnection, Response
from infra.localaws.http import Request as WireRequest

#: Where a handler's requests are read: nothing listens there, since no request leaves the process.
HOST, PORT = "127.0.0.1", 1
URL: Final = f"http://{HOST}:{PORT}"
#: Seconds for which botocore waits for an answer, where its user says nothing.
READ_TIMEOUT: Final = 60.0
#: Real seconds in which a handler's turn must end.
COMPUTING = 30.0
#: The last lines that a handler has printed are kept, for whoever has to say what is wrong with it.
LINES: Final = 30


class Killed(BaseException):
    """End the handler's code where it stands, as SIGKILL would; whatever it then asks for raises this again."""


class ExitedError(BaseException):
    """The handler ended its process."""


@dataclass(slots=True, eq=False)
class Asked:
    """What a handler waits for: an answer, or a moment.

    Attributes:
        until: the moment, or when it gives up waiting for the answer; seconds of its monotonic clock.
        request: what it asks; None where it only sleeps.
        is_open: whether it still waits.
    """

    until: float
    request: WireRequest | None = None
    is_open: bool = True


class Log(io.TextIOBase):
    """What a handler prints; the last lines of it."""

    def __init__(self) -> None:
        self.lines: deque[str] = deque(maxlen=LINES)
        self._rest = ""

    def write(self, text: str) -> int:
        """Take a text in."""
        *whole, self._rest = (self._rest + text).split("\n")
        self.lines.extend(whole)
        return len(text)

    def last(self) -> list[str]:
        """Return the last lines."""
        return [line for line in (*self.lines, self._rest) if line]


def _ignore(_asked: Asked) -> None:
    """Do nothing: no other thread knows of it."""


def _refuse_thread(_thread: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


@dataclass(slots=True, eq=False)
class Surroundings:
    """What a handler's code finds around it, and leaves there: an execution environment's own.

    Attributes:
        variables: the environment variables, as bytes.
        path: the directory that is searched first for modules.
        owns: tells by a module's name whether it is loaded anew in each environment.
        modules: its own modules, by their names.
        log: what it prints.
        start_thread: starts a thread of its own.
        has_threads: tells whether one of them is at work.
        selects: the code that waits in an event loop, and its wait.
    """

    variables: dict[bytes, bytes]
    path: str
    owns: Callable[[str], bool]
    modules: dict[str, ModuleType]
    log: Log = field(default_factory=Log)
    start_thread: Callable[[threading.Thread], None] = _refuse_thread
    has_threads: Callable[[], bool] = bool
    selects: list[tuple[Turns, Asked]] = field(default_factory=list)

    def wake_selects(self) -> None:
        """Have the event loops look again: another thread may have called them."""
        waiting, self.selects[:] = tuple(self.selects), ()
        for turns, asked in waiting:
            turns.waken(asked)


class Turns:
    """One handler's way through its code.

    Args:
        work: the code; what it returns or raises ends it.
        around: what it finds around it.

    Attributes:
        waits_for: what it waits for; None before its first turn, and when it has ended.
        outcome: what the code has returned, or the error that it ended with; None before.
        complaint: what it did that no simulation can follow, a clause; empty for nothing.
        monotonic: its monotonic clock, in seconds.
        wall: its wall clock, in seconds since the epoch.
        ident: names its thread; 0 for the first one.
        waken: ends a wait that no request has begun, from another thread.
    """

    def __init__(self, work: Callable[[], Any], around: Surroundings) -> None:
        self.around = around
        self.waits_for: Asked | None = None
        self.outcome: tuple[Any, BaseException | None] | None = None
        self.complaint = ""
        self.monotonic = self.wall = 0.0
        self.is_dead = False
        self.ident = 0
        self.waken: Callable[[Asked], None] = _ignore
        #: The event loop in which its code runs.
        self.loop: asyncio.AbstractEventLoop | None = None
        #: How the first attempt of the call has fared that botocore is about to make.
        self.first_attempt: Response | Exception | None = None
        self._greenlet = greenlet(lambda _: self._whole(work))

    def resume(self, answer: Response | Exception | None = None) -> None:
        """Let the code compute until it asks for something, or ends.

        Args:
            answer: what it waited for; an error is raised where it waits.
        """
        self.waits_for = None
        before = _begin_turn(self)
        try:
            self._greenlet.parent = getcurrent()
            self.waits_for = self._greenlet.switch(answer)
        finally:
            _end_turn(self, before)

    def kill(self) -> None:
        """End the code where it stands."""
        if self.outcome is None and not self.is_dead:
            self.is_dead = True
            if self._greenlet:
                before = _begin_turn(self)
                try:
                    self._greenlet.parent = getcurrent()
                    self._greenlet.throw(Killed)
                finally:
                    _end_turn(self, before)

    def ask(self, asked: Asked) -> Any:
        """Wait for something; called by the code itself.

        Raises:
            Killed: it has been killed.
        """
        if self.is_dead:
            raise Killed
        parent = self._greenlet.parent
        assert parent is not None  # noqa: S101 - it has one as long as it lives
        answer = parent.switch(asked)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def complain(self, of_what: str) -> None:
        """Take note of what no simulation can follow; the first of it is told."""
        self.complaint = self.complaint or of_what

    def is_current(self) -> bool:
        """Tell whether it is this code that calls, and no thread that it has started."""
        return getcurrent() is self._greenlet

    def _whole(self, work: Callable[[], Any]) -> None:
        try:
            self.outcome = (work(), None)
        except Killed as error:
            self.outcome = (None, error)
        except BaseException as error:  # noqa: BLE001 - code of any make may raise anything
            self.outcome = (None, error)


#: The code whose turn it is, and when, in real time, its turn began.
_current: Turns | None = None
_began: float = 0.0
_drawn: Any = None
#: What the hooks stand in for. Each asks whether a handler is at work, and calls it where none is.
_replaced: list[tuple[Any, str, Any]] = []
_connections: WeakKeyDictionary[socket.socket, _Line] = WeakKeyDictionary()
_session: Any = None


def begin_history(seed: int) -> None:
    """Have Python's random numbers follow from a seed, and put the hooks in place, until :func:`end_history`."""
    global _drawn  # noqa: PLW0603 - a process has one such state
    if _drawn is None:
        _drawn = random.getstate()
        _replaced.extend((where, name, getattr(where, name, None)) for where, name, _ in HOOKS)
        for where, name, hook in HOOKS:
            setattr(where, name, hook)
    random.seed(seed)


def end_history() -> None:
    """Give Python's random numbers and functions back to this process."""
    global _drawn  # noqa: PLW0603
    if _drawn is not None:
        random.setstate(_drawn)
        _drawn = None
        while _replaced:
            where, name, before = _replaced.pop()
            if before is None:
                delattr(where, name)  # a module's name in the place of Python's own
            else:
                setattr(where, name, before)


class _Before(NamedTuple):
    """What stands in this process while no handler is at work."""

    variables: Any
    stdout: Any
    stderr: Any
    session: Any
    modules: dict[str, ModuleType]
    loaded: int
    travel: time_machine.travel


def _begin_turn(turns: Turns) -> _Before:
    """Put a handler's surroundings in place of this process's own, for one turn."""
    global _current, _began
    _watch()
    around = turns.around
    _current, _began = turns, _monotonic()
    hidden = {name: sys.modules.pop(name) for name in _owned(around)}
    sys.modules.update(around.modules)
    travel = time_machine.travel(turns.wall, tick=False)
    before = _Before(
        os.environ._data,  # type: ignore[attr-defined]  # noqa: SLF001 - see ``encoded``
        sys.stdout,
        sys.stderr,
        boto3.DEFAULT_SESSION,
        hidden,
        len(sys.modules),
        travel,
    )
    os.environ._data = around.variables  # type: ignore[attr-defined]  # noqa: SLF001
    sys.stdout = sys.stderr = around.log
    boto3.DEFAULT_SESSION = _session
    sys.path.insert(0, around.path)
    travel.start()
    asyncio._set_running_loop(turns.loop)  # noqa: SLF001 - a thread has one, and each handler has its own
    return before


def _end_turn(turns: Turns, before: _Before) -> None:
    """Put this process's own surroundings in place of a handler's."""
    global _current, _session  # noqa: PLW0603
    around = turns.around
    turns.loop = asyncio._get_running_loop()  # noqa: SLF001
    asyncio._set_running_loop(None)  # noqa: SLF001
    before.travel.stop()
    sys.path.remove(around.path)
    if len(sys.modules) > before.loaded or around.modules:
        new = [name for name in islice(reversed(sys.modules), len(sys.modules) - before.loaded) if around.owns(name)]
        around.modules = {name: sys.modules.pop(name) for name in (*around.modules, *new) if name in sys.modules}
    sys.modules.update(before.modules)
    boto3.DEFAULT_SESSION, _session = before.session, boto3.DEFAULT_SESSION
    sys.stdout, sys.stderr = before.stdout, before.stderr
    os.environ._data = before.variables  # type: ignore[attr-defined]  # noqa: SLF001
    _current = None


_looked_at: tuple[int, Callable[[str], bool] | None, tuple[str, ...]] = (0, None, ())


def _owned(around: Surroundings) -> tuple[str, ...]:
    """Return the loaded modules that each environment loads for itself; there are many to look at, so not each time."""
    global _looked_at  # noqa: PLW0603 - of this process's modules
    if _looked_at[:2] != (len(sys.modules), around.owns):
        _looked_at = len(sys.modules), around.owns, tuple(name for name in sys.modules if around.owns(name))
    return _looked_at[2]


def _watch() -> None:
    """Have a thread see to it that no turn lasts for ever."""
    global _watcher  # noqa: PLW0603 - a process has one
    if _watcher is None or not _watcher.is_alive():
        _watcher = threading.Thread(target=_end_long_turns, args=(threading.get_ident(),), daemon=True)
        _watcher.start()


def _end_long_turns(of_thread: int) -> None:
    while threading.main_thread().is_alive():
        _sleep(COMPUTING / 10)
        turns = _current
        if turns is not None and not turns.complaint and _monotonic() - _began > COMPUTING:
            turns.complain(
                f"computes for more than {COMPUTING:g} s and asks for nothing; while it computes its clock stands "
                "still, so a loop that waits for a time has to sleep"
            )
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(of_thread), ctypes.py_object(Killed))


_watcher: threading.Thread | None = None


def _mine(what: str) -> Turns:
    """Return the code whose turn it is, where it is that which asks.

    Raises:
        ConnectionRefusedError: a thread of its own asks.
    """
    turns = _current
    if turns is None or not turns.is_current():
        if turns is not None:
            turns.complain(f"{what} in a thread of its own, which cannot be held still; `--tier local` runs it")
        raise ConnectionRefusedError("The simulation follows a handler's first thread alone.")
    return turns


# --- time and chance -------------------------------------------------------------------------------------------------


def current() -> Turns:
    """Return the code whose turn it is; there is one."""
    return cast("Turns", _current)


_sleep, _monotonic, _perf_counter, _urandom, _exit = time.sleep, time.monotonic, time.perf_counter, os.urandom, os._exit
_monotonic_ns, _perf_counter_ns = time.monotonic_ns, time.perf_counter_ns
_connect, _select = socket.socket.connect, selectors.DefaultSelector.select
_make_request, _create_client = BaseClient._make_request, botocore.session.Session.create_client  # noqa: SLF001
_make_aliaser, _asks = EventAliaser.__init__, botocore.hooks.accepts_kwargs
_accepts_kwargs = lru_cache(1024)(_asks)
_get_code = SourceFileLoader.get_code
_codes: dict[str, Any] = {}
_NANOSECONDS: Final = 1_000_000_000


def at_work() -> bool:
    """Tell whether it is a handler's code that calls."""
    return _current is not None and _current.is_current()


def _hooked_sleep(seconds: float) -> None:
    if not at_work():
        _sleep(seconds)
        return
    if seconds < 0:
        raise ValueError("sleep length must be non-negative")
    turns = cast("Turns", _current)
    turns.ask(Asked(turns.monotonic + seconds))


def hooked_monotonic() -> float:
    """Return what the monotonic clock shows: the handler's, where it asks."""
    return cast("Turns", _current).monotonic if at_work() else _monotonic()


def _hooked_monotonic_ns() -> int:
    return int(cast("Turns", _current).monotonic * _NANOSECONDS) if at_work() else _monotonic_ns()


def _hooked_perf_counter() -> float:
    return cast("Turns", _current).monotonic if at_work() else _perf_counter()


def _hooked_perf_counter_ns() -> int:
    return int(cast("Turns", _current).monotonic * _NANOSECONDS) if at_work() else _perf_counter_ns()


def _hooked_urandom(size: int) -> bytes:
    return random.randbytes(size) if at_work() else _urandom(size)  # noqa: S311 - it has to come out the same again


def _hooked_code(loader: SourceFileLoader, name: str) -> Any:
    """Return the code of a module of the handler's: each environment runs it, and one reads it."""
    if _current is None or not _current.around.owns(name):
        return _get_code(loader, name)
    if loader.path not in _codes:
        _codes[loader.path] = _get_code(loader, name)
    return _codes[loader.path]


def _hooked_exit(status: int) -> NoReturn:
    if at_work():
        raise ExitedError(status)
    _exit(status)


def _hooked_select(selector: Any, timeout: float | None = None) -> Any:
    """Wait as an event loop does: only time, and the threads of its own, can bring it anything."""
    if not at_work():
        return _select(selector, timeout)
    turns = current()
    until = inf if timeout is None else turns.monotonic + timeout
    while not (found := _select(selector, 0)) and turns.monotonic < until:
        if timeout is None and not turns.around.has_threads():
            turns.complain("waits in an event loop for what no simulation brings; `--tier local` runs it")
            raise Killed
        asked = Asked(until)
        turns.around.selects.append((turns, asked))
        turns.ask(asked)
    return found


# --- AWS's SDK for Python --------------------------------------------------------------------------------------------

_clients: dict[tuple[Any, ...], BaseClient] = {}


def _hooked_client(session: botocore.session.Session, *given: Any, **named: Any) -> BaseClient:
    """Return a client that an earlier environment has made in the same way: to make one takes milliseconds.

    A client keeps nothing of what passes it. What is registered with it holds for the environment that registers it.
    """
    if not at_work():
        return _create_client(session, *given, **named)
    config = named.get("config")
    key = (
        *given,
        *sorted((name, repr(value)) for name, value in named.items() if name != "config"),
        repr(config and sorted(vars(config).items(), key=repr)),
        _of_aws(os.environ._data),  # type: ignore[attr-defined]  # noqa: SLF001 - see ``encoded``
    )
    client = _clients.get(key)
    if client is None:
        client = _clients[key] = _create_client(session, *given, **named)
        _keep_apart(client.meta.events)
    return client


#: By its name in botocore's code, the name of each event: a session works out a few hundred of them.
_event_names: dict[str, str] = {}


def _hooked_aliaser(aliaser: EventAliaser, emitter: Any, aliases: Any = None) -> None:
    """Make a session's events, with the names that earlier sessions have worked out."""
    _make_aliaser(aliaser, emitter, aliases)
    if aliases is None:
        aliaser._alias_name_cache = _event_names  # noqa: SLF001 - they follow from botocore's own table alone


def _hooked_accepts(function: Any) -> bool:
    """Tell whether a function takes any keyword arguments; a session asks it of each of botocore's own."""
    return bool(
        _accepts_kwargs(function)
        if str(getattr(function, "__module__", "")).startswith("botocore.")
        else _asks(function)
    )


def _of_aws(variables: Mapping[bytes, bytes]) -> tuple[tuple[bytes, bytes], ...]:
    """Return the environment variables on which a client depends."""
    return tuple(sorted(each for each in variables.items() if each[0].startswith(b"AWS_") and each[0] not in _OWN))


def _keep_apart(events: Any) -> None:
    """Have what is registered with a client called for its own environment alone."""
    for name in ("register", "register_first", "register_last"):
        setattr(events, name, partial(_register, getattr(events, name)))


def _register(register: Any, event: str, handler: Any, unique_id: Any = None, *counted: Any, **more: Any) -> None:
    turns = _current
    if turns is None:
        register(event, handler, unique_id, *counted, **more)
        return
    around = turns.around

    def of_its_own(**facts: Any) -> Any:
        return handler(**facts) if _current is not None and _current.around is around else None

    register(event, of_its_own, None if unique_id is None else (id(around), unique_id), *counted, **more)


# --- HTTP ------------------------------------------------------------------------------------------------------------


class _Body(io.BytesIO):
    """An answer's body, as botocore reads it."""

    def stream(self, *_: Any, **__: Any) -> Iterator[bytes]:
        yield self.read()


def _hooked_send(session: Any, request: AWSPreparedRequest) -> AWSResponse:
    """Send a request of botocore's: what it has prepared is what a server would read."""
    address = urlsplit(request.url)
    if (address.hostname, address.port) != (HOST, PORT):
        _refuse(f"{address.hostname}:{address.port or 443}")
    turns = _mine("asks AWS")
    body = request.body or b""
    if hasattr(body, "read"):
        body = body.read()
    headers = {name.lower(): _text(value) for name, value in request.headers.items()}
    headers["host"] = f"{HOST}:{PORT}"
    target = (address.path or "/") + (f"?{address.query}" if address.query else "")
    wire = WireRequest(request.method, target, headers, body.encode() if isinstance(body, str) else bytes(body))
    first, turns.first_attempt = turns.first_attempt, None
    try:
        if isinstance(first, Exception):
            raise first
        answer: Response = first or turns.ask(Asked(turns.monotonic + _read_timeout(session), wire))
    except TimeoutError as error:
        raise ReadTimeoutError(endpoint_url=request.url, error=error) from None
    except ConnectionError as error:
        raise ConnectionClosedError(endpoint_url=request.url, request=request, error=error) from None
    told = HeadersDict({"Content-Type": answer.content_type, **answer.headers})
    return AWSResponse(request.url, answer.status, told, _Body(answer.body))


def _hooked_call(
    client: BaseClient, operation: OperationModel, request: dict[str, Any], context: dict[str, Any]
) -> Any:
    """Make a call of botocore's: where all goes well, its client needs neither signature nor retry.

    Where it does not, the outcome is kept for the client's first attempt, so that it fares as it would by itself.
    """
    path = _path_at_lab(request["url"])
    if path is None or not at_work():
        return _make_request(client, operation, request, context)
    turns = _mine("asks AWS")
    headers = {name.lower(): _text(value) for name, value in request["headers"].items()}
    headers["host"] = f"{HOST}:{PORT}"
    body = request["body"]
    if not isinstance(body, bytes | str) or request["method"] != "POST":
        return _make_request(client, operation, request, context)
    wire = WireRequest("POST", path, headers, body.encode() if isinstance(body, str) else body)
    endpoint = client._endpoint  # noqa: SLF001 - the client's own, and its reader of answers
    answer: Response | Exception
    try:
        answer = turns.ask(Asked(turns.monotonic + _read_timeout(endpoint.http_session), wire))
    except OSError as error:
        answer = error
    if isinstance(answer, Response) and answer.status == HTTPStatus.OK:
        parser = _parser(endpoint._response_parser_factory, operation.metadata["protocol"])  # noqa: SLF001
        told = {"status_code": answer.status, "headers": HeadersDict(answer.headers), "body": answer.body}
        http = AWSResponse(request["url"], answer.status, told["headers"], _Body(answer.body))
        return http, parser.parse(told, operation.output_shape)
    turns.first_attempt = answer
    return _make_request(client, operation, request, context)


@lru_cache(256)
def _path_at_lab(url: str) -> str | None:
    """Return the path of a URL of the lab's; None where it is another's."""
    address = urlsplit(url)
    return (address.path or "/") if (address.hostname, address.port) == (HOST, PORT) else None


@cache
def _parser(factory: Any, protocol: str) -> Any:
    """Return a reader of answers; it keeps nothing of what it reads."""
    return factory.create_parser(protocol)


def _read_timeout(session: Any) -> float:
    timeout = session._timeout.read_timeout  # noqa: SLF001 - what its client was configured with
    return timeout if isinstance(timeout, int | float) else READ_TIMEOUT


def _hooked_connect(own: socket.socket, address: Any) -> None:
    """Connect to the lab: a socket that is none, whose requests end the handler's turn."""
    if not at_work():
        if _current is not None:
            _mine("connects")
        _connect(own, address)
        return
    turns = cast("Turns", _current)
    if not isinstance(address, tuple) or tuple(address[:2]) != (HOST, PORT):
        _refuse(":".join(map(str, address[:2])) if isinstance(address, tuple) else str(address))
    if own.gettimeout() == 0.0:
        turns.complain("asks by an event loop, which no simulation steps; `--tier local` runs it")
        raise ConnectionRefusedError("The simulation serves sockets that block.")
    own.__class__ = _Connected
    _connections[own] = _Line()


def _refuse(where: str) -> NoReturn:
    """Refuse a connection elsewhere.

    Raises:
        ConnectionRefusedError: always.
    """
    if _current is not None:
        _current.complain(
            f"connects to {where}, which cannot be held still; have it ask the lab alone, at AWS_ENDPOINT_URL and "
            "SIDE_EFFECT_URL"
        )
    raise ConnectionRefusedError(f"The simulation does not reach {where}.")


class _Line:
    """One connection to the lab; to ``HttpConnection`` it is the transport, whose methods it has."""

    def __init__(self) -> None:
        self.incoming = bytearray()
        self.asked: WireRequest | None = None
        self.is_closed = False
        self._respond: Callable[[Response], None] | None = None
        self._http = HttpConnection(self._take)
        self._http.connection_made(cast("Any", self))

    def send(self, data: bytes) -> None:
        """Take in what the handler's client sends."""
        if self.is_closed:
            raise BrokenPipeError("The connection is closed.")
        self._http.data_received(data)

    def receive(self, most: int, timeout: float | None) -> bytes:
        """Return what has come; wait for the answer where it has not."""
        if not self.incoming and self.asked is not None and self._respond is not None:
            turns = _mine("asks the lab")
            until = turns.monotonic + (READ_TIMEOUT if timeout is None else timeout)
            wire, self.asked = self.asked, None
            try:
                self._respond(turns.ask(Asked(until, wire)))
            except ConnectionError:
                self.is_closed = True
                raise
        data = bytes(self.incoming[:most])
        del self.incoming[:most]
        return data

    def _take(self, request: WireRequest) -> _Line:
        self.asked = request
        return self

    # --- what a pending answer does: see ``infra.localaws.http.Pending`` -------------------------------------------

    def start(self, respond: Callable[[Response], None], is_open: Callable[[], bool]) -> None:  # noqa: ARG002
        """Remember how to answer."""
        self._respond = respond

    def cancel(self) -> None:
        """Forget the request."""
        self.asked = None

    # --- what a transport does -------------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Hand a piece of the answer to the client."""
        self.incoming += data

    def close(self) -> None:
        """Close the connection, once what is there is read."""
        self.is_closed = True

    abort = close

    def is_closing(self) -> bool:
        """Tell whether the connection is closed."""
        return self.is_closed

    def pause_reading(self) -> None:
        """Do nothing: there is no one who sends."""

    resume_reading = pause_reading

    def get_extra_info(self, _name: str) -> Any:
        """Return nothing: there is no socket."""
        return None


class _Connected(socket.socket):
    """A socket that is connected to the lab."""

    __slots__ = ()

    def send(self, data: Any, flags: int = 0, /) -> int:  # noqa: ARG002
        _connections[self].send(bytes(data))
        return len(bytes(data))

    def sendall(self, data: Any, flags: int = 0, /) -> None:  # noqa: ARG002
        _connections[self].send(bytes(data))

    def recv(self, size: int, flags: int = 0, /) -> bytes:  # noqa: ARG002
        return _connections[self].receive(size, self.gettimeout())

    def recv_into(self, buffer: Any, size: int = 0, flags: int = 0) -> int:  # noqa: ARG002
        view = memoryview(buffer).cast("B")
        data = self.recv(size or len(view))
        view[: len(data)] = data
        return len(data)

    def shutdown(self, how: int, /) -> None:
        """Do nothing: what was asked was asked."""

    def getpeername(self) -> Any:
        return HOST, PORT


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


#: Variables in which environments differ, and their clients do not.
_OWN: Final = frozenset({b"AWS_ACCESS_KEY_ID", b"AWS_LAMBDA_FUNCTION_NAME", b"AWS_LAMBDA_LOG_STREAM_NAME"})
#: What is replaced while handlers are simulated: where, by which name, and by what.
HOOKS: Final[list[tuple[Any, str, Any]]] = [
    (time, "sleep", _hooked_sleep),
    (time, "monotonic", hooked_monotonic),
    (time, "monotonic_ns", _hooked_monotonic_ns),
    (time, "perf_counter", _hooked_perf_counter),
    (time, "perf_counter_ns", _hooked_perf_counter_ns),
    (os, "urandom", _hooked_urandom),
    (os, "_exit", _hooked_exit),
    (SourceFileLoader, "get_code", _hooked_code),
    (selectors.DefaultSelector, "select", _hooked_select),
    (socket.socket, "connect", _hooked_connect),
    (botocore.httpsession.URLLib3Session, "send", _hooked_send),
    (BaseClient, "_make_request", _hooked_call),
    (botocore.session.Session, "create_client", _hooked_client),
    (EventAliaser, "__init__", _hooked_aliaser),
    (botocore.hooks, "accepts_kwargs", _hooked_accepts),
]


def encoded(variables: Mapping[str, str]) -> dict[bytes, bytes]:
    """Return environment variables as ``os.environ`` keeps them: to change all of them is then one assignment."""
    return {os.fsencode(name): os.fsencode(value) for name, value in variables.items()}
