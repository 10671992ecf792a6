"""A PostgreSQL server of a test's own: in a temporary directory, on a Unix socket, as a user without privileges."""

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

#: Seconds for the server to start.
STARTS = 60
#: Who runs it where the tests run as root, which PostgreSQL refuses.
USERS = ("postgres", "nobody")


def _program(name):
    """Return a program of PostgreSQL's; Debian keeps them off the PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return shutil.which(name) or (str(found[-1]) if found else None)


@contextmanager
def server():
    """Yield the URL of a database on a server that runs for the time of the block."""
    initdb, postgres = _program("initdb"), _program("postgres")
    if initdb is None or postgres is None:
        pytest.skip("PostgreSQL is not installed; on Debian, apt-get install postgresql")
    # A Unix socket's path is short, and a test's own directory may be too long, or closed to other users.
    directory = Path(tempfile.mkdtemp(prefix="qf-pg-", dir="/tmp"))
    try:
        yield from _run(initdb, postgres, directory)
    finally:
        shutil.rmtree(directory)


def _run(initdb, postgres, directory):
    known = {entry.pw_name for entry in pwd.getpwall()}
    user = next((name for name in USERS if name in known), None) if os.geteuid() == 0 else None
    if user is not None:
        shutil.chown(directory, user)
    data = directory / "data"
    options = {"cwd": directory, "user": user, "stdin": subprocess.DEVNULL}
    made = [initdb, "-D", data, "-A", "trust", "-U", "lab", "--no-sync", "-E", "UTF8", "--locale=C"]
    subprocess.run(made, check=True, capture_output=True, **options)
    with (directory / "log").open("wb") as log:
        words = [postgres, "-D", data, "-k", directory, "-c", "listen_addresses=", "-c", "fsync=off"]
        process = subprocess.Popen(words, stdout=log, stderr=log, **options)
    try:
        end = time.monotonic() + STARTS
        while not (directory / ".s.PGSQL.5432").exists() or b"ready to accept" not in (directory / "log").read_bytes():
            assert process.poll() is None, (directory / "log").read_text()
            assert time.monotonic() < end, "PostgreSQL did not start"
            time.sleep(0.05)
        yield f"postgresql://lab@/postgres?host={directory}"
    finally:
        process.terminate()
        process.wait(timeout=STARTS)
