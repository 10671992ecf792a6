"""Where side effects are seen that the lab does not answer itself: rows of an SQL table, and lines of a log file."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from glob import glob
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote

from scenarios.checks.effects import RUN, STDOUT, LogEffect, SqlEffect, WatchedEffect
from scenarios.errors import LabError, RequestError
from scenarios.local.sql_hold import Hold, hold_of

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

#: Seconds that a read waits for a program that holds a database, and for a connection.
BUSY = 5.0
#: More keys than this are not named in a query: all rows are read.
MOST_KEYS = 500
#: What a URL comes to that leaves the choice of a driver to SQLAlchemy.
DRIVERS = {"postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg"}


class EffectSource(Protocol):
    """Tells of side effects as they are caused.

    Attributes:
        words: what it is called in a sentence.
        before: the keys that were there when the run began.
    """

    words: str
    before: frozenset[str]

    def begin(self) -> None:
        """Note what is there already; it counts for no run."""

    def new(self, keys: Collection[str] | None) -> list[str]:
        """Return the keys of the side effects that were caused since the last call, in order.

        Args:
            keys: of interest; None for any.

        Raises:
            ScenarioError: it cannot be read.
        """

    def hold(self, key: str) -> Hold | None:
        """Return what holds a program at the side effect of a key; None where it cannot be held there."""

    def check(self) -> None:
        """Make sure, at the end of a run, that there was something to read.

        Raises:
            RequestError: there was not.
        """

    def close(self) -> None:
        """Let go of it."""


def source_of(effect: WatchedEffect, run: Path, outputs: Path) -> EffectSource:
    """Return the source of a run.

    Args:
        effect: what the configuration says.
        run: a directory of the run's own.
        outputs: the directory in which the programs' output is.
    """
    return SqlSource(effect, run) if isinstance(effect, SqlEffect) else LogSource(effect, run, outputs)


class SqlSource:
    """Rows of an SQL table, counted by key."""

    def __init__(self, effect: SqlEffect, run: Path) -> None:
        import sqlalchemy  # noqa: PLC0415 - an extra

        self.words = effect.words
        self.before: frozenset[str] = frozenset()
        self._sql: Any = sqlalchemy
        self._effect = effect
        self._seen: Counter[str] = Counter()
        self._is_there = False
        self._engine = self._make_engine(effect.url.replace(RUN, str(run)))

    def _make_engine(self, url: str) -> Engine:
        sql = self._sql
        chosen = sql.make_url(url)
        try:
            if chosen.get_backend_name() == "sqlite":
                # Read and write, so that a journal can be rolled back; but never made here.
                file = f"file:{quote(str(Path(chosen.database or '').resolve()))}?mode=rw"
                make: Engine = sql.create_engine(
                    "sqlite://",
                    creator=lambda: sqlite3.connect(file, uri=True, timeout=BUSY),
                    poolclass=sql.pool.NullPool,
                )
                return make
            chosen = chosen.set(drivername=DRIVERS.get(chosen.drivername, chosen.drivername))
            made: Engine = sql.create_engine(chosen, isolation_level="AUTOCOMMIT", pool_timeout=BUSY)
        except (sql.exc.SQLAlchemyError, ImportError) as error:
            raise RequestError(f"effect.sql {url!r} cannot be used: {_first_line(error)}.") from None
        return made

    def begin(self) -> None:
        """See :class:`EffectSource`."""
        with self._connection() as connection:
            if connection is None:
                return
            for statement in self._effect.prepare:
                connection.execute(self._sql.text(statement))
            connection.commit()
        self._seen = self._counts(None)
        if left := self.hold(""):
            left.drop()
        self.before = frozenset(self._seen)

    def new(self, keys: Collection[str] | None) -> list[str]:
        """See :class:`EffectSource`."""
        if keys is not None and not keys:
            return []
        found = self._counts(keys)
        added = [key for key, count in found.items() for _ in range(count - self._seen[key])]
        self._seen.update(dict.fromkeys(found, 0))
        for key, count in found.items():
            self._seen[key] = count
        return added

    def hold(self, key: str) -> Hold | None:
        """See :class:`EffectSource`."""
        return hold_of(self._sql, self._engine, self._effect, key) if self._is_there else None

    def check(self) -> None:
        """See :class:`EffectSource`."""
        if not self._is_there:
            raise RequestError(
                f"At the end of the run there is no table {self._effect.table} in {self._effect.url}, so no side "
                "effect was seen; correct effect.sql or effect.table."
            )

    def close(self) -> None:
        """See :class:`EffectSource`."""
        self._engine.dispose()

    def _counts(self, keys: Collection[str] | None) -> Counter[str]:
        sql = self._sql
        schema, _, name = self._effect.table.rpartition(".")
        with self._connection() as connection:
            if connection is None or not self._look_for(connection, schema or None, name):
                return Counter()
            table = sql.table(name, sql.column(self._effect.key), schema=schema or None)
            key = sql.cast(table.c[self._effect.key], sql.String)
            query = sql.select(key, sql.func.count()).group_by(key)
            if keys is not None and len(keys) <= MOST_KEYS:
                query = query.where(key.in_(sorted(keys)))
            return Counter({str(found): count for found, count in connection.execute(query) if found is not None})

    def _look_for(self, connection: Connection, schema: str | None, name: str) -> bool:
        """Tell whether the table is there yet: the program may make it.

        Raises:
            RequestError: it has no such column.
        """
        if not self._is_there:
            inspector = self._sql.inspect(connection)
            self._is_there = inspector.has_table(name, schema=schema)
            columns = (
                [column["name"] for column in inspector.get_columns(name, schema=schema)] if self._is_there else []
            )
            if self._is_there and self._effect.key not in columns:
                raise RequestError(
                    f"The table {self._effect.table} has no column {self._effect.key}, which effect.key names; it has "
                    f"{', '.join(columns)}."
                )
        return self._is_there

    @contextmanager
    def _connection(self) -> Iterator[Connection | None]:
        """Yield a connection; None where an SQLite file is not there yet."""
        try:
            with self._engine.connect() as connection:
                yield connection
        except self._sql.exc.OperationalError as error:
            if "unable to open database file" not in str(error):
                raise LabError(f"{self.words} cannot be read: {_first_line(error)}.") from None
            yield None
        except self._sql.exc.SQLAlchemyError as error:
            raise LabError(f"{self.words} cannot be read: {_first_line(error)}.") from None


class LogSource:
    """Lines of log files that match a pattern."""

    def __init__(self, effect: LogEffect, run: Path, outputs: Path) -> None:
        self.words = effect.words
        self.before: frozenset[str] = frozenset()
        self._effect = effect
        self._path = str(outputs / "*.log") if effect.path == STDOUT else effect.path.replace(RUN, str(run))
        self._read: dict[str, int] = {}

    def begin(self) -> None:
        """See :class:`EffectSource`."""
        for _ in self._lines():
            pass

    def new(self, keys: Collection[str] | None) -> list[str]:  # noqa: ARG002 - a log says whose each line is
        """See :class:`EffectSource`."""
        return [key for line in self._lines() if (key := self._effect.key_in(line))]

    def hold(self, key: str) -> Hold | None:  # noqa: ARG002 - nothing keeps a program from writing a line
        """See :class:`EffectSource`."""
        return None

    def check(self) -> None:
        """See :class:`EffectSource`."""
        if not self._read:
            raise RequestError(
                f"At the end of the run there is no file {self._path}, so no side effect was seen; correct effect.log."
            )

    def close(self) -> None:
        """See :class:`EffectSource`."""

    def _lines(self) -> Iterator[str]:
        """Yield the lines that were completed since the last call."""
        try:
            for name in sorted(glob(self._path)):  # noqa: PTH207 - a pattern may be absolute
                path = Path(name)
                size, offset = path.stat().st_size, self._read.setdefault(name, 0)
                if size < offset:
                    offset = 0  # it was begun anew
                if size == offset:
                    continue
                with path.open("rb") as file:
                    file.seek(offset)
                    data = file.read()
                complete = data[: data.rfind(b"\n") + 1]
                self._read[name] = offset + len(complete)
                yield from complete.decode(errors="replace").splitlines()
        except OSError as error:
            raise LabError(f"{self.words} cannot be read: {error.strerror}.") from None


def _first_line(error: Exception) -> str:
    said = str(getattr(error, "orig", None) or error).strip()
    return said.splitlines()[0].rstrip(".") if said else type(error).__name__
