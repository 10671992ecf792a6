"""Tells whether a process of this machine is there."""

from __future__ import annotations

import os
from pathlib import Path


def is_running(pid: int) -> bool:
    """Return whether a process is there and has not ended; one that waits to be reaped has ended."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    try:
        # The state follows the command's name, which is in brackets and may hold anything.
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return True  # a system without /proc
    return status.rpartition(")")[2].split()[0] != "Z"
