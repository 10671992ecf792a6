"""A consumer's code as each new process loads it: what one remembers in a module or a class, no other one knows.

Real consumers share no memory, and a process that starts has none of the last one's. In a simulation all of them are
tasks of one Python process, so a module's own set of done keys would be the memory of all consumers and all histories.
So those of the user's modules that can remember, and those that import them, are loaded anew for each process, from
compiled code. Modules of this project and installed packages are shared.
"""

from __future__ import annotations

import ast
import importlib
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import reduce
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, Final, TypeVar

from scenarios.errors import RequestError
from scenarios.simulation.memory import remembering, syntax_of

Kind = TypeVar("Kind", bound=type)

#: The packages of this project, which remember nothing.
OURS: Final = frozenset({"services", "scenarios", "infra", "tasks"})
#: Directories of installed packages.
INSTALLED: Final = frozenset({"site-packages", "dist-packages"})
_loads: Final[dict[type, Callable[[], type]]] = {}


def cold_start(kind: Kind) -> Kind:
    """Return a consumer's class as a process that starts would load it; the class itself where it remembers nothing.

    Raises:
        RequestError: its module cannot be loaded a second time.
    """
    load = _loads.get(kind)
    if load is None:
        load = _loads[kind] = _load_of(kind)
    return load()  # type: ignore[return-value]


def _load_of(kind: type) -> Callable[[], type]:
    own = _own_modules(kind.__module__)
    anew = _anew(kind, own)
    module = own.get(kind.__module__)
    if module is None or kind.__module__ not in anew or _named(module, kind.__qualname__) is not kind:
        return lambda: kind
    sources = {name: _Source.of(own[name]) for name in anew}
    finder = _Finder(sources)

    def load() -> type:
        with _without(sources, finder):
            try:
                loaded: type = _named(importlib.import_module(kind.__module__), kind.__qualname__)
            except Exception as error:
                raise RequestError(
                    f"{kind.__module__}:{kind.__qualname__} remembers outside its instances, and its module cannot be "
                    f"loaded once more for each simulated process: {error!r}; put the class into a module of its own."
                ) from error
            return loaded

    return load


def _anew(kind: type, own: Mapping[str, ModuleType]) -> frozenset[str]:
    """Return the modules in which a class can remember, and those that import one of them."""
    anew = set(remembering(kind, own)) if own else set()
    imports = {name: set(_imported_by(module)) for name, module in own.items()} if anew else {}
    while more := {name for name, imported in imports.items() if name not in anew and imported & anew}:
        anew |= more
    return frozenset(anew)


def _imported_by(module: ModuleType) -> Iterator[str]:
    """Yield the names of what a module imports, and what may be a module of them."""
    for node in ast.walk(syntax_of(module)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = module.__name__.split(".")
            package = package[: len(package) - node.level + _is_package(module)] if node.level else []
            whole = ".".join([*package, *filter(None, [node.module])])
            yield whole
            yield from (f"{whole}.{alias.name}" for alias in node.names)


def _named(module: Any, qualname: str) -> Any:
    return reduce(lambda within, name: getattr(within, name, None), qualname.split("."), module)


# --- the user's modules ----------------------------------------------------------------------------------------------


def _own_modules(name: str) -> Mapping[str, ModuleType]:
    """Return the user's modules that a module of theirs imports, and it: those that lie below the same directory."""
    module = sys.modules.get(name)
    if module is None or name.partition(".")[0] in OURS or not getattr(module, "__file__", None):
        return {}
    root = Path(str(module.__file__)).resolve().parents[name.count(".") + _is_package(module)]
    found: dict[str, ModuleType] = {}
    names = [name]
    while names:
        name = names.pop()
        module = sys.modules.get(name)
        if name not in found and module is not None and _lies_below(module, root):
            found[name] = module
            names += [*_imported_by(module), name.rpartition(".")[0]]
    return found


def _lies_below(module: ModuleType, root: Path) -> bool:
    file = getattr(module, "__file__", None)
    if not file or module.__name__.partition(".")[0] in {*OURS, "__main__"} or not file.endswith(".py"):
        return False
    path = Path(file).resolve()
    return path.is_relative_to(root) and not INSTALLED & set(path.parts)


def _is_package(module: ModuleType) -> bool:
    return hasattr(module, "__path__")


@dataclass(frozen=True, slots=True)
class _Source:
    """A module's compiled code, and where it is from."""

    code: CodeType
    file: str
    path: tuple[str, ...] | None

    @classmethod
    def of(cls, module: ModuleType) -> _Source:
        """Read a module."""
        file = str(module.__file__)
        code = compile(Path(file).read_bytes(), file, "exec", dont_inherit=True)
        return cls(code, file, tuple(module.__path__) if _is_package(module) else None)


class _Finder:
    """Finds the user's modules by their compiled code; looking for files takes longer than to run most of them."""

    def __init__(self, sources: Mapping[str, _Source]) -> None:
        self._sources = sources

    def find_spec(self, name: str, _path: object = None, _target: object = None) -> ModuleSpec | None:
        """See :class:`importlib.abc.MetaPathFinder`."""
        source = self._sources.get(name)
        if source is None:
            return None
        spec = ModuleSpec(name, self, origin=source.file, is_package=source.path is not None)  # type: ignore[arg-type]
        spec.has_location = True
        if source.path is not None:
            spec.submodule_search_locations = list(source.path)
        return spec

    def create_module(self, _spec: ModuleSpec) -> None:
        """See :class:`importlib.abc.Loader`."""

    def exec_module(self, module: ModuleType) -> None:
        """See :class:`importlib.abc.Loader`."""
        exec(self._sources[module.__name__].code, vars(module))  # noqa: S102 - the user's own module


@contextmanager
def _without(names: Iterable[str], finder: _Finder) -> Iterator[None]:
    """Let modules be loaded once more, and put back those that were there."""
    before = {name: sys.modules.pop(name) for name in names if name in sys.modules}
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name in names:
            sys.modules.pop(name, None)
        sys.modules.update(before)
