"""Bodies from a JSON Schema: what is drawn is valid by another validator, and what is not understood is named."""

import importlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scenarios.checks.json_schema import draw_bodies
from scenarios.errors import RequestError
from scenarios.strategies import bodies


@pytest.fixture(scope="module")
def jsonschema():
    """The other validator: imported where it is used, since that takes seconds and every worker collects this file."""
    return importlib.import_module("jsonschema")


SCHEMAS = [
    {"type": "integer", "minimum": 3, "exclusiveMaximum": 9, "multipleOf": 2},
    {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
    {"type": "string", "minLength": 2, "maxLength": 4},
    {"type": "string", "pattern": "^[A-Z]{3}-[0-9]+$"},
    {"type": ["boolean", "null"]},
    {"type": "array", "items": {"enum": ["a", "b", "c"]}, "minItems": 1, "maxItems": 3, "uniqueItems": True},
    {"oneOf": [{"const": 1}, {"type": "string", "format": "date-time"}]},
    {"type": "object", "properties": {"a": {"type": "boolean"}}, "required": ["a", "b"]},
    {"type": "object", "additionalProperties": False, "properties": {"a": {"$ref": "#/$defs/x"}}, "$defs": {"x": {}}},
]


@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_whatever_is_drawn_is_valid(jsonschema, data):
    schema = data.draw(st.sampled_from(SCHEMAS))
    jsonschema.validate(data.draw(bodies(schema)), schema)


@pytest.mark.parametrize("format_", ["date-time", "date", "uuid", "email", "ipv4", "ipv6", "uri"])
def test_each_format_is_of_its_format(jsonschema, format_):
    schema = {"type": "string", "format": format_}
    checker = jsonschema.FormatChecker()
    for text in draw_bodies(schema, 20, 3, "x"):
        jsonschema.validate(text, schema, format_checker=checker)


@pytest.mark.parametrize(
    ("schema", "sentence"),
    [
        ({"type": "object", "minProperties": 1}, "has the keyword minProperties, which is not understood"),
        ({"type": "thing"}, "needs a type"),
        ({"allOf": []}, "needs a type"),
        ({"type": "string", "format": "iban"}, "has the format 'iban'; known are"),
        ({"type": "object", "properties": {"a": {"enum": []}}}, "at /properties/a, needs a list as its enum"),
        ({"$ref": "#/$defs/no"}, r"refers to #/\$defs/no, which is not there"),
        ({"$ref": "other.json"}, "only parts of the same file"),
        ({"$ref": "#"}, "refers to itself without end"),
        ({"type": "integer", "minimum": 3, "maximum": 1}, "cannot be used: "),
        ({"type": "string", "pattern": "["}, "cannot be used: "),
        ({"type": "array", "items": 3}, "at /items, is no schema"),
    ],
)
def test_what_is_not_understood_is_named(schema, sentence):
    with pytest.raises(RequestError, match=sentence) as refused:
        draw_bodies(schema, 1, 1, "order.schema.json")
    assert str(refused.value).startswith("The JSON Schema order.schema.json")
