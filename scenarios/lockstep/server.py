"""The address that a program is given: its requests are read here, and each waits until somebody answers it.

There is no thread and no event loop: whoever holds the program still calls ``pump``, which takes in what has come.
"""

from __future__ import annotations

import asyncio
import select
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, cast

from infra.localaws.http import HttpConnection, Request, Response

#: Bytes that are read at once.
_PIECE = 1 << 16
#: Seconds for a program to take an answer; one that reads nothing is gone.
WRITE_SECONDS = 10.0
#: Closes a connection with a reset: no time to linger.
_RESET = struct.pack("ii", 1, 0)


class PendingRequest:
    """A request that waits for its answer; what ``HttpConnection`` calls pending.

    Attributes:
        request: what was asked.
        client: the connection's socket.
        is_open: whether the program is still there to take an answer.
    """

    def __init__(self, request: Request, link: _Link) -> None:
        self.request = request
        self.client = link.socket
        self.is_open = True
        self._link = link
        self._respond: Callable[[Response], None] | None = None

    def start(self, respond: Callable[[Response], None], is_open: Callable[[], bool]) -> None:  # noqa: ARG002
        """See :class:`infra.localaws.http.Pending`."""
        self._respond = respond

    def cancel(self) -> None:
        """See :class:`infra.localaws.http.Pending`."""
        self.is_open = False
        self._link.server.settled(self)

    def reply(self, response: Response) -> None:
        """Answer; where the program has hung up, nothing happens."""
        respond, self._respond = self._respond, None
        if self.is_open and respond is not None:
            self.is_open = False
            respond(response)
        self._link.server.settled(self)

    def reset(self) -> None:
        """Close the connection without an answer."""
        self._respond = None
        self._link.reset()
        self._link.server.settled(self)


class ProgramServer:
    """Listens on loopback for one program.

    Attributes:
        url: where; ``port`` is its port.
        arrived: requests that nobody has taken yet, in the order in which they came.
        complaint: what it sent that is no request, a clause; empty for nothing.
    """

    def __init__(self) -> None:
        self.arrived: list[PendingRequest] = []
        self.complaint = ""
        listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._poll = select.epoll()
        self._listeners: dict[int, socket.socket] = {}
        self._listen(listener)
        self._links: dict[int, _Link] = {}
        #: What else is read here, by its descriptor.
        self._others: dict[int, Callable[[], bool]] = {}
        self._waiting: set[PendingRequest] = set()
        self.port: int = listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    @property
    def ports(self) -> frozenset[int]:
        """The ports at which it listens."""
        return frozenset(listener.getsockname()[1] for listener in self._listeners.values())

    def listen_for(self, other: ProgramServer) -> None:
        """Take in what comes to another's address as well, from now on."""
        self._listen(next(iter(other._listeners.values())).dup())

    @property
    def waits(self) -> bool:
        """Whether the program waits for an answer."""
        return bool(self._waiting)

    def settled(self, pending: PendingRequest) -> None:
        """Take note that a request waits no more."""
        self._waiting.discard(pending)

    def pump(self, seconds: float = 0.0) -> bool:
        """Take in what has come, or comes within a time; return whether there was anything."""
        events = self._poll.poll(seconds)
        for descriptor, _ in events:
            link = self._links.get(descriptor)
            if link is not None:
                link.read()
            elif descriptor in self._others:
                if not self._others[descriptor]():
                    self.ignore(descriptor)
            else:
                self._accept(self._listeners[descriptor])
        return bool(events)

    def heed(self, descriptor: int, take: Callable[[], bool]) -> None:
        """Have something else taken in by ``pump``, until it returns False."""
        self._others[descriptor] = take
        self._poll.register(descriptor, select.EPOLLIN)

    def ignore(self, descriptor: int) -> None:
        """Take in nothing more of what was heeded."""
        if self._others.pop(descriptor, None) is not None:
            with suppress(OSError):
                self._poll.unregister(descriptor)

    def close(self) -> None:
        """Close all connections."""
        for link in tuple(self._links.values()):
            link.reset()
        for listener in self._listeners.values():
            listener.close()
        self._poll.close()

    def _listen(self, listener: socket.socket) -> None:
        listener.setblocking(False)
        self._listeners[listener.fileno()] = listener
        self._poll.register(listener, select.EPOLLIN)

    def _accept(self, listener: socket.socket) -> None:
        with suppress(BlockingIOError, ConnectionError):
            while True:
                client, _ = listener.accept()
                client.setblocking(False)
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                link = _Link(client, self)
                self._links[client.fileno()] = link
                self._poll.register(client, select.EPOLLIN)
                link.read()

    def forget(self, link: _Link) -> None:
        """Take note that a connection is closed."""
        self._links.pop(link.descriptor, None)
        with suppress(OSError):
            self._poll.unregister(link.descriptor)

    def take(self, link: _Link, request: Request) -> PendingRequest:
        """Take in a request."""
        pending = PendingRequest(request, link)
        self.arrived.append(pending)
        self._waiting.add(pending)
        return pending


class _Link:
    """One connection; to ``HttpConnection`` it is the transport, whose methods it has."""

    def __init__(self, client: socket.socket, server: ProgramServer) -> None:
        self.socket = client
        self.descriptor = client.fileno()
        self.server = server
        self._closed = False
        self._http = _Http(partial(server.take, self), server)
        self._http.connection_made(cast("asyncio.Transport", self))

    def read(self) -> None:
        while not self._closed:
            try:
                data = self.socket.recv(_PIECE)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self.close()
                return
            self._http.data_received(data)

    def reset(self) -> None:
        with suppress(OSError):
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.close()

    # --- what a transport does -------------------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        try:
            self.socket.settimeout(WRITE_SECONDS)
            self.socket.sendall(data)
            self.socket.setblocking(False)
        except OSError:
            self.close()

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self.server.forget(self)
            self._http.connection_lost(None)
            self.socket.close()

    def abort(self) -> None:
        self.reset()

    def is_closing(self) -> bool:
        return self._closed

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def get_extra_info(self, _name: str) -> Any:
        return self.socket


class _Http(HttpConnection):
    """A connection that tells of what is no request."""

    def __init__(self, application: Callable[[Request], PendingRequest], server: ProgramServer) -> None:
        super().__init__(application)
        self._server = server

    def _refuse(self, status: int, sentence: str) -> None:
        self._server.complaint = self._server.complaint or f"sent what is no HTTP request ({sentence.rstrip('.')})"
        super()._refuse(status, sentence)
