"""Files that are there whole or not at all, whenever the process or the machine stops."""

import errno
import os
import re
from pathlib import Path

from services.common.processes import is_running

PRIVATE = 0o600
"""The permissions of a new file: only its owner reads it. States, histories and logs may hold what messages say."""

NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})
"""What the system says when a disk is full, or a user's share of it."""

_TEMPORARY = re.compile(r"\..+\.(?P<pid>\d{1,10})\.tmp")


def write_atomically(path: Path, content: str | bytes, *, durable: bool = True) -> None:
    """Replace a file by way of a temporary one beside it.

    A file that exists keeps its permissions, and a symbolic link stays a link: the file that it names is replaced.
    A new file is for its owner alone.

    Args:
        path: The file.
        content: What the file holds afterwards; text is written as UTF-8.
        durable: Whether the content also survives the end of the machine, for the price of two flushes.

    Raises:
        OSError: The file cannot be written; the old one is kept.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_symlink():
        path = path.resolve()
    try:
        mode = path.stat().st_mode & 0o777
    except FileNotFoundError:
        mode = PRIVATE
    data = content.encode() if isinstance(content, str) else content
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, PRIVATE)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            os.fchmod(file.fileno(), mode)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    if durable:
        _flush_directory(path.parent)


def open_private(path: Path, *, append: bool = True) -> int:
    """Open a file for writing, made for its owner alone; return the descriptor.

    Args:
        path: The file.
        append: Whether what the file holds stays.

    Raises:
        OSError: The file cannot be opened.
    """
    rest = os.O_APPEND if append else os.O_TRUNC
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | rest, PRIVATE)


def disk_is_full(directory: Path) -> bool:
    """Whether nothing more can be written into a directory."""
    probe = directory / f".probe.{os.getpid()}.tmp"
    try:
        probe.write_bytes(b"x" * 4096)
    except OSError as error:
        return error.errno in NO_ROOM
    finally:
        probe.unlink(missing_ok=True)
    return False


def sweep_temporaries(directory: Path) -> None:
    """Remove the temporary files of processes that were killed while they wrote."""
    for path in directory.glob(".*.tmp"):
        found = _TEMPORARY.fullmatch(path.name)
        if found is not None and not is_running(int(found["pid"])):
            path.unlink(missing_ok=True)


def _flush_directory(directory: Path) -> None:
    """Make a rename durable, which it is once its directory is."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
