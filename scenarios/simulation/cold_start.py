"""A consumer's code as each new process loads it: what one remembers in a module or a class, no other one knows.

Real consumers share no memory, and a process that starts has none of the last one's. In a simulation all of them are
tasks of one Python process, so a module's own set of done keys would be the memory of all consumers and all histories.
So those of the user's modules that can remember, and those that import them, are loaded anew for each process, from
compiled code. Modules of this project and installed packages are shared.
"""

from __future__ import annotations

import ast
import importlib
import logging
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta, tzinfo
from decimal import Decimal
from enum import Enum
from functools import reduce
from importlib.machinery import ModuleSpec
from pathlib import Path, PurePath
from types import CodeType, FunctionType, MappingProxyType, ModuleType
from typing import Any, Final, TypeVar

Kind = TypeVar("Kind", bound=type)

#: The packages of this project, which remember nothing.
OURS: Final = frozenset({"services", "scenarios", "infra", "tasks"})
#: Directories of installed packages.
INSTALLED: Final = frozenset({"site-packages", "dist-packages"})
#: What never changes. A logger and a module do, and hold nothing of a consumer's work.
_CONSTANT: Final = (
    *(str, bytes, int, float, complex, type(None), type(...), type(NotImplemented)),
    *(re.Pattern, Enum, date, timedelta, tzinfo, Decimal, PurePath, TypeVar, logging.Logger, ModuleType),
)
#: What changes, of the types that the language brings.
_CONTAINERS: Final = (list, dict, set, bytearray, Iterator)
_loads: Final[dict[type, Callable[[], type]]] = {}


def cold_start(kind: Kind) -> Kind:
    """Return a consumer's class as a process that starts would load it; the class itself where it remembers nothing."""
    load = _loads.get(kind)
    if load is None:
        load = _loads[kind] = _load_of(kind)
    return load()  # type: ignore[return-value]


def _load_of(kind: type) -> Callable[[], type]:
    module = sys.modules.get(kind.__module__)
    anew = _anew(_own_modules(module)) if module is not None else ()
    if module not in anew or "<locals>" in kind.__qualname__ or _named(module, kind.__qualname__) is not kind:
        return lambda: kind
    sources = {each.__name__: _Source.of(each) for each in anew}
    finder = _Finder(sources)

    def load() -> type:
        with _without(sources, finder):
            loaded: type = _named(importlib.import_module(kind.__module__), kind.__qualname__)
            return loaded

    return load


def _anew(modules: Sequence[ModuleType]) -> Sequence[ModuleType]:
    """Return the modules that remember, and those that import one of them."""
    trees = {each.__name__: ast.parse(Path(str(each.__file__)).read_bytes()) for each in modules}
    imports = {each.__name__: set(_imported_by(each, trees[each.__name__])) for each in modules}
    anew = {each.__name__ for each in modules if _remembers(each) or _rebinds(trees[each.__name__])}
    while more := {name for name, imported in imports.items() if name not in anew and imported & anew}:
        anew |= more
    return [each for each in modules if each.__name__ in anew]


def _imported_by(module: ModuleType, tree: ast.AST) -> Iterator[str]:
    """Yield the names of what a module imports, and what may be a module of them."""
    for node in ast.walk(tree):
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


def _own_modules(module: ModuleType) -> Sequence[ModuleType]:
    """Return the loaded modules that lie beside a module: the user's, in the order in which they were loaded."""
    if module.__name__.partition(".")[0] in OURS or not getattr(module, "__file__", None):
        return ()
    root = Path(str(module.__file__)).resolve().parents[module.__name__.count(".") + _is_package(module)]
    return [each for each in list(sys.modules.values()) if _lies_below(each, root)]


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


# --- what remembers --------------------------------------------------------------------------------------------------


def _remembers(module: ModuleType) -> bool:
    """Tell whether a module holds a value that can change."""
    return any(not _is_constant(value) for name, value in vars(module).items() if not _is_dunder(name))


def _is_constant(value: Any) -> bool:
    if isinstance(value, _CONSTANT):
        return True
    parts = _parts(value)
    return parts is not None and all(map(_is_constant, parts))


def _parts(value: Any) -> Iterable[Any] | None:
    """Return what a value is made of, if that alone can change; None for what can change itself."""
    for kind, parts in _PARTS.items():
        if isinstance(value, kind):
            return parts(value)
    of = type(value)
    if getattr(getattr(of, "__dataclass_params__", None), "frozen", False):
        return [getattr(value, name, None) for name in of.__dataclass_fields__]
    given = of.__module__ in ("builtins", "typing", "types", "__future__")
    return () if given and not isinstance(value, _CONTAINERS) else None


def _class_parts(kind: type) -> Iterable[Any]:
    installed = kind.__module__.partition(".")[0] in OURS or INSTALLED & set(_file_of(kind).parts)
    if installed or kind.__module__ in sys.stdlib_module_names or issubclass(kind, Enum) or hasattr(kind, "_fields"):
        return ()
    attributes = vars(kind).items()
    return [value for name, value in attributes if name != "_abc_impl" and (not _is_dunder(name) or callable(value))]


def _file_of(kind: type) -> Path:
    return Path(getattr(sys.modules.get(kind.__module__), "__file__", None) or "")


def _function_parts(function: FunctionType) -> Iterable[Any]:
    cells = [cell.cell_contents for cell in function.__closure__ or () if _is_filled(cell)]
    parts = (*cells, *(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values())
    # A class is in a cell of its own methods, and a function may be in one of its own.
    return [part for part in parts if part is not function and not isinstance(part, type)]


#: What values of a type are made of.
_PARTS: Final[Mapping[type, Callable[[Any], Iterable[Any]]]] = {
    type: _class_parts,
    FunctionType: _function_parts,
    staticmethod: lambda method: (method.__func__,),
    classmethod: lambda method: (method.__func__,),
    property: lambda each: (each.fget, each.fset, each.fdel),
    tuple: tuple,
    frozenset: tuple,
    MappingProxyType: lambda view: view.values(),
}


def _is_filled(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018 - an empty one raises
    except ValueError:
        return False
    return True


def _rebinds(tree: ast.AST) -> bool:
    """Tell whether a module's code assigns to a global name, or to an attribute of anything but ``self``."""
    return any(isinstance(node, ast.Global) or _sets_another(node) for node in ast.walk(tree))


def _sets_another(node: ast.AST) -> bool:
    match node:
        case ast.Attribute(value=value, ctx=ast.Store()):
            return not (isinstance(value, ast.Name) and value.id == "self")
        case ast.Call(func=ast.Name(id="setattr"), args=[first, *_]):
            return not (isinstance(first, ast.Name) and first.id == "self")
    return False


def _is_dunder(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")
