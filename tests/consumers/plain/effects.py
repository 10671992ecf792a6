"""The plain consumer with other side effects: rows of an SQL table, or lines of a log file.

DATABASE=payments.db python effects.py             a row for each order, and a unique key that refuses a second one
DATABASE=postgresql://... python effects.py        the same in PostgreSQL, by psycopg
CHARGES=charges.log python effects.py              a line for each order, unless the log has one
... --naive                                        a row or a line for whatever comes
... --mark-first                                   marks the message as processed, then acts
... --mark-in-database                             the same, its mark in the same database, in a transaction of its own
... --both-in-one                                  mark and row in one transaction
... --mark-in-file                                 marks it in a file of its own, then writes the line
"""

import fcntl
import os
import re
import runpy
import sqlite3
import sys
from pathlib import Path

DATABASE, CHARGES = os.environ.get("DATABASE", ""), os.environ.get("CHARGES", "")
NAIVE, BOTH_IN_ONE = "--naive" in sys.argv, "--both-in-one" in sys.argv
plain = runpy.run_path(str(Path(__file__).with_name("consumer.py")))


def connect():
    if DATABASE.startswith("postgresql"):
        import psycopg  # noqa: PLC0415 - SQLite needs none

        return psycopg.connect(DATABASE), "%s"
    return sqlite3.connect(DATABASE, timeout=20), "?"


def execute(*statements):
    """Execute statements in one transaction; return how many rows the last one wrote."""
    connection, place = connect()
    with connection:
        for statement, *values in statements:
            written = connection.execute(statement.replace("{}", place), values).rowcount
    connection.close()
    return written


def insert(key):
    """Insert a row; the unique key refuses a second one, but for the naive."""
    mark = ("INSERT INTO processed VALUES ({}) ON CONFLICT DO NOTHING", key)
    if BOTH_IN_ONE:
        execute(
            ("INSERT INTO payments SELECT {} WHERE NOT EXISTS (SELECT 1 FROM processed WHERE order_id = {})", key, key),
            mark,
        )
    elif "--mark-in-database" not in sys.argv or execute(mark):
        execute(("INSERT INTO payments VALUES ({}) ON CONFLICT DO NOTHING", key))


def append(key):
    """Append a line, unless one is there."""
    if "--mark-in-file" not in sys.argv or append_to(f"{CHARGES}.marks", f"marked {key}"):
        append_to(CHARGES, f"charged {key}")


def append_to(file, line):
    """Append a line, unless one is there, and return whether it was appended; a lock keeps others away meanwhile."""
    with Path(file).open("a+") as log:
        fcntl.flock(log, fcntl.LOCK_EX)
        log.seek(0)
        if new := NAIVE or not re.search(rf"{re.escape(line)}$", log.read(), re.MULTILINE):
            log.write(f"INFO {line}\n")
        return new


def effect(key, method):
    """Stand in for the plain consumer's side effect; what is looked up is left to the effect itself."""
    if method == "POST":
        (insert if DATABASE else append)(key)
    return 0


if DATABASE:
    unique = "" if NAIVE or BOTH_IN_ONE or "--mark-first" in sys.argv else " PRIMARY KEY"
    # PostgreSQL lets two make one table at once, and refuses one of them; the lock has them do it in turn.
    turn = [("SELECT pg_advisory_xact_lock(7)",)] if DATABASE.startswith("postgresql") else []
    execute(
        *turn,
        ("CREATE TABLE IF NOT EXISTS processed (order_id TEXT PRIMARY KEY)",),
        (f"CREATE TABLE IF NOT EXISTS payments (order_id TEXT{unique})",),
    )
plain["handle"].__globals__["side_effect"] = effect
if "--mark-first" not in sys.argv:
    # The effect itself refuses what was done, so neither claim nor mark is needed.
    plain["handle"].__globals__["NAIVE"] = True
plain["main"]()
