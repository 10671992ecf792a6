"""One process at a time works on a stack: a lock that the kernel gives back when its holder dies, however it dies."""

import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from infra.errors import StackBusyError

_PAUSE = 0.02


@contextmanager
def hold_lock(path: Path, what: str, *, wait: float = 0.0) -> Iterator[None]:
    """Hold a lock for the time of a ``with`` block.

    Args:
        path: The lock's file, made if it is not there; it holds the holder's process id for people to read.
        what: What is locked, for the sentence: ``stack ada``.
        wait: Seconds to wait for another holder.

    Raises:
        StackBusyError: Another process, or another thread of this one, holds it.
    """
    deadline = time.monotonic() + wait
    while (descriptor := _acquire(path)) is None and time.monotonic() < deadline:
        time.sleep(_PAUSE)
    if descriptor is None:
        raise StackBusyError(
            f"Process {_holder(path)} is at work on {what}; wait until it has ended, then run this again."
        )
    try:
        with suppress(OSError):  # a full disk: the lock holds without its holder's name
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def remove_locked(path: Path) -> None:
    """Remove the directory of a lock that this process holds, the lock itself last.

    Who waits for the lock gets it only when nothing else is left in the directory. Then the directory may stay behind
    with a waiter's own lock in it, and it is the waiter's to remove.
    """
    with suppress(OSError):
        for entry in list(path.parent.iterdir()):
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry, ignore_errors=True)
            elif entry != path:
                with suppress(OSError):
                    entry.unlink()
        path.unlink()
        path.parent.rmdir()


@contextmanager
def wait_for_lock(path: Path) -> Iterator[None]:
    """Hold a lock that others hold for a moment only; waits for its turn."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def is_locked(path: Path) -> bool:
    """Whether a process holds the lock right now."""
    if not path.exists():
        return False
    descriptor = _acquire(path)
    if descriptor is None:
        return True
    os.close(descriptor)
    return False


def _acquire(path: Path) -> int | None:
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except FileNotFoundError:
            continue  # the directory went away between the two calls: a `down` ended
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        if _is_still_at(descriptor, path):
            return descriptor
        # The last holder deleted the file after it was opened here: what is locked is not the lock any more.
        os.close(descriptor)


def _is_still_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _holder(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip() or "(unknown)"
    except (OSError, UnicodeDecodeError):
        return "(unknown)"
