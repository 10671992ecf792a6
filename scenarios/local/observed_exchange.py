"""HTTP between a program and its tap: requests, answers, and whether the program is still there to take one."""

from __future__ import annotations

import select
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from infra.localaws.http import MAX_BODY_BYTES
from scenarios.local.http_reader import DYNAMODB
from services.common.loopback import is_loopback_url

#: Seconds for a server's threads to end, once its connections are closed.
CLOSING = 5.0

_POLL_CLOSED = select.POLLIN | select.POLLHUP | select.POLLERR


@dataclass(frozen=True, slots=True)
class Response:
    """An answer."""

    status: int
    headers: dict[str, str]
    body: bytes


class GoneError(Exception):
    """The client that would take an answer is gone."""


@dataclass(slots=True)
class Request:
    """One request, and the program at the other end of its connection.

    Attributes:
        headers: by their names in lower case.
    """

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    client: socket.socket

    @property
    def refuses_pages(self) -> bool:
        """Whether a web page may have caused it: by script, by an image or a form, or under a name of its own."""
        by_page = "origin" in self.headers or self.headers.get("sec-fetch-site", "none") not in ("none", "same-origin")
        return by_page or not is_loopback_url(f"http://{self.headers.get('host', '')}")

    def of_dynamodb(self, action: str) -> Request:
        """Return the request to DynamoDB that this one comes down to."""
        headers = {
            "host": self.headers.get("host", ""),
            "x-amz-target": f"{DYNAMODB}{action}",
            "content-type": "application/x-amz-json-1.0",
        }
        return Request("POST", "/", headers, b"", self.client)

    def wait_for(self, answer: socket.socket) -> None:
        """Wait until an answer arrives.

        Raises:
            GoneError: the program has gone before.
        """
        watch = select.poll()
        watch.register(answer, select.POLLIN)
        watch.register(self.client, _POLL_CLOSED)
        while True:
            ready = {descriptor for descriptor, _ in watch.poll()}
            if answer.fileno() in ready:
                return
            self.check()
            # It has sent more before it was answered, and so is there; its end will be seen with the answer.
            watch.unregister(self.client)

    def pause(self, seconds: float) -> None:
        """Let time pass.

        Raises:
            GoneError: the program has gone meanwhile.
        """
        end = time.monotonic() + seconds
        watch = select.poll()
        watch.register(self.client, _POLL_CLOSED)
        if watch.poll(seconds * 1000):
            self.check()
            time.sleep(max(0.0, end - time.monotonic()))
            self.check()

    def check(self) -> None:
        """Make sure that the program is still there.

        Raises:
            GoneError: it is not.
        """
        try:
            gone = not self.client.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError:
            gone = True
        if gone:
            raise GoneError


class Server(ThreadingHTTPServer):
    """Serves one program on loopback, and can hang up on it.

    Args:
        answer: answers a request, or raises :class:`GoneError`.
        failed: hears of an error of ours, once the program was told that there was one.
    """

    daemon_threads = True
    #: Connections that may wait until they are accepted. The kernel lowers it to its own maximum (net.core.somaxconn,
    #: 4096). A connection beyond the limit would wait a second for its next try, and count as the program's slowness.
    request_queue_size = 65_535

    def __init__(self, answer: Callable[[Request], Response], failed: Callable[[Exception], None]) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.answer = answer
        self.failed = failed
        self._lock = threading.Lock()
        self._living: dict[threading.Thread, socket.socket] = {}
        self._thread = threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def open(self) -> None:
        """Begin to answer; what has come before waits."""
        self._thread.start()

    def close(self) -> None:
        """Close every connection, and wait until all that was under way is over."""
        if self._thread.is_alive():
            self.shutdown()
            self._thread.join()
        with self._lock:
            living = dict(self._living)
        for client in living.values():
            with suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
        for thread in living:
            thread.join(CLOSING)
        self.server_close()

    def greet(self, client: socket.socket) -> None:
        """Note a connection, which has a thread of its own."""
        with self._lock:
            self._living[threading.current_thread()] = client

    def part(self) -> None:
        """Forget it."""
        with self._lock:
            self._living.pop(threading.current_thread(), None)


class _Connection(BaseHTTPRequestHandler):
    """One connection of a program's; that the other end has gone is no news."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: Server

    def handle(self) -> None:
        self.server.greet(self.connection)
        try:
            with suppress(ConnectionError):
                super().handle()
        finally:
            self.server.part()

    def finish(self) -> None:
        with suppress(ConnectionError):
            super().finish()

    def log_message(self, *_arguments: Any) -> None:
        """Say nothing: the history has it."""

    def _serve(self) -> None:
        size = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not size.isdigit():
            self.close_connection = True
            self._write(plain(411, "A request says how long its body is."))
            return
        if int(size) > MAX_BODY_BYTES:
            self.close_connection = True
            self._write(plain(413, f"The body is larger than {MAX_BODY_BYTES} bytes."))
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, self.path, headers, self.rfile.read(int(size)), self.connection)
        try:
            response = self.server.answer(request)
        except GoneError:
            self.close_connection = True
            return
        except Exception as error:  # noqa: BLE001 - a fault of ours ends the run with a sentence, not this thread
            self.server.failed(error)
            response = plain(500, "The lab failed on this request.")
        self._write(response)

    def _write(self, response: Response) -> None:
        self.send_response(response.status)
        for name, value in response.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(response.body)))
        self.end_headers()
        self.wfile.write(response.body)
        self.wfile.flush()

    do_DELETE = do_GET = do_HEAD = do_POST = do_PUT = _serve  # noqa: N815 - the library's names


def plain(status: int, sentence: str) -> Response:
    """Return an answer of one sentence."""
    return Response(status, {"Content-Type": "text/plain; charset=utf-8"}, f"{sentence}\n".encode())
