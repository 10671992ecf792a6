"""The user's own messages: what a program receives in the place of the lab's.

The lab sends bodies of its own, by which it judges. On their way to a program each is replaced by a message of the
user's, with the lab's key where the user's key stands:

    {"id": "8f...", "sequence": 3}  ─▶  {"order": {"id": "8f..."}, "amount": 12}

A line of the file is a body, or ``{"body": ..., "attributes": {...}, "group": ...}``. In the envelope of an SNS
notification the key's path begins inside its message; in a notification of S3's the key is the object's.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from infra.localaws.sqs.content import MessageAttribute, MessageDraft, attributes_md5, body_md5, check_content
from infra.localaws.sqs.errors import SqsError
from infra.localaws.sqs.limits import MAX_MESSAGE_BYTES
from scenarios.checks.key_paths import KeyPath, parse_key_path
from scenarios.errors import RequestError
from services.payload import MalformedPayload, parse_payload

#: What a scenario says in a payload beyond the key, and what a program may have to know of.
_TOLD = ("poison", "created_at", "entity", "version", "payload_key")
#: Where the key stands in a notification of S3's, and in any other body where the user names no path.
#: https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
S3_KEY, USUAL_KEY = "Records[0].s3.object.key", "id"
#: The member of an SNS notification that holds the message.
#: https://docs.aws.amazon.com/sns/latest/dg/sns-message-and-json-formats.html
SNS_MESSAGE = "Message"
#: How many bodies are drawn from a JSON Schema.
DRAWN = 100
#: The names of a line that is a message and no body alone.
_OF_A_MESSAGE = frozenset({"body", "attributes", "group"})


@dataclass(frozen=True, slots=True)
class Template:
    """One message of the user's.

    Attributes:
        body: a JSON object.
        key: where the key stands in it.
        attributes: its message attributes.
        group: its message group; empty for none.
    """

    body: Mapping[str, Any]
    key: KeyPath
    attributes: Mapping[str, MessageAttribute] = field(default_factory=dict)
    group: str = ""

    def body_with(self, key: str, told: Mapping[str, Any]) -> str:
        """Return the body with a key in its place, and what a scenario has to tell a program."""
        body = {**self.key.put(self.body, key), **told}
        if told and is_sns(body):
            inner = json.loads(body[SNS_MESSAGE])
            body[SNS_MESSAGE] = json.dumps({**inner, **told})
        return json.dumps(body)


@dataclass(frozen=True, slots=True)
class MessageTemplates:
    """The user's messages.

    Attributes:
        lines: each of them.
        schema: a JSON Schema that the bodies are drawn from, in the place of lines.
        key: the path to the key as the user named it; None for the usual.
        where: the file, for messages to people.
    """

    lines: Sequence[Template] = ()
    schema: Mapping[str, Any] | None = None
    key: KeyPath | None = None
    where: str = ""

    def for_seed(self, seed: int) -> MessageTemplates:
        """Return the messages of a run: those of the file, or those that a seed draws from the schema.

        Raises:
            RequestError: no body of the schema has the key.
        """
        if self.schema is None:
            return self
        bodies = _json_schema().draw_bodies(self.schema, DRAWN, seed, self.where)
        lines = [line for body in bodies if isinstance(body, dict) and (line := _template(body, self.key))]
        if not lines:
            raise RequestError(
                f"No object that {self.where} describes has {self.key.text if self.key else USUAL_KEY}, where the "
                "message's key is to stand; make it a required property, or name another by the key."
            )
        return MessageTemplates(lines, key=self.key, where=self.where)

    def replace(self, item: dict[str, Any], key: str, asked: Sequence[str]) -> None:
        """Turn a message of the lab's, as a receive is answered with it, into one of the user's.

        Args:
            item: the message; a body that is no payload stays as it is.
            key: the message's key.
            asked: the names of the message attributes that the receive asked for.
        """
        try:
            payload = parse_payload(item["Body"])
        except MalformedPayload:
            return
        attributes = item.get("Attributes", {})
        group = attributes.get("MessageGroupId")
        number = payload.get("sequence")
        template, name = self._chosen(number if isinstance(number, int) else 0, group)
        item["Body"] = template.body_with(key, {name: payload[name] for name in _TOLD if name in payload})
        item["MD5OfBody"] = body_md5(item["Body"])
        if name:
            item["Attributes"] = {**attributes, "MessageGroupId": name}
        wanted = {name: value for name, value in template.attributes.items() if _is_asked_for(name, asked)}
        if wanted:
            item["MessageAttributes"] = {name: _as_sent(value) for name, value in wanted.items()}
            item["MD5OfMessageAttributes"] = attributes_md5(wanted)

    def _chosen(self, number: int, group: str | None) -> tuple[Template, str]:
        """Return a message's line, and the name of its group: two groups of the lab's never share one."""
        names = list(dict.fromkeys(line.group for line in self.lines if line.group))
        if group is None or not names:
            chosen = self.lines[number % len(self.lines)]
            return chosen, chosen.group or group or ""
        digits = group.removeprefix("g")
        place = int(digits) if digits.isdecimal() else zlib.crc32(group.encode())
        name = names[place % len(names)]
        lines = [line for line in self.lines if line.group == name]
        return lines[number % len(lines)], name if digits.isdecimal() and place < len(names) else f"{name}-{group}"


def is_sns(body: Mapping[str, Any]) -> bool:
    """Return whether a body is the envelope of an SNS notification, and its message JSON."""
    if body.get("Type") != "Notification" or "TopicArn" not in body or not isinstance(body.get(SNS_MESSAGE), str):
        return False
    try:
        return isinstance(json.loads(body[SNS_MESSAGE]), dict)
    except (ValueError, RecursionError):
        return False


def is_s3(body: Mapping[str, Any]) -> bool:
    """Return whether a body is a notification of S3's."""
    records = body.get("Records")
    first = records[0] if isinstance(records, list) and records else None
    return isinstance(first, dict) and first.get("eventSource") == "aws:s3"


def read_templates(path: Path, key: str = "") -> MessageTemplates:
    """Read the user's messages: a file of one JSON object a line, or a JSON Schema (``*.schema.json``).

    Args:
        path: the file.
        key: the JSON path to the key; empty for the usual.

    Raises:
        RequestError: it cannot be read, a line cannot be used, or the key leads nowhere in it.
    """
    named = parse_key_path(key, "The message's key") if key else None
    if path.name.endswith(".schema.json"):
        return MessageTemplates(schema=_json_schema().read_schema(path), key=named, where=str(path))
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise RequestError(f"The messages in {path} cannot be read: {error}.") from None
    found = [_parsed(line, f"{path}, line {number}", named) for number, line in enumerate(lines, 1) if line.strip()]
    if not found:
        raise RequestError(f"{path} holds no message; give it one JSON object a line.")
    return MessageTemplates(found, key=named, where=str(path))


def _json_schema() -> ModuleType:
    try:
        from scenarios.checks import json_schema  # noqa: PLC0415 - Hypothesis is an extra
    except ImportError:
        raise RequestError(
            "Messages from a JSON Schema are drawn by Hypothesis, which is not installed; install the extra schema, as "
            "in pip install 'queue-fundamentals[schema]'."
        ) from None
    return json_schema


def _parsed(line: str, where: str, key: KeyPath | None) -> Template:
    document = _object(line, where)
    is_message = "body" in document and document.keys() <= _OF_A_MESSAGE
    body = document["body"] if is_message else document
    if isinstance(body, str):
        body = _object(body, f"The body of {where}")
    if not isinstance(body, dict):
        raise RequestError(f"The body of {where} is no JSON object.")
    template = _template(body, key)
    if template is None:
        named = key.text if key else USUAL_KEY
        raise RequestError(f"{where} has no {named}, where the message's key is to stand; name another by the key.")
    if not is_message:
        return template
    group = document.get("group", "")
    if not isinstance(group, str):
        raise RequestError(f"The group of {where} must be a text, and is {group!r}.")
    return Template(template.body, template.key, _attributes(document.get("attributes", {}), where), group)


def _object(text: str, where: str) -> dict[str, Any]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RequestError(f"{where} is no JSON: {error}.") from None
    if not isinstance(document, dict):
        raise RequestError(f"{where} is no JSON object.")
    return document


def _template(body: Mapping[str, Any], key: KeyPath | None) -> Template | None:
    """Return the template of a body; None where the key leads nowhere in it."""
    inner = json.loads(body[SNS_MESSAGE]) if is_sns(body) else body
    path = key or parse_key_path(S3_KEY if is_s3(inner) else USUAL_KEY, "The message's key")
    if inner is not body and path.first_name != SNS_MESSAGE:
        path = path.below(SNS_MESSAGE)
    try:
        whole = path.put(body, "")
    except (LookupError, TypeError):
        return None
    return Template(body, path) if isinstance(whole, dict) else None


def _attributes(document: Any, where: str) -> Mapping[str, MessageAttribute]:
    """Read message attributes: texts and numbers, or objects as AWS has them, with ``DataType`` and a value."""
    if not isinstance(document, dict):
        raise RequestError(f"The attributes of {where} must be an object.")
    found = {name: _attribute(name, value, where) for name, value in document.items()}
    try:
        check_content(MessageDraft("-", attributes=found), MAX_MESSAGE_BYTES)
    except SqsError as error:
        raise RequestError(f"The attributes of {where} are none that SQS takes: {error}") from None
    return found


def _attribute(name: str, value: Any, where: str) -> MessageAttribute:
    if isinstance(value, str):
        return MessageAttribute("String", value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return MessageAttribute("Number", str(value))
    if isinstance(value, dict) and isinstance(value.get("DataType"), str):
        data_type = value["DataType"]
        try:
            if isinstance(value.get("StringValue"), str):
                return MessageAttribute(data_type, value["StringValue"])
            return MessageAttribute(data_type, base64.b64decode(value["BinaryValue"], validate=True))
        except (ValueError, KeyError, TypeError):
            pass
    raise RequestError(
        f"The attribute {name} of {where} must be a text, a number, or an object with DataType and StringValue (or "
        f"BinaryValue, in Base64), and is {value!r}."
    )


def _is_asked_for(name: str, asked: Sequence[str]) -> bool:
    return any(
        each in ("All", "*", ".*", name) or (each.endswith(".*") and name.startswith(each.removesuffix(".*")))
        for each in asked
    )


def _as_sent(attribute: MessageAttribute) -> dict[str, str]:
    if isinstance(attribute.value, bytes):
        return {"DataType": attribute.data_type, "BinaryValue": base64.b64encode(attribute.value).decode()}
    return {"DataType": attribute.data_type, "StringValue": attribute.value}
