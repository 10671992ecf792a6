"""A program's side effect, as its configuration names it: an HTTP call, rows of an SQL table, or lines of a log file.

The lab answers an HTTP call itself. It watches rows and lines: it reads them before each request that a program makes,
so it knows between which two requests a side effect was caused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from scenarios.checks.key_paths import KeyPath, parse_key_path
from scenarios.checks.message_templates import USUAL_KEY
from scenarios.errors import RequestError
from services.common.loopback import is_loopback_url

#: A header that holds the key where the body has none.
#: https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/
KEY_HEADER = "idempotency-key"
#: The name, in the configuration, of the header by which an API knows a call again; and what a header's name is.
#: https://datatracker.ietf.org/doc/html/rfc9110#name-field-names
IDEMPOTENCY_KEY = "idempotency-key"
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
#: The name of the pattern's group that holds the key, where the pattern has more than one group.
KEY_GROUP = "key"
#: Stands for a directory of the run's own in the words of a configuration.
RUN = "{run}"


@dataclass(frozen=True, slots=True)
class HttpEffect:
    """A side effect that is an HTTP call.

    Attributes:
        path: requests to it and below are side effects.
        key: where the key stands in the request's JSON body.
        idempotency_header: the header whose value the API knows again, in lower case: a second call with it does
            nothing. Empty for an API that does each call.
    """

    path: str
    key: KeyPath
    idempotency_header: str = ""

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
class SqlEffect:
    """A side effect that is a row of an SQL table.

    Attributes:
        url: the database, as SQLAlchemy has it; ``{run}`` in it is a directory of the run's own.
        table: the table, which the program may make itself.
        key: the column that holds the key.
        prepare: statements that are executed before each run.
    """

    url: str
    table: str
    key: str
    prepare: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """What it is called in a sentence."""
        return f"the table {self.table}"

    @property
    def is_shared(self) -> bool:
        """Whether several runs would use it."""
        return RUN not in self.url


@dataclass(frozen=True, slots=True)
class LogEffect:
    """A side effect that is a line of a log file.

    Attributes:
        path: the file, or a pattern of files such as ``logs/*.log``; ``stdout`` for what the program prints.
        pattern: a line of it is a side effect; a group holds the key.
    """

    path: str
    pattern: re.Pattern[str]

    @property
    def words(self) -> str:
        """What it is called in a sentence."""
        return "what the program prints" if self.path == STDOUT else f"the file {self.path}"

    @property
    def is_shared(self) -> bool:
        """Whether several runs would use it."""
        return RUN not in self.path and self.path != STDOUT

    def key_in(self, line: str) -> str:
        """Return the key of a side effect; empty where the line is none."""
        found = self.pattern.search(line)
        if found is None:
            return ""
        return found[KEY_GROUP if KEY_GROUP in self.pattern.groupindex else 1] or ""


#: The name of a log that is what the program prints.
STDOUT = "stdout"
#: Those that the lab watches, and neither answers nor faults.
WatchedEffect: TypeAlias = SqlEffect | LogEffect
Effect: TypeAlias = HttpEffect | WatchedEffect


def read_effect(document: Any, where: str) -> Effect | None:
    """Read the table ``[effect]`` of a configuration file.

    Args:
        document: the table; None where there is none.
        where: the file's name, for messages to people.

    Raises:
        RequestError: it cannot be used.
    """
    if document is None:
        return None
    if not isinstance(document, dict):
        raise RequestError(f"{where}: effect must be a table, such as [effect] and http = '/v1/charges'.")
    kinds: dict[str, Callable[[Mapping[str, Any], str], Effect]] = {"http": _http, "sql": _sql, "log": _log}
    chosen = [kind for kind in kinds if kind in document]
    if len(chosen) != 1:
        check_names(document, ("http", "sql", "log"), "effect.", where)
        raise RequestError(f"{where}: effect needs one of http, sql and log, and has {' and '.join(chosen) or 'none'}.")
    return kinds[chosen[0]](document, where)


def _http(document: Mapping[str, Any], where: str) -> HttpEffect:
    check_names(document, ("http", "key", IDEMPOTENCY_KEY), "effect.", where)
    path, key, header = (text_of(document, name, "effect.", where) for name in ("http", "key", IDEMPOTENCY_KEY))
    if IDEMPOTENCY_KEY in document and not _HEADER.fullmatch(header):
        raise RequestError(
            f"{where}: effect.{IDEMPOTENCY_KEY} must be the name of a header such as Idempotency-Key, and is "
            f"{header!r}."
        )
    if not path.startswith("/") or path == "/":
        raise RequestError(f"{where}: effect.http must be a path such as /v1/charges, and is {path!r}.")
    return HttpEffect(path, parse_key_path(key or USUAL_KEY, f"{where}: effect.key"), header.lower())


def _sql(document: Mapping[str, Any], where: str) -> SqlEffect:
    check_names(document, ("sql", "table", "key", "prepare"), "effect.", where)
    url, table, key = (text_of(document, name, "effect.", where) for name in ("sql", "table", "key"))
    for name, value in (("table", table), ("key", key)):
        if not value:
            raise RequestError(f"{where}: effect.{name} is missing; an SQL effect needs sql, table and key (a column).")
    prepare = document.get("prepare", [])
    if not isinstance(prepare, list) or not all(isinstance(statement, str) for statement in prepare):
        raise RequestError(f"{where}: effect.prepare must be a list of SQL statements, and is {prepare!r}.")
    _check_url(url, where)
    return SqlEffect(url, table, key, tuple(prepare))


def _check_url(url: str, where: str) -> None:
    try:
        from sqlalchemy import make_url  # noqa: PLC0415 - an extra
        from sqlalchemy.exc import ArgumentError  # noqa: PLC0415 - likewise
    except ImportError:
        raise RequestError(
            f"{where}: effect.sql is read by SQLAlchemy, which is not installed; install the extra sql, as in "
            "pip install 'queue-fundamentals[sql]'."
        ) from None
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise RequestError(
            f"{where}: effect.sql must be SQLAlchemy's URL of a database, such as sqlite:///payments.db, and is "
            f"{url!r}."
        ) from None
    for host in (parsed.host, parsed.query.get("host")):
        if host and not str(host).startswith("/") and not is_loopback_url(f"http://{host}"):
            raise RequestError(
                f"{where}: effect.sql names a database on {host}; the lab kills what writes to it, so it has to be on "
                "this machine."
            )


def _log(document: Mapping[str, Any], where: str) -> LogEffect:
    check_names(document, ("log", "pattern"), "effect.", where)
    path, pattern = (text_of(document, name, "effect.", where) for name in ("log", "pattern"))
    if not path:
        raise RequestError(f"{where}: effect.log must be a file such as charges.log, or {STDOUT}.")
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise RequestError(f"{where}: effect.pattern is no regular expression: {error}.") from None
    if KEY_GROUP not in compiled.groupindex and compiled.groups != 1:
        raise RequestError(
            f"{where}: effect.pattern must hold the key in a group, such as 'charged (?P<key>\\S+)', and is "
            f"{pattern!r}."
        )
    return LogEffect(path, compiled)


def check_names(document: Mapping[str, Any], known: tuple[str, ...], place: str, where: str) -> None:
    """Refuse a name that a table of a configuration file does not take."""
    for name in document:
        if name not in known:
            raise RequestError(f"{where} knows no {place}{name}; it takes {', '.join(known)}.")


def text_of(document: Mapping[str, Any], name: str, place: str, where: str) -> str:
    """Return a text of a table of a configuration file; empty where it is not there."""
    value = document.get(name, "")
    if not isinstance(value, str):
        raise RequestError(f"{where}: {place}{name} must be a text, and is {value!r}.")
    return value.strip()
