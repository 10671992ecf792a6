"""What a machine can lack, told from all that can go wrong with a service: it is no fault of the queue or the consumer.

A full disk, an exhausted memory, too many open files and a closed output end a process with one sentence and an exit
code of their own. What a message was in the middle of comes again, as after a crash.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator, Mapping

from services.errors import MachineError

#: What helps where a resource is exhausted.
RESOURCES: Mapping[int, str] = {
    errno.ENOSPC: "make room on the disk",
    errno.EDQUOT: "make room in the disk quota",
    errno.EMFILE: "raise the limit of open files (`ulimit -n`)",
    errno.ENFILE: "raise the system's limit of open files",
    errno.ENOMEM: "free some memory, or raise its limit (`ulimit -v`)",
}
#: What helps where a file or an output of this process cannot be written.
FILES: Mapping[int, str] = {
    errno.EFBIG: "raise the limit of a file's size (`ulimit -f`)",
    errno.EROFS: "choose a directory that can be written",
    errno.EIO: "check the disk",
    errno.EPIPE: "keep its output open",
    errno.EBADF: "keep its output open",
}
#: What Python says where the system gives it no more threads; it has no class of its own for this.
NO_THREAD = "can't start new thread"


def machine_error(error: BaseException) -> MachineError | None:
    """Return the sentence for an error of the machine, None for any other.

    A library may have wrapped it. What is wrapped may be about a connection as well, so there only the exhaustion of a
    resource counts.
    """
    known: Mapping[int, str] = {**RESOURCES, **FILES}
    for cause in _causes(error):
        if isinstance(cause, MachineError):
            return cause
        if isinstance(cause, MemoryError):
            return MachineError(f"The memory of this machine is exhausted; {RESOURCES[errno.ENOMEM]}.")
        if isinstance(cause, RuntimeError) and NO_THREAD in str(cause):
            return MachineError("This machine has no thread left; raise the limit of processes (`ulimit -u`).")
        remedy = known.get(cause.errno or 0) if isinstance(cause, OSError) else None
        if isinstance(cause, OSError) and remedy:
            where = f": {cause.filename}" if cause.filename else ""
            return MachineError(f"This machine cannot go on ({cause.strerror}{where}); {remedy}.")
        known = RESOURCES
    return None


def check_outputs() -> None:
    """Make sure that standard output and standard error are open.

    Raises:
        MachineError: one of them is closed; the next file that the process opens would get its number.
    """
    for stream, name in ((sys.stdout, "output"), (sys.stderr, "error")):
        if stream is None:  # so Python marks a closed one
            raise MachineError(f"The standard {name} is closed; keep it open, or send it to /dev/null.")


def silence_broken_outputs() -> None:
    """Send an output that cannot be written to /dev/null, so that the interpreter does not fail at it in the end."""
    for stream in (sys.stdout, sys.stderr):
        if stream is None:
            continue
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _causes(error: BaseException) -> Iterator[BaseException]:
    found: BaseException | None = error
    while found is not None:
        yield found
        found = found.__cause__ or found.__context__
