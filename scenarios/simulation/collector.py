"""The collector of cyclic garbage, kept away while histories are made.

All that a history makes is in use until its end, and then freed at once (see ``SimulatedLab.close``). The collector
would go through it again and again, find nothing, and take a sixth of the time.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_collection() -> Iterator[None]:
    """Keep the collector away until the end of the block, which should not outlast the histories that it makes."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
