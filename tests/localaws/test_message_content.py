"""What a message may hold, and the digests that SQS answers."""

import base64

import pytest

from infra.localaws.sqs.content import MessageAttribute, attributes_md5, body_md5
from infra.localaws.sqs.errors import InvalidMessageContents, InvalidParameterValue, MissingParameter


@pytest.fixture
def queue(lab):
    lab.model.create_queue("q")
    return lab


@pytest.mark.parametrize("body", ["\t\n\r ~", "\u20ac", "\ud7ff\ue000\ufffd", "\U00010000\U0010ffff", "x"])
def test_allowed_characters_arrive_unchanged(queue, body):
    queue.send("q", body)
    assert queue.bodies("q") == [body]


@pytest.mark.parametrize("body", ["\0", "a\x0b", "\x1f", "\ufffe", "\ud800"])
def test_a_forbidden_character_is_refused_with_the_set_of_allowed_ones(queue, body):
    with pytest.raises(
        InvalidMessageContents,
        match=r"^Invalid characters found\. Valid unicode characters are #x9 \| #xA \| #xD \| #x20 to #xD7FF \| ",
    ):
        queue.send("q", body)


def test_an_empty_body_is_missing(queue):
    with pytest.raises(MissingParameter, match=r"^The request must contain the parameter MessageBody\.$"):
        queue.send("q", "")


def test_size_counts_bytes_of_body_and_attributes(lab):
    lab.model.create_queue("q", {"MaximumMessageSize": "1024"})
    lab.send("q", "x" * 1024)
    lab.send("q", "ü" * 512)
    attributes = {"name": MessageAttribute("String", "12345678")}
    lab.send("q", "x" * (1024 - 4 - 6 - 8), attributes=attributes)
    for body, with_attributes in (("x" * 1025, None), ("ü" * 513, None), ("x" * 1007, attributes)):
        with pytest.raises(InvalidParameterValue, match="Message must be shorter than 1024 bytes"):
            lab.send("q", body, attributes=with_attributes)


def test_ten_attributes_are_the_most(queue):
    attributes = {f"a{number}": MessageAttribute("Number", "1") for number in range(11)}
    with pytest.raises(InvalidParameterValue, match=r"Number of message attributes \[11\] exceeds"):
        queue.send("q", "x", attributes=attributes)
    del attributes["a0"]
    queue.send("q", "x", attributes=attributes)


@pytest.mark.parametrize("name", ["", ".a", "a.", "a..b", "a b", "AWS.x", "amazon.x", "x" * 257])
def test_a_malformed_attribute_name_is_refused(queue, name):
    with pytest.raises(InvalidParameterValue):
        queue.send("q", "x", attributes={name: MessageAttribute("String", "x")})


@pytest.mark.parametrize(
    "attribute",
    [
        ("", "x"),
        ("Text", "x"),
        ("String", ""),
        ("Binary", b""),
        ("String", b"x"),
        ("Binary", "x"),
        ("Number", "one"),
        ("String", "\0"),
    ],
)
def test_a_malformed_attribute_is_refused(queue, attribute):
    with pytest.raises(InvalidParameterValue, match=r"'name'|#x20 to #xD7FF"):
        queue.send("q", "x", attributes={"name": MessageAttribute(*attribute)})


@pytest.mark.parametrize("attribute", [("String.x", "x"), ("Number.float", "-1.5e3"), ("Binary.png", b"\0")])
def test_types_can_be_refined(queue, attribute):
    queue.send("q", "x", attributes={"a.b-c_d": MessageAttribute(*attribute)})


def test_the_digests_are_those_of_the_documentation():
    assert body_md5("This is a test message") == "fafb00f5732ab283681e124bf8747ed1"
    # From the AWS SDK for Java's own test of its digest.
    attributes = {
        "StringValue": MessageAttribute("String", "Hello"),
        "Bytes": MessageAttribute("Binary", base64.b64decode("AQI=")),
    }
    assert attributes_md5(attributes) == _by_the_book(attributes)


def _by_the_book(attributes):
    """The documentation's recipe, spelled out once more."""
    from hashlib import md5  # noqa: PLC0415 - for this one

    def with_length(data):
        return len(data).to_bytes(4, "big") + data

    text = b""
    for name, (data_type, value) in sorted(attributes.items()):
        text += with_length(name.encode()) + with_length(data_type.encode())
        text += (b"\1" + with_length(value.encode())) if isinstance(value, str) else (b"\2" + with_length(value))
    return md5(text).hexdigest()  # noqa: S324 - SQS's own digest
