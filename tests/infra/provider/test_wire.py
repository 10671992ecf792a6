import json

import pytest
from google.protobuf.struct_pb2 import Struct
from hypothesis import given
from hypothesis import strategies as st

from infra.errors import ProviderError
from infra.provider.values import (
    SIGNATURE_KEY,
    UNKNOWN,
    Secret,
    contains_secret,
    contains_unknown,
    from_json,
    redact,
    reveal,
    to_json,
)
from infra.provider.wire import from_struct, to_struct

plain = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
leaves = plain | st.text()
known = st.recursive(
    leaves,
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | inner.map(Secret),
    max_leaves=12,
)


@given(st.dictionaries(st.text(), known.filter(lambda value: value is not None)))
def test_values_survive_the_wire(properties):
    assert without_nulls(from_struct(to_struct(properties))) == without_nulls(properties)


@given(known)
def test_values_survive_the_state_file(value):
    assert from_json(json.loads(json.dumps(to_json(value)))) == value


def test_a_whole_number_stays_a_whole_number():
    assert repr(from_struct(to_struct({"seconds": 10}))) == "{'seconds': 10}"


def test_what_is_unknown_survives_the_wire_but_has_no_place_in_a_state():
    assert from_struct(to_struct({"url": UNKNOWN, "list": [UNKNOWN]})) == {"url": UNKNOWN, "list": [UNKNOWN]}
    with pytest.raises(ValueError, match="not known yet"):
        to_json({"url": UNKNOWN})


def test_a_reference_to_a_resource_becomes_its_identity():
    reference = {SIGNATURE_KEY: "5cf8f73096256a8f31e491e813e4eb8e", "urn": "urn:a"}
    assert from_struct(to_struct({"a": reference, "b": {**reference, "id": "i"}})) == {"a": "urn:a", "b": "i"}


def test_a_value_of_an_unknown_kind_is_an_error():
    struct = Struct()
    struct.update({"asset": {SIGNATURE_KEY: "c44067f5952c0a294b673a41bacd8c17"}})
    with pytest.raises(ProviderError, match="not supported"):
        from_struct(struct)


def test_a_secret_is_never_printed_and_can_be_revealed():
    value = {"outer": [Secret({"inner": "hush"})]}
    assert "hush" not in repr(value)
    assert redact(value) == {"outer": ["[secret]"]}
    assert reveal(value) == {"outer": [{"inner": "hush"}]}
    assert contains_secret(value)
    assert not contains_secret(reveal(value))


def test_an_unknown_is_found_however_deep():
    assert contains_unknown({"a": [Secret({"b": UNKNOWN})]})
    assert not contains_unknown({"a": [Secret({"b": "c"})]})


def without_nulls(value):
    """Null properties are left out on the wire, as Pulumi does; nulls in lists stay."""
    if isinstance(value, dict):
        return {key: without_nulls(part) for key, part in value.items() if part is not None}
    if isinstance(value, list):
        return [without_nulls(part) for part in value]
    return Secret(without_nulls(value.value)) if isinstance(value, Secret) else value
