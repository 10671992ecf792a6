"""``queue-fundamentals.toml``: what a user's repository says once of its program, so that no command has to repeat it.

    command = "node my.js"
    startup-timeout = 60
    strict = true

    [env]
    PAYMENTS_URL = "{url}/v1/charges"

    [messages]
    file = "orders.jsonl"
    key = "order.id"

    [effect]
    http = "/v1/charges"
    key = "order.id"

``{url}`` is the address at which a program reaches the lab. An effect of the kind ``http`` is a request below a path:
the lab counts it in the ledger, answers it, and has its faults strike there. ``key`` leads to the side effect's key in
the request's JSON body.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scenarios.checks.key_paths import KeyPath, parse_key_path
from scenarios.checks.message_templates import USUAL_KEY, MessageTemplates, read_templates
from scenarios.errors import RequestError

#: The file's name, in the directory where the commands are typed.
CONFIG = "queue-fundamentals.toml"
#: A header that holds the key where the body has none.
#: https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/
KEY_HEADER = "idempotency-key"


@dataclass(frozen=True, slots=True)
class HttpEffect:
    """A side effect that is an HTTP call.

    Attributes:
        path: requests to it and below are side effects.
        key: where the key stands in the request's JSON body.
    """

    path: str
    key: KeyPath

    def covers(self, path: str) -> bool:
        """Tell whether a request's path is this effect's."""
        path = path.partition("?")[0]
        return path == self.path or path.startswith(f"{self.path.rstrip('/')}/")

    def key_of(self, headers: Mapping[str, str], body: bytes) -> str:
        """Return the key that a request names; empty where it names none."""
        try:
            found = self.key.find(json.loads(body or b"null"))
        except (ValueError, RecursionError):
            found = ""
        return found or headers.get(KEY_HEADER, "")


@dataclass(frozen=True, slots=True)
class ProgramConfig:
    """What the file says.

    Attributes:
        command: the program and its arguments; empty where the file names none.
        startup_timeout: seconds for it to start; None for the usual.
        strict: whether a check that cannot be judged makes a pass inconclusive.
        env: variables for the program; ``{url}`` in a value is the lab's address.
        effect: its side effect, where that is an HTTP call.
        messages: what it receives; None for the lab's own bodies.
        given: the options of the command line that took the place of the file's words.
    """

    command: str = ""
    startup_timeout: float | None = None
    strict: bool = False
    env: Mapping[str, str] = field(default_factory=dict)
    effect: HttpEffect | None = None
    messages: MessageTemplates | None = None
    given: tuple[str, ...] = ()


def read_config(directory: Path) -> ProgramConfig:
    """Read the file of a directory; what is empty where there is none.

    Raises:
        RequestError: it cannot be read, or says what nobody can understand.
    """
    path = directory / CONFIG
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return ProgramConfig()
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise RequestError(f"{CONFIG} cannot be read: {error}.") from None
    _check_names(document, ("command", "startup-timeout", "strict", "env", "messages", "effect"), "")
    timeout = document.get("startup-timeout")
    if timeout is not None and (isinstance(timeout, bool) or not isinstance(timeout, int | float) or timeout <= 0):
        raise RequestError(f"{CONFIG}: startup-timeout must be seconds above 0, and is {timeout!r}.")
    if not isinstance(document.get("strict", False), bool):
        raise RequestError(f"{CONFIG}: strict must be true or false, and is {document['strict']!r}.")
    env = document.get("env", {})
    if not isinstance(env, dict) or not all(isinstance(value, str) for value in env.values()):
        raise RequestError(f"{CONFIG}: env must be a table of texts, such as [env] and LEVEL = 'debug'.")
    return ProgramConfig(
        _text(document, "command", ""),
        timeout,
        document.get("strict", False),
        env,
        _effect(document.get("effect")),
        _messages(document.get("messages"), directory),
    )


def _messages(document: Any, directory: Path) -> MessageTemplates | None:
    if document is None:
        return None
    if not isinstance(document, dict):
        raise RequestError(f"{CONFIG}: messages must be a table, such as [messages] and file = 'orders.jsonl'.")
    _check_names(document, ("file", "key"), "messages.")
    name = _text(document, "file", "messages.")
    if not name:
        raise RequestError(f"{CONFIG}: messages.file is missing; it names a file of one JSON object a line.")
    key = _text(document, "key", "messages.")
    if key:
        parse_key_path(key, f"{CONFIG}: messages.key")
    return read_templates(directory / name, key)


def _effect(document: Any) -> HttpEffect | None:
    if document is None:
        return None
    if not isinstance(document, dict):
        raise RequestError(f"{CONFIG}: effect must be a table, such as [effect] and http = '/v1/charges'.")
    _check_names(document, ("http", "key"), "effect.")
    path, key = _text(document, "http", "effect."), _text(document, "key", "effect.")
    if not path.startswith("/") or path == "/":
        raise RequestError(f"{CONFIG}: effect.http must be a path such as /v1/charges, and is {path!r}.")
    return HttpEffect(path, parse_key_path(key or USUAL_KEY, f"{CONFIG}: effect.key"))


def _text(document: Mapping[str, Any], name: str, where: str) -> str:
    value = document.get(name, "")
    if not isinstance(value, str):
        raise RequestError(f"{CONFIG}: {where}{name} must be a text, and is {value!r}.")
    return value.strip()


def _check_names(document: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
    for name in document:
        if name not in known:
            raise RequestError(f"{CONFIG} knows no {where}{name}; it takes {', '.join(known)}.")
