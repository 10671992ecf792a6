"""The life of a stack's embedded endpoint: started detached, found again by later commands, stopped.

Its state is memory only. What identifies one life of it is the ``instance`` in ``endpoint.json``; the state of a
stack names the instance that its resources are in, so that a later one is known to be empty.
"""

import http.client
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from infra.errors import EndpointError
from infra.files import open_private, write_atomically
from infra.stack.paths import StackPaths
from services.common.loopback import is_loopback_url
from services.common.processes import is_running

HEALTH_PATH = "/_localaws/health"
HEALTH_TIMEOUT = 2.0
"""Seconds; what is alive on loopback answers in milliseconds."""
START_SECONDS = 20.0
STOP_SECONDS = 5.0
"""Seconds after which a process that was asked to end is killed."""
POLL_SECONDS = 0.005
EXIT_USAGE = 2
"""The endpoint's exit code for a port in use, among others."""

_SHOWN = 100
_MAX_PID = 2**31 - 1
_MAX_HEALTH_BYTES = 64 * 1024

_children: dict[int, subprocess.Popen[bytes]] = {}
"""The endpoints that this process itself has started: only their parent can tell that they have ended."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One life of a stack's embedded endpoint.

    Attributes:
        url: Where it listens.
        pid: Its process.
        instance: What identifies this life of it.
        history: The file that it records its history in.
    """

    url: str
    pid: int
    instance: str
    history: str

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return urlsplit(self.url).port or 0


def read_endpoint(paths: StackPaths) -> Endpoint | None:
    """What was noted of a stack's endpoint when it was started; it may be dead by now.

    Raises:
        EndpointError: The note cannot be read. It is kept: without it the process that it names would be lost.
    """
    try:
        text = paths.endpoint.read_text(encoding="utf-8")
    except FileNotFoundError:
        return _read_unnoted_endpoint(paths)
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(paths, error) from None
    try:
        endpoint = _parse(text)
    except (ValueError, TypeError, RecursionError) as error:
        raise _unreadable(paths, error) from None
    if not endpoint.url and paths.ready.exists():
        # The command that started it was killed before it could note the address.
        endpoint = replace(endpoint, url=_read_ready(paths) or "")
    # Where a stack's endpoint keeps its history follows from the stack, whatever has become of the note.
    return replace(endpoint, history=str(paths.history))


def _read_ready(paths: StackPaths) -> str | None:
    """The address that an endpoint has written when it began to listen; None if there is none that can be read."""
    try:
        url = paths.ready.read_text(encoding="utf-8").strip()
        return url if is_loopback_url(url) and urlsplit(url).port else None
    except (OSError, ValueError):
        return None


def _parse(text: str) -> Endpoint:
    document = json.loads(text)
    if not isinstance(document, dict):
        raise TypeError("it is no JSON object")
    for name, kind in (("url", str), ("pid", int), ("instance", str), ("history", str)):
        if type(document.get(name)) is not kind:
            raise TypeError(f"its {name} is {str(document.get(name))[:_SHOWN]!r}")
    if not 0 < document["pid"] <= _MAX_PID:
        raise ValueError(f"its pid is {document['pid']}")
    if document["url"] and not is_loopback_url(document["url"]):
        raise ValueError(f"its url is {document['url'][:_SHOWN]!r}")
    endpoint = Endpoint(*(document[name] for name in ("url", "pid", "instance", "history")))
    _ = endpoint.port  # an address that cannot be one is a ValueError
    return endpoint


def _unreadable(paths: StackPaths, error: Exception) -> EndpointError:
    return EndpointError(
        f"The note of the stack's endpoint, {paths.endpoint}, is cut or corrupt ({error}). It is kept as it is: "
        f"put back a good copy; or end the process whose command line names {paths.history}, "
        f"and delete {paths.directory}."
    )


def _read_unnoted_endpoint(paths: StackPaths) -> Endpoint | None:
    """The endpoint whose starter was killed before it noted anything: it tells itself where and who it is."""
    url = _read_ready(paths)
    health = _health(url) if url else None
    if url is None or health is None or health.get("history") != str(paths.history):
        return None
    pid = health.get("pid")
    return Endpoint(url, pid, "", str(paths.history)) if isinstance(pid, int) else None


def is_alive(endpoint: Endpoint) -> bool:
    """Whether this very endpoint answers: after a reboot another process may have its id or its port."""
    health = _health(endpoint.url)
    return health is not None and health.get("pid") == endpoint.pid and health.get("history") == endpoint.history


def find_endpoint(paths: StackPaths) -> Endpoint | None:
    """The stack's endpoint, if it is alive."""
    endpoint = read_endpoint(paths)
    return endpoint if endpoint is not None and is_alive(endpoint) else None


def speed_of(url: str) -> float:
    """How many seconds the clock of an embedded endpoint runs in a real one.

    Raises:
        EndpointError: It does not answer.
    """
    health = _health(url)
    if health is None:
        raise EndpointError(f"The endpoint at {url} does not answer; `invoke up` starts it again.")
    return float(str(health.get("speed", 1.0)))


def fault_of(url: str) -> str:
    """Why an embedded endpoint no longer records its history, as a sentence; empty where it does."""
    health = _health(url)
    return "" if health is None else str(health.get("fault", ""))


class StartingEndpoint:
    """An endpoint on its way, so that the caller can do something else until it listens.

    Attributes:
        is_new: Whether it has just been started, and is empty.
        replaces_dead: Whether an earlier one of the same stack has died.
    """

    def __init__(self, paths: StackPaths, region: str, speed: float = 1.0) -> None:
        self._paths = paths
        self._region = region
        self._speed = speed
        self._previous = read_endpoint(paths)
        self._alive = self._previous if self._previous is not None and is_alive(self._previous) else None
        if self._alive is not None and not self._alive.instance:
            self._alive = None  # whose starter was killed so early that nothing can refer to it: a new one takes over
        self.is_new = self._alive is None
        self.replaces_dead = self.is_new and self._previous is not None
        self._process: subprocess.Popen[bytes] | None = None
        self._instance = uuid.uuid4().hex
        if self._alive is None:
            # It does not answer, but its process may be there and hold the port; or the note names another one.
            if self._previous is not None and not stop_endpoint(self._previous):
                stop_unnoted_endpoints(paths)
            # The old port first: what was configured with the old address goes on working.
            self._port = self._previous.port if self._previous is not None else 0
            self._process = self._launch()

    @property
    def process_id(self) -> int | None:
        """The process that was started; None if the endpoint was alive already."""
        return None if self._process is None else self._process.pid

    def wait(self) -> Endpoint:
        """Wait until the endpoint listens.

        Raises:
            EndpointError: It has ended instead, or takes too long.
        """
        if self._alive is not None:
            self._write(self._alive)
            return self._alive
        deadline = time.monotonic() + START_SECONDS
        while not self._paths.ready.exists():
            if self._process is None:
                raise EndpointError("The embedded endpoint was not started.")
            code = self._process.poll()
            if code == EXIT_USAGE and self._port:
                self._forget()
                self._port = 0
                self._process = self._launch()
            elif code is not None:
                self._forget()
                raise EndpointError(f"The embedded endpoint ended with exit code {code}: {self._last_words()}")
            elif time.monotonic() > deadline:
                self.cancel()
                raise EndpointError(f"The embedded endpoint does not listen after {START_SECONDS:.0f} s; try again.")
            time.sleep(POLL_SECONDS)
        return self._note()

    def cancel(self) -> None:
        """End the process that was started, if it was; the stack is left as it was before."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._forget()

    def _launch(self) -> subprocess.Popen[bytes]:
        self._paths.directory.mkdir(parents=True, exist_ok=True)
        self._paths.ready.unlink(missing_ok=True)
        self._paths.history.unlink(missing_ok=True)
        command = [sys.executable, "-m", "infra.localaws", "--port", str(self._port), "--region", self._region]
        command += ["--history", str(self._paths.history), "--ready-file", str(self._paths.ready)]
        command += ["--speed", f"{self._speed:g}"]
        with os.fdopen(open_private(self._paths.log, append=False), "wb") as log:
            # A session of its own: Ctrl-C in the terminal and the terminal's end do not reach it.
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        _children[process.pid] = process
        try:
            # Noted at once, without its address: if this process is killed now, the next one knows whom to stop.
            self._write(Endpoint("", process.pid, self._instance, str(self._paths.history)))
        except BaseException:
            process.kill()
            _reap(process.pid)
            raise
        return process

    def _note(self) -> Endpoint:
        if self._process is None:
            raise EndpointError("The embedded endpoint was not started.")
        url = self._paths.ready.read_text(encoding="utf-8").strip()
        endpoint = Endpoint(url, self._process.pid, self._instance, str(self._paths.history))
        self._write(endpoint)
        self._paths.ready.unlink()
        return endpoint

    def _write(self, endpoint: Endpoint) -> None:
        write_atomically(self._paths.endpoint, json.dumps(asdict(endpoint), indent=1) + "\n")

    def _forget(self) -> None:
        if self._process is not None:
            _children.pop(self._process.pid, None)
            self._process = None
            self._paths.endpoint.unlink(missing_ok=True)

    def _last_words(self) -> str:
        lines = self._paths.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing."


def stop_unnoted_endpoints(paths: StackPaths) -> int:
    """Stop every endpoint process of a stack, found by its command line where no note names it; return how many.

    Raises:
        EndpointError: A process does not end.
    """
    import psutil  # noqa: PLC0415 - only a stack whose files are damaged or gone needs it

    found = []
    for process in psutil.process_iter(["cmdline"]):
        command = process.info["cmdline"] or []
        if "infra.localaws" in command and str(paths.history) in command:
            found.append(process.pid)
    for pid in found:
        stop_endpoint(Endpoint("http://127.0.0.1:1", pid, "", str(paths.history)))
    return len(found)


def stop_endpoint(endpoint: Endpoint) -> bool:
    """Stop an endpoint and wait until its process has ended; return whether it was there.

    Raises:
        EndpointError: The process does not end.
    """
    if not is_alive(endpoint) and not _is_our_process(endpoint):
        _reap(endpoint.pid)
        return False
    for sign, seconds in ((signal.SIGTERM, STOP_SECONDS), (signal.SIGKILL, STOP_SECONDS)):
        try:
            os.kill(endpoint.pid, sign)
        except ProcessLookupError:
            break
        if _ends_within(endpoint.pid, seconds):
            break
    else:
        raise EndpointError(f"The embedded endpoint, process {endpoint.pid}, does not end; end it by hand.")
    _reap(endpoint.pid)
    return True


def _health(url: str) -> dict[str, object] | None:
    try:
        address = urlsplit(url)
        connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=HEALTH_TIMEOUT)
        with closing(connection):
            connection.request("GET", HEALTH_PATH)
            document = json.loads(connection.getresponse().read(_MAX_HEALTH_BYTES))
    except (OSError, ValueError, RecursionError, http.client.HTTPException):
        return None
    return document if isinstance(document, dict) else None


def _is_our_process(endpoint: Endpoint) -> bool:
    """Whether the process that does not answer is the endpoint nevertheless, by its command line."""
    if not process_exists(endpoint.pid):
        return False
    try:
        command = Path(f"/proc/{endpoint.pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        answer = subprocess.run(
            ["ps", "-o", "command=", "-p", str(endpoint.pid)],  # noqa: S607 - ps is where the user's PATH has it
            capture_output=True,
            text=True,
            check=False,
        )
        command = answer.stdout
    return "infra.localaws" in command and endpoint.history in command


def process_exists(pid: int) -> bool:
    """Whether a process is there and has not ended."""
    child = _children.get(pid)
    if child is not None:
        return child.poll() is None
    return is_running(pid)


def _ends_within(pid: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while process_exists(pid):
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def _reap(pid: int) -> None:
    child = _children.pop(pid, None)
    if child is not None:
        child.wait()
