"""``queue-fundamentals.toml``: what a user's repository says once of its program, so that no command has to repeat it.

    command = "node my.js"
    startup-timeout = 60
    visibility = 30
    receives = 5
    work = 2.5
    strict = true
    follows = ["heartbeat", "backoff"]

    [env]
    PAYMENTS_URL = "{url}/v1/charges"

    [messages]
    file = "orders.jsonl"
    key = "order.id"

    [effect]
    http = "/v1/charges"
    key = "order.id"

``{url}`` is the address at which a program reaches the lab, ``{run}`` a directory of the run's own. An effect is an
HTTP call, which the lab answers; rows of an SQL table; or lines of a log file (see ``scenarios.checks.effects``).
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil, inf
from pathlib import Path
from typing import Any

from scenarios.checks.effects import Effect, check_names, read_effect, text_of
from scenarios.checks.key_paths import parse_key_path
from scenarios.checks.message_templates import MessageTemplates, read_templates
from scenarios.errors import RequestError
from services.consumer.patterns import Pattern

#: The file's name, in the directory where the commands are typed.
CONFIG = "queue-fundamentals.toml"
_KNOWN = (
    *("command", "startup-timeout", "visibility", "receives", "work", "strict", "follows"),
    *("env", "messages", "effect"),
)
#: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html
MAX_VISIBILITY, MAX_RECEIVES = 43_200, 1_000
#: Seconds. Work that takes longer than this suits no scenario.
MAX_WORK = 3_600.0
#: How many times the work of one message fits into the visibility timeout: some receives hold several messages.
WORK_FITS = 4


@dataclass(frozen=True, slots=True)
class ProgramConfig:
    """What the file says.

    Attributes:
        command: the program and its arguments; empty where the file names none.
        startup_timeout: seconds for it to start; None for the usual.
        strict: whether a check that cannot be judged makes a pass inconclusive.
        env: variables for the program; ``{url}`` in a value is the lab's address, ``{run}`` the run's directory.
        effect: its side effect, where that is no write to the ledger.
        messages: what it receives; None for the lab's own bodies.
        given: the options of the command line that took the place of the file's words.
        visibility: seconds that its queue's visibility timeout lasts at least; 0 for each scenario's own.
        receives: receives that a message has at least before it is dead-lettered; 0 for each scenario's own.
        work: seconds that it works for a message at most.
        follows: the patterns that it declares; what no pattern promises is asked of every program.
    """

    command: str = ""
    startup_timeout: float | None = None
    strict: bool = False
    env: Mapping[str, str] = field(default_factory=dict)
    effect: Effect | None = None
    messages: MessageTemplates | None = None
    given: tuple[str, ...] = ()
    visibility: int = 0
    receives: int = 0
    work: float = 0.0
    follows: tuple[Pattern, ...] = ()

    def suited(self, visibility_timeout: float, receives: int, scale: float = 1.0) -> tuple[int, int]:
        """Return a queue's visibility timeout in seconds and its receives, raised to what the program asks for.

        Args:
            visibility_timeout: what the scenario's queue has.
            receives: likewise.
            scale: how many of the queue's seconds one of the file's is.
        """
        asked = max(scale * self.visibility, scale * WORK_FITS * self.work)
        return ceil(max(visibility_timeout, asked)), max(receives, self.receives)


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
    check_names(document, _KNOWN, "", CONFIG)
    if not isinstance(document.get("strict", False), bool):
        raise RequestError(f"{CONFIG}: strict must be true or false, and is {document['strict']!r}.")
    env = document.get("env", {})
    if not isinstance(env, dict) or not all(isinstance(value, str) for value in env.values()):
        raise RequestError(f"{CONFIG}: env must be a table of texts, such as [env] and LEVEL = 'debug'.")
    return ProgramConfig(
        text_of(document, "command", "", CONFIG),
        _number(document, "startup-timeout", inf) or None,
        document.get("strict", False),
        env,
        read_effect(document.get("effect"), CONFIG),
        _messages(document.get("messages"), directory),
        visibility=_whole(document, "visibility", MAX_VISIBILITY),
        receives=_whole(document, "receives", MAX_RECEIVES),
        work=_number(document, "work", MAX_WORK),
        follows=_follows(document.get("follows", [])),
    )


def patterns_of(names: Sequence[str], where: str) -> tuple[Pattern, ...]:
    """Return the patterns of these names, each once.

    Raises:
        RequestError: there is none of a name.
    """
    known = [str(pattern) for pattern in Pattern]
    for name in names:
        if name not in known:
            raise RequestError(f"{where} knows no pattern {name!r}; it takes {', '.join(known)}.")
    return tuple(Pattern(name) for name in dict.fromkeys(names))


def _follows(names: Any) -> tuple[Pattern, ...]:
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise RequestError(f"{CONFIG}: follows must be a list of patterns, such as ['heartbeat'], and is {names!r}.")
    return patterns_of(names, f"{CONFIG}: follows")


def _number(document: Mapping[str, Any], name: str, most: float) -> float:
    """Return seconds above 0; 0 where there are none."""
    value = document.get(name)
    if value is None:
        return 0.0
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= most:
        up_to = f", up to {most:g}" if most < inf else ""
        raise RequestError(f"{CONFIG}: {name} must be seconds above 0{up_to}, and is {value!r}.")
    return value


def _whole(document: Mapping[str, Any], name: str, most: int) -> int:
    """Return a whole number from 1; 0 where there is none."""
    value = document.get(name)
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
        raise RequestError(f"{CONFIG}: {name} must be a whole number from 1 to {most}, and is {value!r}.")
    return value


def _messages(document: Any, directory: Path) -> MessageTemplates | None:
    if document is None:
        return None
    if not isinstance(document, dict):
        raise RequestError(f"{CONFIG}: messages must be a table, such as [messages] and file = 'orders.jsonl'.")
    check_names(document, ("file", "key"), "messages.", CONFIG)
    name = text_of(document, "file", "messages.", CONFIG)
    if not name:
        raise RequestError(f"{CONFIG}: messages.file is missing; it names a file of one JSON object a line.")
    key = text_of(document, "key", "messages.", CONFIG)
    if key:
        parse_key_path(key, f"{CONFIG}: messages.key")
    return read_templates(directory / name, key)
