"""A body is parsed once for all its readers, and each of them has a payload of its own."""

import json

import pytest

from services.payload import LONGEST_REMEMBERED, MalformedPayload, parse_payload


@pytest.mark.parametrize(
    "payload", [{"id": "a", "work": 1}, {"id": "a", "items": [1]}, {"id": "a", "padding": "x" * LONGEST_REMEMBERED}]
)
def test_what_one_reader_does_to_its_payload_no_other_sees(payload):
    body = json.dumps(payload)
    mine = parse_payload(body)
    assert mine == payload
    mine["id"] = "b"
    mine.get("items", []).append(2)
    assert parse_payload(body) == payload


@pytest.mark.parametrize("body", ["{", "[1]", '"a text"', "null"])
def test_what_is_no_object_is_refused_each_time(body):
    for _ in range(2):
        with pytest.raises(MalformedPayload, match="the body is"):
            parse_payload(body)
