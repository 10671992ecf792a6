"""Bodies from a JSON Schema, drawn by Hypothesis: what a program's messages may look like.

``hypothesis-jsonschema`` would be the library for it. Its last release reaches into Hypothesis's internals, which have
changed since, so it fails on any object with required properties. The keywords here are those that describe messages;
one that is not among them is an error that names it. Hypothesis is an extra, so this module is imported where a schema
is read, and not before.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import hypothesis
from hypothesis import provisional
from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument

from scenarios.errors import RequestError

Strategy: TypeAlias = st.SearchStrategy[Any]

#: Keywords that describe a schema and no value.
_SAID = frozenset(
    {"$schema", "$id", "$defs", "definitions", "$comment", "title", "description", "default", "examples", "deprecated"}
)
#: The keywords of each type. https://json-schema.org/draft/2020-12/json-schema-validation
_OF_TYPE: Mapping[str, frozenset[str]] = {
    "object": frozenset({"properties", "required", "additionalProperties"}),
    "array": frozenset({"items", "minItems", "maxItems", "uniqueItems"}),
    "string": frozenset({"minLength", "maxLength", "pattern", "format"}),
    "integer": frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}),
    "number": frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}),
    "boolean": frozenset(),
    "null": frozenset(),
}
#: The most elements, characters and properties of what a schema does not bound.
_SOME = 8
#: How deep schemas may refer to one another.
_DEEPEST = 20


def read_schema(path: Path) -> Mapping[str, Any]:
    """Read a JSON Schema.

    Raises:
        RequestError: it cannot be read, or holds what is not understood.
    """
    try:
        schema = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise RequestError(f"The JSON Schema {path} cannot be read: {error}.") from None
    if not isinstance(schema, dict):
        raise RequestError(f"The JSON Schema {path} is no JSON object.")
    bodies(schema, str(path))
    return schema


def bodies(schema: Mapping[str, Any], where: str = "the schema") -> Strategy:
    """Return a strategy for the values that a JSON Schema describes.

    Args:
        schema: the schema, whose ``$ref`` may name its own ``$defs``.
        where: what an error calls it.

    Raises:
        RequestError: it holds what is not understood.
    """
    return _Reader(schema, where).strategy(schema, "", 0)


def draw_bodies(schema: Mapping[str, Any], count: int, seed: int, where: str) -> list[Any]:
    """Return values that a JSON Schema describes; the same seed draws the same ones."""
    found: list[Any] = []

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(bodies(schema, where))
    def keep(value: Any) -> None:
        found.append(value)

    keep()
    return found


@dataclass(frozen=True, slots=True)
class _Reader:
    """Reads the parts of one schema."""

    root: Mapping[str, Any]
    where: str

    def strategy(self, schema: Any, at: str, depth: int) -> Strategy:
        """Return the strategy of a part; ``at`` says where it stands."""
        if depth > _DEEPEST:
            raise self._refused(at, "refers to itself without end")
        if schema is True or schema == {}:
            return st.none() | st.booleans() | st.integers() | _texts(0, _SOME)
        if not isinstance(schema, dict):
            raise self._refused(at, "is no schema")
        chosen = self._chosen(schema, at, depth)
        return self._of_type(schema, at, depth) if chosen is None else chosen

    def _chosen(self, schema: Mapping[str, Any], at: str, depth: int) -> Strategy | None:
        """Return the strategy of a schema that refers to another one, or to several; None where it does not."""
        if "$ref" in schema:
            return self.strategy(self._referred(schema["$ref"], at), at, depth + 1)
        if "const" in schema:
            return st.just(schema["const"])
        if "enum" in schema:
            return st.sampled_from(self._list(schema, "enum", at))
        for name in ("anyOf", "oneOf"):
            if name in schema:
                self._check(schema, {name}, at)
                parts = self._list(schema, name, at)
                return st.one_of([self.strategy(part, f"{at}/{name}/{n}", depth + 1) for n, part in enumerate(parts)])
        if isinstance(schema.get("type"), list):
            kinds = self._list(schema, "type", at)
            return st.one_of([self.strategy({**schema, "type": kind}, at, depth + 1) for kind in kinds])
        return None

    def _of_type(self, schema: Mapping[str, Any], at: str, depth: int) -> Strategy:
        kind = schema.get("type")
        if not isinstance(kind, str) or kind not in _OF_TYPE:
            raise self._refused(at, f"needs a type ({', '.join(_OF_TYPE)}), const, enum, anyOf or $ref")
        self._check(schema, {"type", *frozenset().union(*_OF_TYPE.values())}, at)
        make: Callable[[Mapping[str, Any], str, int], Strategy] = getattr(self, f"_{kind}")
        try:
            made = make(schema, at, depth)
            made.validate()
        except (TypeError, ValueError, InvalidArgument, re.error) as error:
            raise self._refused(at, f"cannot be used: {error}") from None
        return made

    def _object(self, schema: Mapping[str, Any], at: str, depth: int) -> Strategy:
        required = schema.get("required", [])
        parts = {
            name: self.strategy(part, f"{at}/properties/{name}", depth + 1)
            for name, part in {**dict.fromkeys(required, True), **schema.get("properties", {})}.items()
        }
        must = {name: part for name, part in parts.items() if name in required}
        may = {name: part for name, part in parts.items() if name not in required}
        return st.fixed_dictionaries(must, optional=may)

    def _array(self, schema: Mapping[str, Any], at: str, depth: int) -> Strategy:
        least = schema.get("minItems", 0)
        most = schema.get("maxItems", least + _SOME)
        items = self.strategy(schema.get("items", True), f"{at}/items", depth + 1)
        unique = json.dumps if schema.get("uniqueItems") else None
        return st.lists(items, min_size=least, max_size=most, unique_by=unique)

    def _string(self, schema: Mapping[str, Any], at: str, _depth: int) -> Strategy:
        least = schema.get("minLength", 0)
        most = schema.get("maxLength", max(least, _SOME) + _SOME)
        if "pattern" in schema:
            matching = st.from_regex(re.compile(schema["pattern"]), alphabet=_characters())
            return matching.filter(lambda text: least <= len(text) <= schema.get("maxLength", len(text)))
        if "format" in schema:
            known = _formats()
            if schema["format"] not in known:
                raise self._refused(at, f"has the format {schema['format']!r}; known are {', '.join(known)}")
            return known[schema["format"]]
        return _texts(least, most)

    def _integer(self, schema: Mapping[str, Any], _at: str, _depth: int) -> Strategy:
        least, most = schema.get("minimum"), schema.get("maximum")
        least = schema["exclusiveMinimum"] + 1 if "exclusiveMinimum" in schema else least
        most = schema["exclusiveMaximum"] - 1 if "exclusiveMaximum" in schema else most
        step = schema.get("multipleOf", 1)
        first = None if least is None else -(-least // step)
        return st.integers(first, None if most is None else most // step).map(lambda number: number * step)

    def _number(self, schema: Mapping[str, Any], _at: str, _depth: int) -> Strategy:
        low, high = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
        return st.floats(
            schema.get("minimum", low),
            schema.get("maximum", high),
            exclude_min=low is not None and "minimum" not in schema,
            exclude_max=high is not None and "maximum" not in schema,
            allow_nan=False,
            allow_infinity=False,
        )

    def _boolean(self, _schema: Mapping[str, Any], _at: str, _depth: int) -> Strategy:
        return st.booleans()

    def _null(self, _schema: Mapping[str, Any], _at: str, _depth: int) -> Strategy:
        return st.none()

    def _referred(self, reference: Any, at: str) -> Any:
        if not isinstance(reference, str) or not reference.startswith("#"):
            raise self._refused(at, f"refers to {reference!r}; only parts of the same file can be referred to")
        found: Any = self.root
        for part in reference.removeprefix("#").strip("/").split("/"):
            name = part.replace("~1", "/").replace("~0", "~")
            if name and (not isinstance(found, dict) or name not in found):
                raise self._refused(at, f"refers to {reference}, which is not there")
            found = found[name] if name else found
        return found

    def _list(self, schema: Mapping[str, Any], name: str, at: str) -> list[Any]:
        value = schema[name]
        if not isinstance(value, list) or not value:
            raise self._refused(at, f"needs a list as its {name}")
        return value

    def _check(self, schema: Mapping[str, Any], known: set[str], at: str) -> None:
        for name in schema:
            if name not in known | _SAID:
                raise self._refused(at, f"has the keyword {name}, which is not understood")

    def _refused(self, at: str, why: str) -> RequestError:
        return RequestError(f"The JSON Schema {self.where}{f', at {at},' if at else ''} {why}.")


def _characters() -> Strategy:
    """Return the characters that an SQS message may hold, without the rarer half of Unicode."""
    return st.characters(min_codepoint=0x20, max_codepoint=0x2FF, exclude_categories=("Cc", "Cs"))


def _texts(least: int, most: int) -> Strategy:
    return st.text(_characters(), min_size=least, max_size=most)


@cache
def _formats() -> Mapping[str, Strategy]:
    utc = st.just(UTC)
    return {
        "date-time": st.datetimes(timezones=utc).map(lambda when: when.isoformat()),
        "date": st.dates().map(str),
        "uuid": st.uuids().map(str),
        "email": st.emails(),
        "ipv4": st.ip_addresses(v=4).map(str),
        "ipv6": st.ip_addresses(v=6).map(str),
        "uri": provisional.urls(),
    }
