"""How a program's own runtime starts it quickly: a history is short, so most of its CPU time would be the start's.

Only a command that begins with ``node`` or ``java`` is changed. Its code runs as before; what compiles it does less.

- In Node, ``fetch`` reads HTTP in WebAssembly. V8 compiles that once and not twice: a third of a history's CPU time.
- Node from 22.1 on keeps compiled modules in a cache, unless the user has named one.
- Java gets the quick one of its two compilers and the plain garbage collector: the others pay off after minutes.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

_NODE_PRELOAD: Final = Path(__file__).with_name("warm") / "compile_once.cjs"
#: https://nodejs.org/docs/latest-v22.x/api/module.html#module-compile-cache
_NODE_CACHE: Final = "NODE_COMPILE_CACHE"
_JAVA_COMPILER, _JAVA_COLLECTOR = "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"
#: Options that choose a garbage collector or a compiler: a second choice of a collector would keep Java from starting.
_JAVA_CHOICES: Final = ("-XX:+Use", "-XX:TieredStopAtLevel", "-XX:-TieredCompilation", "-Xint", "-XX:Flags", "@")
#: The variables in which options for Java may stand.
_JAVA_VARIABLES: Final = ("JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS")


def quick(arguments: Sequence[str], environment: Mapping[str, str]) -> tuple[tuple[str, ...], dict[str, str]]:
    """Return a command and its environment such that the program starts quickly.

    Args:
        arguments: the program and its arguments.
        environment: its environment.
    """
    first, *rest = arguments
    name = Path(first).name
    if name in ("node", "nodejs"):
        cache = environment.get(_NODE_CACHE) or str(_cache_directory() / "node")
        return (first, "--require", str(_NODE_PRELOAD), *rest), {**environment, _NODE_CACHE: cache}
    if name == "java" and not _has_chosen(rest, environment):
        return (first, _JAVA_COMPILER, _JAVA_COLLECTOR, *rest), dict(environment)
    return tuple(arguments), dict(environment)


def _has_chosen(arguments: Sequence[str], environment: Mapping[str, str]) -> bool:
    """Tell whether the user has chosen how Java compiles, or collects garbage."""
    given = [*arguments, *(word for name in _JAVA_VARIABLES for word in environment.get(name, "").split())]
    return any(word.startswith(_JAVA_CHOICES) for word in given)


def _cache_directory() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "queue-fundamentals"
