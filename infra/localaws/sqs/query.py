"""SQS's Query protocol: a form becomes a request in the shapes of AWS's model, and an answer in these shapes XML.

Older SDKs and plain HTTP clients speak it. The names in a form and in the XML are those of the model's members, but a
list bears the name of its items, and a map that of its entries::

    Action=SendMessageBatch&SendMessageBatchRequestEntry.1.Id=a&SendMessageBatchRequestEntry.1.MessageBody=x
    Action=SetQueueAttributes&Attribute.1.Name=DelaySeconds&Attribute.1.Value=5

Reading makes values of the types that the JSON protocol has, so that one check serves both protocols.

Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-making-api-requests-xml.html
"""

import json
import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final
from urllib.parse import unquote_to_bytes
from xml.etree import ElementTree as ET

from infra.localaws.sqs.context import Shape
from infra.localaws.sqs.errors import (
    InvalidAction,
    InvalidParameterValue,
    MalformedQueryString,
    MissingAction,
    NoSuchVersion,
    SqsError,
    UnsupportedOperation,
)
from infra.localaws.sqs.shapes import service_model

VERSION: Final = "2012-11-05"
NAMESPACE: Final = f"http://queue.amazonaws.com/doc/{VERSION}/"
CONTENT_TYPE: Final = "text/xml"
MAX_FIELDS: Final = 2_000
"""Fields of a form. The largest request of SQS, a batch with ten attributes a message, has some 400."""

READS: Final = frozenset(
    {
        "GetQueueAttributes",
        "GetQueueUrl",
        "ListDeadLetterSourceQueues",
        "ListMessageMoveTasks",
        "ListQueueTags",
        "ListQueues",
    }
)
"""Actions that change nothing; a receive is none of them."""

NOT_OF_A_QUEUE: Final = frozenset({"CreateQueue", "ListQueues"})
"""Actions that a queue's URL does not take."""

Form = dict[str, str]
Tree = dict[str, Any]


def parse_form(encoded: bytes) -> Form:
    """Return the fields of a form, or of a URL's query string.

    Raises:
        MalformedQueryString: a percent code or UTF-8 that is none, a field twice, or too many fields.
    """
    form: Form = {}
    for field in encoded.split(b"&", MAX_FIELDS):
        if not field:
            continue
        name, _, value = field.partition(b"=")
        key = _decode(name)
        if key in form:
            raise MalformedQueryString(f"The parameter {key} is given more than once.")
        form[key] = _decode(value)
    if len(form) > MAX_FIELDS:
        raise MalformedQueryString(f"The request has more than {MAX_FIELDS} parameters.")
    return form


def read_request(form: Form, queue_url: str | None) -> tuple[str, Shape]:
    """Return the action and the request in the form that the JSON protocol would have.

    Args:
        form: the fields.
        queue_url: the URL that the request was sent to, where that is a queue's.

    Raises:
        MissingAction, InvalidAction, NoSuchVersion: as the names say.
        InvalidParameterValue: a number or boolean that is none, or fields that contradict each other.
        UnsupportedOperation: a field that is no parameter of the action.
    """
    action = form.get("Action")
    if not action:
        raise MissingAction
    reader = _readers().get(action)
    if reader is None:
        raise InvalidAction.named(action)
    version = form.get("Version", VERSION)
    if version != VERSION:
        raise NoSuchVersion(f"The requested version ( {version} ) is not valid.")
    request: Shape = reader({name: value for name, value in _tree(form).items() if name not in _COMMON}, "")
    if action in _BATCHES:
        request.setdefault("Entries", [])
    if queue_url is not None and "QueueUrl" in service_model()["shapes"][f"{action}Request"]["members"]:
        request.setdefault("QueueUrl", queue_url)
    return action, request


def write_answer(action: str, answer: Shape, request_id: str) -> bytes:
    """Return an answer as XML."""
    writer = _writers()[action]
    content = "" if writer is None else writer(answer)
    result = f"<{action}Result>{content}</{action}Result>" if content else f"<{action}Result/>"
    if writer is None:
        result = ""
    return (
        f'<?xml version="1.0"?><{action}Response xmlns="{NAMESPACE}">{result}'
        f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata></{action}Response>"
    ).encode()


def write_error(error: SqsError, request_id: str) -> bytes:
    """Return an error as XML."""
    return (
        f'<?xml version="1.0"?><ErrorResponse xmlns="{NAMESPACE}"><Error><Type>Sender</Type>'
        f"<Code>{_escape(error.query_code)}</Code><Message>{_escape(error.query_text or str(error))}</Message>"
        "<Detail/></Error>"
        f"<RequestId>{request_id}</RequestId></ErrorResponse>"
    ).encode()


def as_json(xml: bytes, *, is_error: bool) -> bytes:
    """Return an answer in XML as JSON, for a client that accepts that: elements become members, all values texts.

    An element that comes more than once is a list.
    """
    root = ET.fromstring(xml)  # noqa: S314 - this module has written it
    content = _members(root)
    return json.dumps(content if is_error else {_local_name(root): content}).encode()


def _members(element: ET.Element) -> Any:
    if not len(element):
        return element.text
    members: dict[str, Any] = {}
    for child in element:
        name, value = _local_name(child), _members(child)
        if name not in members:
            members[name] = value
        elif isinstance(members[name], list):
            members[name].append(value)
        else:
            members[name] = [members[name], value]
    return members


def _local_name(element: ET.Element) -> str:
    return element.tag.rpartition("}")[2]


# Reading


def _decode(text: bytes) -> str:
    if _BAD_PERCENT(text):
        raise MalformedQueryString("The request holds a percent sign that two hexadecimal digits do not follow.")
    try:
        return unquote_to_bytes(text.replace(b"+", b" ")).decode()
    except UnicodeDecodeError:
        raise MalformedQueryString("The request is not encoded in UTF-8.") from None


def _tree(form: Form) -> Tree:
    """Return the fields as a tree along the dots of their names."""
    root: Tree = {}
    for name, value in form.items():
        *path, last = name.split(".", MAX_DEPTH)
        branch = root
        for step in path:
            branch = branch.setdefault(step, {})
            if not isinstance(branch, dict):
                raise InvalidParameterValue(f"The parameters {name} and its parent contradict each other.")
        if isinstance(branch.get(last), dict):
            raise InvalidParameterValue(f"The parameters {name} and its parent contradict each other.")
        branch[last] = value
    return root


Reader = Callable[[Any, str], Any]


@cache
def _readers() -> dict[str, Reader]:
    """Return what reads each action's request."""
    model = service_model()
    return {name: _reader(model["shapes"], each["input"]["shape"]) for name, each in model["operations"].items()}


def _reader(shapes: Mapping[str, Any], name: str) -> Reader:
    shape = shapes[name]
    match shape["type"]:
        case "structure":
            members = {
                _field_name(shapes, member, target["shape"]): (member, _reader(shapes, target["shape"]))
                for member, target in shape["members"].items()
            }
            lists = frozenset(m for m, target in shape["members"].items() if shapes[target["shape"]]["type"] == "list")
            return _structure_reader(name.removesuffix("Request"), members, lists)
        case "list":
            return _list_reader(_reader(shapes, shape["member"]["shape"]))
        case "map":
            return _map_reader(_entry_names(name), _reader(shapes, shape["value"]["shape"]))
        case kind:
            return _SCALARS.get(kind, _read_text)


def _structure_reader(owner: str, members: Mapping[str, tuple[str, Reader]], lists: frozenset[str]) -> Reader:
    def read(value: Any, path: str) -> Shape:
        shape: Shape = {}
        for field, inner in _branch(value, path).items():
            if field not in members and inner == "" and field in lists:
                # SDKs write an empty list so, under the name of the member and not of its items.
                shape[field] = []
                continue
            if field not in members:
                raise UnsupportedOperation(
                    f"{_under(path, field)} is not a parameter of {owner} that this endpoint knows."
                )
            member, reader = members[field]
            shape[member] = reader(inner, _under(path, field))
        return shape

    return read


def _list_reader(read_item: Reader) -> Reader:
    def read(value: Any, path: str) -> list[Any]:
        return [read_item(item, place) for place, item in _numbered(value, path)]

    return read


def _map_reader(names: tuple[str, str], read_value: Reader) -> Reader:
    key_name, value_name = names

    def read(value: Any, path: str) -> Shape:
        shape: Shape = {}
        for place, entry in _numbered(value, path):
            fields = _branch(entry, place)
            if unknown := fields.keys() - {key_name, value_name}:
                raise UnsupportedOperation(
                    f"{_under(place, min(unknown))} is not a parameter that this endpoint knows."
                )
            if fields.keys() != {key_name, value_name}:
                raise InvalidParameterValue(f"{place} must have both a {key_name} and a {value_name}.")
            key = _read_text(fields[key_name], _under(place, key_name))
            if key in shape:
                raise InvalidParameterValue(f"{path} names {key} more than once.")
            shape[key] = read_value(fields[value_name], _under(place, value_name))
        return shape

    return read


def _numbered(value: Any, path: str) -> list[tuple[str, Any]]:
    """Return the items of ``Name.1``, ``Name.2`` ... by their numbers; ``Name=`` alone is an empty list."""
    if value == "":
        return []
    fields = _branch(value, path)
    for number in fields:
        if not _NUMBER(number):
            raise InvalidParameterValue(f"{_under(path, number)} must have a number from 1 on after {path}.")
    return [(_under(path, number), fields[number]) for number in sorted(fields, key=int)]


def _branch(value: Any, path: str) -> Tree:
    if isinstance(value, dict):
        return value
    raise InvalidParameterValue(f"{path} has parts and no value of its own.")


def _read_text(value: Any, path: str) -> str:
    if isinstance(value, str):
        return value
    raise InvalidParameterValue(f"{path} has a value and no parts.")


def _read_integer(value: Any, path: str) -> int:
    text = _read_text(value, path)
    if not _INTEGER(text):
        raise InvalidParameterValue.of(path, text[:100], "Must be an integer.")
    return int(text)


def _read_boolean(value: Any, path: str) -> bool:
    text = _read_text(value, path)
    if text not in {"true", "false"}:
        raise InvalidParameterValue.of(path, text[:100], "Must be true or false.")
    return text == "true"


def _under(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


# Writing


Writer = Callable[[Any], str]


@cache
def _writers() -> dict[str, Writer | None]:
    """Return what writes each action's answer; None for an action that answers nothing."""
    model = service_model()
    return {
        name: _writer(model["shapes"], each["output"]["shape"]) if "output" in each else None
        for name, each in model["operations"].items()
    }


def _writer(shapes: Mapping[str, Any], name: str) -> Writer:
    """Return what writes a shape's content; lists and maps are flattened into the structure that holds them."""
    shape = shapes[name]
    if shape["type"] != "structure":
        return _write_boolean if shape["type"] == "boolean" else _write_text
    members = {
        member: _member_writer(shapes, _field_name(shapes, member, target["shape"]), target["shape"])
        for member, target in shape["members"].items()
    }

    def write(value: Any) -> str:
        return "".join(members[member](inner) for member, inner in value.items())

    return write


def _member_writer(shapes: Mapping[str, Any], element: str, name: str) -> Writer:
    shape = shapes[name]
    match shape["type"]:
        case "list":
            write_item = _writer(shapes, shape["member"]["shape"])
            return lambda items: "".join(f"<{element}>{write_item(item)}</{element}>" for item in items)
        case "map":
            key_name, value_name = _entry_names(name)
            write_value = _writer(shapes, shape["value"]["shape"])
            return lambda entries: "".join(
                f"<{element}><{key_name}>{_escape(key)}</{key_name}>"
                f"<{value_name}>{write_value(value)}</{value_name}></{element}>"
                for key, value in entries.items()
            )
        case _:
            write = _writer(shapes, name)
            return lambda value: f"<{element}>{write(value)}</{element}>"


def _write_text(value: Any) -> str:
    return _escape(str(value))


def _write_boolean(value: Any) -> str:
    return "true" if value else "false"


def _escape(text: str) -> str:
    """Return the text as XML; a carriage return as a reference, since a parser would read it as a line's end."""
    text = _NO_XML("\ufffd", text)
    if _SPECIAL(text):
        for character, reference in _REFERENCES:
            text = text.replace(character, reference)
    return text


# Names


def _field_name(shapes: Mapping[str, Any], member: str, shape_name: str) -> str:
    """Return the name of a member in a form and in XML: a list has that of its items, a map that of its entries."""
    match shapes[shape_name]["type"]:
        case "list":
            return _LISTS.get(shape_name, shape_name.removesuffix("List"))
        case "map":
            entry = member.removesuffix("s")
            return entry[0].upper() + entry[1:]
        case _:
            return member


def _entry_names(shape_name: str) -> tuple[str, str]:
    return ("Key", "Value") if shape_name == "TagMap" else ("Name", "Value")


_LISTS: Final = {
    "BinaryList": "BinaryListValue",
    "MessageSystemAttributeList": "MessageSystemAttributeName",
    "StringList": "StringListValue",
}
# Beside the action's own parameters: what every request may carry. Nothing here checks a signature.
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/CommonParameters.html
_COMMON: Final = frozenset(
    {
        "Action",
        "Version",
        "AWSAccessKeyId",
        "Expires",
        "SecurityToken",
        "Signature",
        "SignatureMethod",
        "SignatureVersion",
        "Timestamp",
        "X-Amz-Algorithm",
        "X-Amz-Credential",
        "X-Amz-Date",
        "X-Amz-Expires",
        "X-Amz-Security-Token",
        "X-Amz-Signature",
        "X-Amz-SignedHeaders",
    }
)
_BATCHES: Final = frozenset({"ChangeMessageVisibilityBatch", "DeleteMessageBatch", "SendMessageBatch"})
MAX_DEPTH: Final = 8
_SCALARS: Final[dict[str, Reader]] = {"integer": _read_integer, "long": _read_integer, "boolean": _read_boolean}
_BAD_PERCENT: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})").search
_NUMBER: Final = re.compile(r"[1-9][0-9]{0,5}").fullmatch
_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,18}").fullmatch
_NO_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]").sub
_SPECIAL: Final = re.compile(r"[&<>\"\r]").search
_REFERENCES: Final = (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;"), ("\r", "&#xD;"))
