"""What a class of the user's can remember outside its instances: values that change and that its code can reach.

A module's set of done keys, a class attribute, a default value, a name that a function binds anew. What only other code
of the module reaches, such as its tests, is not looked at.
"""

from __future__ import annotations

import ast
import logging
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date, timedelta, tzinfo
from decimal import Decimal
from enum import Enum
from functools import cache
from pathlib import Path, PurePath
from types import CodeType, FunctionType, MappingProxyType, ModuleType
from typing import Any, Final, TypeVar

#: What never changes. A logger does, and holds nothing of a consumer's work.
_CONSTANT: Final = (
    *(str, bytes, int, float, complex, type(None), type(...), type(NotImplemented)),
    *(re.Pattern, Enum, date, timedelta, tzinfo, Decimal, PurePath, TypeVar, logging.Logger),
)
#: What changes, of the types that the language brings.
_CONTAINERS: Final = (list, dict, set, bytearray, Iterator)


def remembering(kind: type, own: Mapping[str, ModuleType]) -> frozenset[str]:
    """Return the names of the modules in which a class can remember.

    Args:
        kind: the class.
        own: the modules that may, by name.
    """
    search = _Search(own)
    search.reach(kind, kind.__module__)
    return frozenset(search.found)


class _Search:
    """Goes from value to value, as the code can."""

    def __init__(self, own: Mapping[str, ModuleType]) -> None:
        self.found: set[str] = set()
        self._own = own
        self._seen: dict[int, Any] = {}
        self._assigning = {name: frozenset(_assigning_lines(module)) for name, module in own.items()}

    def reach(self, value: Any, where: str) -> None:
        """Look at a value that code of a module reaches."""
        if id(value) in self._seen or isinstance(value, _CONSTANT):
            return
        self._seen[id(value)] = value
        parts = self._parts(value)
        if parts is None:
            self.found.add(where)
            self.found.update(
                name for name, each in self._own.items() if any(it is value for it in vars(each).values())
            )
            return
        for place, part in parts:
            self.reach(part, place or where)

    def _parts(self, value: Any) -> Iterable[tuple[str, Any]] | None:
        """Return what a value leads to, each with the module it is of or an empty name; None for what can change."""
        if isinstance(value, ModuleType):
            return self._of_module(value)
        if isinstance(value, type):
            return self._of_class(value)
        if isinstance(value, FunctionType):
            return self._of_function(value)
        for kind, parts in _PARTS.items():
            if isinstance(value, kind):
                return [("", part) for part in parts(value)]
        of = type(value)
        if getattr(getattr(of, "__dataclass_params__", None), "frozen", False):
            return [("", getattr(value, name, None)) for name in of.__dataclass_fields__]
        given = of.__module__ in ("builtins", "typing", "types", "__future__")
        return () if given and not isinstance(value, _CONTAINERS) else None

    def _of_module(self, module: ModuleType) -> Iterable[tuple[str, Any]]:
        if module.__name__ not in self._own:
            return ()
        return [(module.__name__, value) for name, value in vars(module).items() if not _is_dunder(name)]

    def _of_class(self, kind: type) -> Iterable[tuple[str, Any]]:
        if kind.__module__ not in self._own or issubclass(kind, Enum) or hasattr(kind, "_fields"):
            return ()
        own = (
            value
            for name, value in vars(kind).items()
            if name != "_abc_impl" and (not _is_dunder(name) or callable(value))
        )
        return [(kind.__module__, value) for value in (*own, *kind.__bases__)]

    def _of_function(self, function: FunctionType) -> Iterable[tuple[str, Any]]:
        cells = [cell.cell_contents for cell in function.__closure__ or () if _is_filled(cell)]
        held = (*cells, *(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values())
        home = str(function.__globals__.get("__name__"))
        if home not in self._own:
            return [("", value) for value in held]
        if function.__code__.co_firstlineno in self._assigning[home]:
            self.found.add(home)
        named = (name for name in _names_in(function.__code__) if name in function.__globals__)
        return [(home, value) for value in (*held, *(function.__globals__[name] for name in named))]


#: What values of a type are made of.
_PARTS: Final[Mapping[type, Callable[[Any], Iterable[Any]]]] = {
    staticmethod: lambda method: (method.__func__,),
    classmethod: lambda method: (method.__func__,),
    property: lambda each: (each.fget, each.fset, each.fdel),
    tuple: tuple,
    frozenset: tuple,
    MappingProxyType: lambda view: view.values(),
}


def _names_in(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names_in(constant)


@cache
def syntax_of(module: ModuleType) -> ast.Module:
    """Return a module's syntax tree, which several questions are asked about."""
    return ast.parse(Path(str(module.__file__)).read_bytes())


def _assigning_lines(module: ModuleType) -> Iterator[int]:
    """Yield the first lines of functions that assign to a global name, or to an attribute of anything but ``self``."""
    for node in ast.walk(syntax_of(module)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and any(map(_assigns, ast.walk(node))):
            yield min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])


def _assigns(node: ast.AST) -> bool:
    match node:
        case ast.Global():
            return True
        case ast.Attribute(value=value, ctx=ast.Store()):
            return not _is_self(value)
        case ast.Call(func=ast.Name(id="setattr"), args=[first, *_]):
            return not _is_self(first)
    return False


def _is_self(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id == "self"


def _is_filled(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018 - an empty one raises
    except ValueError:
        return False
    return True


def _is_dunder(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")
