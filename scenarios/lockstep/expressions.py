"""DynamoDB's expressions on an item's own attributes, read once: what most handlers' conditional writes are made of.

    attribute_not_exists(message_id) OR (#status = :started AND lease <= :now)          a condition
    SET #status = :started, lease = :lease ADD attempts :one                            an update
    #status, lease                                                                      a projection

An expression is read into a function, and remembered with its names; its values stand beside it. What lies beyond these
(nested paths, sizes, lists, binary values) raises :class:`BeyondError`, and moto does all of it.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.OperatorsAndFunctions.html
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache, lru_cache
from typing import Any, Final, TypeAlias

from moto.dynamodb.parsing.reserved_keywords import ReservedKeywords

from infra.localaws.limits import RefusedError, check_expressions

#: An attribute's value as the protocol has it, such as ``{"S": "STARTED"}``.
Value: TypeAlias = Mapping[str, Any]
Item: TypeAlias = Mapping[str, Value]
#: What placeholders such as ``:now`` stand for.
Values: TypeAlias = Mapping[str, Value]
#: Names such as ``#status``, each with the attribute that it stands for, in the order of the names.
Names: TypeAlias = tuple[tuple[str, str], ...]
Condition: TypeAlias = Callable[[Item, Values], bool]
Operand: TypeAlias = Callable[[Item, Values], Value | None]

#: Expressions that are remembered: a handler has a few.
REMEMBERED: Final = 512
#: The types of values that these expressions set and keep.
PLAIN_TYPES: Final = frozenset({"S", "N", "BOOL", "SS"})
_ORDERED: Final = frozenset({"S", "N"})
_TOKEN: Final = re.compile(r"\s*([#:]\w+|[A-Za-z]\w*|<>|<=|>=|[()=<>,+-])", re.ASCII)
_NAME: Final = re.compile(r"[A-Za-z_]\w*", re.ASCII)
#: Numbers that are counted with here: their sums are exact, and spelt as DynamoDB spells them.
_WHOLE: Final = re.compile(r"-?\d{1,15}", re.ASCII)
_COMPARISONS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "=": operator.eq,
    "<>": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_MIRRORED: Final = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
_SECTIONS: Final = frozenset({"SET", "ADD", "REMOVE"})


class BeyondError(Exception):
    """Tell that an expression, or a value that it meets, is none of those that are read here."""


@dataclass(frozen=True, slots=True)
class Update:
    """An update expression.

    Attributes:
        sets: the attributes that it sets, each with what to.
        adds: the attributes to which it adds, each with the value's placeholder.
        removes: the attributes that it removes.
        names: the names that it uses; likewise ``values``.
    """

    sets: tuple[tuple[str, Operand], ...]
    adds: tuple[tuple[str, str], ...]
    removes: tuple[str, ...]
    names: frozenset[str]
    values: frozenset[str]

    @property
    def targets(self) -> list[str]:
        """The attributes that it changes."""
        return [*(name for name, _ in self.sets), *(name for name, _ in self.adds), *self.removes]

    def applied(self, item: Item, values: Values) -> dict[str, Value]:
        """Return an item as it is after the update; all is read from the item as it was before.

        Raises:
            BeyondError: it meets a value that is not counted with here, or none.
        """
        changed = dict(item)
        for name, operand in self.sets:
            value = operand(item, values)
            if value is None:
                raise BeyondError("an operand that is not there")
            changed[name] = value
        for name, placeholder in self.adds:
            changed[name] = _added(item.get(name), values[placeholder])
        for name in self.removes:
            changed.pop(name, None)
        return changed


@dataclass(frozen=True, slots=True)
class Check:
    """A condition expression.

    Attributes:
        holds: tells whether it holds for an item; one that does not exist is empty.
        names: the names that it uses; likewise ``values``.
    """

    holds: Condition
    names: frozenset[str]
    values: frozenset[str]


@lru_cache(REMEMBERED)
def read_condition(text: str, names: Names) -> Check:
    """Read a condition expression.

    Raises:
        BeyondError: it is none that is read here.
    """
    tokens = _Tokens("ConditionExpression", text, names)
    holds = _either(tokens)
    tokens.end()
    return Check(holds, *tokens.used)


@lru_cache(REMEMBERED)
def read_update(text: str, names: Names, key: str) -> Update:
    """Read an update expression.

    Args:
        text: the expression.
        names: what its names stand for.
        key: the attribute that no update may change; moto takes none that reads it either.

    Raises:
        BeyondError: it is none that is read here.
    """
    tokens = _Tokens("UpdateExpression", text, names)
    sets: list[tuple[str, Operand]] = []
    adds: list[tuple[str, str]] = []
    removes: list[str] = []
    seen: set[str] = set()
    while tokens.next:
        section = tokens.take()
        if section not in _SECTIONS or section in seen:
            raise BeyondError(f"the section {section}")
        seen.add(section)
        while True:
            path = tokens.path()
            if section == "SET":
                tokens.expect("=")
                sets.append((path, _sum(tokens)))
            elif section == "ADD":
                adds.append((path, tokens.value()))
            else:
                removes.append(path)
            if tokens.next != ",":
                break
            tokens.take()
    update = Update(tuple(sets), tuple(adds), tuple(removes), *tokens.used)
    targets = update.targets
    if not targets or key in tokens.paths or len(set(targets)) != len(targets):
        raise BeyondError("its targets")
    return update


@lru_cache(REMEMBERED)
def read_projection(text: str, names: Names) -> tuple[frozenset[str], frozenset[str]]:
    """Read a projection expression: return the attributes that it names, and the names that it uses.

    Raises:
        BeyondError: it is none that is read here.
    """
    tokens = _Tokens("ProjectionExpression", text, names)
    paths = [tokens.path()]
    while tokens.next:
        tokens.expect(",")
        paths.append(tokens.path())
    if len(set(paths)) != len(paths):
        raise BeyondError("a path that is named twice")
    return frozenset(paths), tokens.used[0]


class _Tokens:
    """The words and signs of an expression.

    Attributes:
        paths: the attributes that it names.
    """

    def __init__(self, kind: str, text: str, names: Names) -> None:
        try:
            check_expressions({kind: text})
        except RefusedError:
            raise BeyondError("its length") from None
        self._names = dict(names)
        self.paths: set[str] = set()
        self._used_names: set[str] = set()
        self._used_values: set[str] = set()
        self._tokens: list[str] = []
        at, end = 0, len(text.rstrip())
        while at < end:
            found = _TOKEN.match(text, at)
            if found is None:
                raise BeyondError(f"what begins at {text[at:]!r}")
            self._tokens.append(found[1])
            at = found.end()
        self._tokens.reverse()

    @property
    def next(self) -> str:
        """The next token; empty at the end."""
        return self._tokens[-1] if self._tokens else ""

    @property
    def used(self) -> tuple[frozenset[str], frozenset[str]]:
        """The names and the values that were read."""
        return frozenset(self._used_names), frozenset(self._used_values)

    def take(self) -> str:
        if not self._tokens:
            raise BeyondError("an end too early")
        return self._tokens.pop()

    def expect(self, token: str) -> None:
        if self.take() != token:
            raise BeyondError(f"a place where {token} is missing")

    def end(self) -> None:
        if self._tokens:
            raise BeyondError(f"what follows, {self.next!r}")

    def path(self) -> str:
        """Read an attribute's name, or what stands for one."""
        token = self.take()
        if token.startswith("#"):
            self._used_names.add(token)
            token = self._names.get(token, "")
        elif token.upper() in _reserved():
            raise BeyondError(f"the reserved word {token}")
        if not _NAME.fullmatch(token):
            raise BeyondError(f"the path {token!r}")
        self.paths.add(token)
        return token

    def value(self) -> str:
        """Read a value's placeholder."""
        token = self.take()
        if not token.startswith(":"):
            raise BeyondError(f"the value {token!r}")
        self._used_values.add(token)
        return token


@cache
def _reserved() -> frozenset[str]:
    return frozenset(word.upper() for word in ReservedKeywords.get_reserved_keywords())


# --- conditions: OR binds less than AND, which binds less than NOT ---------------------------------------------------


def _either(tokens: _Tokens) -> Condition:
    parts = [_both(tokens)]
    while tokens.next == "OR":
        tokens.take()
        parts.append(_both(tokens))
    return parts[0] if len(parts) == 1 else lambda item, values: any(part(item, values) for part in parts)


def _both(tokens: _Tokens) -> Condition:
    parts = [_not(tokens)]
    while tokens.next == "AND":
        tokens.take()
        parts.append(_not(tokens))
    return parts[0] if len(parts) == 1 else lambda item, values: all(part(item, values) for part in parts)


def _not(tokens: _Tokens) -> Condition:
    if tokens.next == "NOT":
        tokens.take()
        if tokens.next == "NOT":
            raise BeyondError("what is denied twice")
        denied = _not(tokens)
        return lambda item, values: not denied(item, values)
    if tokens.next == "(":
        tokens.take()
        within = _either(tokens)
        tokens.expect(")")
        return within
    return _function(tokens) if tokens.next in _FUNCTIONS else _comparison(tokens)


def _comparison(tokens: _Tokens) -> Condition:
    """Read the comparison of an attribute with a value, in either order."""
    if tokens.next.startswith(":"):
        value, sign, path = tokens.value(), tokens.take(), tokens.path()
        sign = _MIRRORED.get(sign, sign)
    else:
        path, sign, value = tokens.path(), tokens.take(), tokens.value()
    if sign not in _COMPARISONS:
        raise BeyondError(f"the comparison {sign!r}")
    compare, differ = _COMPARISONS[sign], sign == "<>"

    def compared(item: Item, values: Values) -> bool:
        ((kind, right),) = values[value].items()
        found = item.get(path)
        if found is None:
            if kind not in _ORDERED:
                raise BeyondError(f"a comparison with {kind}")
            return differ
        ((type_found, left),) = found.items()
        if kind not in _ORDERED or type_found not in _ORDERED:
            raise BeyondError(f"a comparison of {type_found} with {kind}")
        if kind != type_found:
            return differ
        return compare(Decimal(left), Decimal(right)) if kind == "N" else compare(left, right)

    return compared


def _function(tokens: _Tokens) -> Condition:
    name = tokens.take()
    tokens.expect("(")
    path = tokens.path()
    value = ""
    if name in ("begins_with", "contains"):
        tokens.expect(",")
        value = tokens.value()
    tokens.expect(")")
    return _FUNCTIONS[name](path, value)


def _exists(path: str, _value: str) -> Condition:
    return lambda item, _: path in item


def _exists_not(path: str, _value: str) -> Condition:
    return lambda item, _: path not in item


def _begins_with(path: str, value: str) -> Condition:
    def begins(item: Item, values: Values) -> bool:
        start = _string(values[value])
        return "S" in (found := item.get(path, {})) and bool(found["S"].startswith(start))

    return begins


def _contains(path: str, value: str) -> Condition:
    def contains(item: Item, values: Values) -> bool:
        sought, found = _string(values[value]), item.get(path)
        if found is None:
            return False
        ((kind, held),) = found.items()
        if kind not in ("S", "SS"):
            raise BeyondError(f"contains of {kind}")
        return sought in held

    return contains


def _string(value: Value) -> str:
    if "S" not in value:
        raise BeyondError("an argument that is no string")
    return str(value["S"])


_FUNCTIONS: Final = {
    "attribute_exists": _exists,
    "attribute_not_exists": _exists_not,
    "begins_with": _begins_with,
    "contains": _contains,
}


# --- updates ---------------------------------------------------------------------------------------------------------


def _sum(tokens: _Tokens) -> Operand:
    left = _operand(tokens)
    if tokens.next not in ("+", "-"):
        return left
    sign = -1 if tokens.take() == "-" else 1
    right = _operand(tokens)
    return lambda item, values: {"N": str(_whole(left(item, values)) + sign * _whole(right(item, values)))}


def _operand(tokens: _Tokens) -> Operand:
    if tokens.next.startswith(":"):
        value = tokens.value()
        return lambda _, values: values[value]
    if tokens.next != "if_not_exists":
        path = tokens.path()
        return lambda item, _: item.get(path)
    tokens.take()
    tokens.expect("(")
    path = tokens.path()
    tokens.expect(",")
    otherwise = _operand(tokens)
    tokens.expect(")")
    return lambda item, values: item[path] if path in item else otherwise(item, values)


def _added(before: Value | None, value: Value) -> Value:
    """Return the sum of two numbers, or the union of two sets of strings."""
    if "SS" in value and (before is None or "SS" in before):
        held = [] if before is None else before["SS"]
        return {"SS": [*held, *(each for each in value["SS"] if each not in held)]}
    return {"N": str((0 if before is None else _whole(before)) + _whole(value))}


def _whole(value: Value | None) -> int:
    if value is None or "N" not in value or not _WHOLE.fullmatch(value["N"]):
        raise BeyondError("a number that is not counted with here")
    return int(value["N"])
