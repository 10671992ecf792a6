"""Hold a program at the very insert that is its side effect, so that it can be killed between its mark and its deed.

A trigger on the table, for one key alone, goes on for longer than any run: the program's transaction stands still
there, and whatever it committed before is committed. The trigger goes when the program is dead, and its transaction
with it.
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any, Protocol

from scenarios.checks.effects import SqlEffect

#: The name of the trigger, and in PostgreSQL of its function.
NAME = "queue_fundamentals_hold"
#: Seconds for which nothing but the held insert can keep others from writing to an SQLite file.
STEADY = 0.25
#: Seconds that a held insert sleeps in PostgreSQL.
LONG = 600


class Hold(Protocol):
    """One insert that shall be held."""

    def arm(self) -> None:
        """Make the trigger."""

    def is_reached(self) -> bool:
        """Return whether the program stands still in it."""

    def release(self) -> None:
        """Take the trigger away; the program is dead, or never came there."""

    def drop(self) -> None:
        """Take away a trigger that an earlier run, which was killed, has left."""


def hold_of(sql: Any, engine: Any, effect: SqlEffect, key: str) -> Hold | None:
    """Return a hold for the insert of a key; None where the database knows no such thing."""
    kinds: dict[str, type[_SqliteHold | _PostgresHold]] = {"sqlite": _SqliteHold, "postgresql": _PostgresHold}
    kind = kinds.get(engine.dialect.name)
    return kind(sql, engine, effect, key) if kind else None


class _Hold:
    def __init__(self, sql: Any, engine: Any, effect: SqlEffect, key: str) -> None:
        quote = engine.dialect.identifier_preparer.quote
        self.sql, self.engine = sql, engine
        self.table = ".".join(quote(part) for part in effect.table.split("."))
        self.key = quote(effect.key)
        self.text = "'" + key.replace("'", "''") + "'"

    def execute(self, *statements: str) -> Any:
        """Execute statements, and return the rows of the last one."""
        with self.engine.connect() as connection:
            for statement in statements:
                found = connection.exec_driver_sql(statement)
            rows = found.fetchall() if found.returns_rows else []
            connection.commit()
        return rows


class _SqliteHold(_Hold):
    def __init__(self, sql: Any, engine: Any, effect: SqlEffect, key: str) -> None:
        super().__init__(sql, engine, effect, key)
        self._busy_since = 0.0

    def arm(self) -> None:
        """Count through a product of ten numbers, ten times: minutes."""
        ten = "(SELECT 0 UNION ALL " + " UNION ALL ".join(f"SELECT {number}" for number in range(1, 10)) + ")"
        endless = f"SELECT count(*) FROM {', '.join([ten] * 10)}"  # noqa: S608 - numbers
        self.execute(
            f"CREATE TRIGGER {NAME} BEFORE INSERT ON {self.table} WHEN CAST(NEW.{self.key} AS TEXT) = {self.text} "
            f"BEGIN {endless}; END"
        )

    def is_reached(self) -> bool:
        """Ask whether another writer has held the file for a while."""
        connection = self.engine.raw_connection()
        try:
            connection.driver_connection.execute("PRAGMA busy_timeout = 0")
            connection.driver_connection.execute("BEGIN IMMEDIATE")
            connection.driver_connection.execute("ROLLBACK")
        except self.engine.dialect.dbapi.OperationalError:
            self._busy_since = self._busy_since or time.monotonic()
            return time.monotonic() - self._busy_since >= STEADY
        finally:
            connection.close()
        self._busy_since = 0.0
        return False

    def release(self) -> None:
        """Drop the trigger; whoever holds the file is dead, and the system lets go of its locks."""
        self.drop()

    def drop(self) -> None:
        """Drop the trigger."""
        self.execute(f"DROP TRIGGER IF EXISTS {NAME}")


class _PostgresHold(_Hold):
    def arm(self) -> None:
        """Sleep."""
        self.execute(
            f"CREATE OR REPLACE FUNCTION {NAME}() RETURNS trigger LANGUAGE plpgsql AS "
            f"'BEGIN PERFORM pg_sleep({LONG}); RETURN NEW; END'",
            f"CREATE TRIGGER {NAME} BEFORE INSERT ON {self.table} FOR EACH ROW "
            f"WHEN (NEW.{self.key}::text = {self.text}) EXECUTE FUNCTION {NAME}()",
        )

    def is_reached(self) -> bool:
        """Ask whether a connection sleeps in it."""
        return bool(self._sleeping())

    def _sleeping(self) -> list[int]:
        rows = self.execute(
            "SELECT pid FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()"
        )
        return [pid for (pid,) in rows]

    def release(self) -> None:
        """End the connection that sleeps, whose client is dead, and drop the trigger."""
        for pid in self._sleeping():
            with suppress(self.sql.exc.SQLAlchemyError):
                self.execute(f"SELECT pg_terminate_backend({pid}, 5000)")
        self.drop()

    def drop(self) -> None:
        """Drop the trigger."""
        self.execute(f"DROP TRIGGER IF EXISTS {NAME} ON {self.table}", f"DROP FUNCTION IF EXISTS {NAME}()")
