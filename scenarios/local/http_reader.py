"""What a consumer of any make says to AWS, as operations: the JSON protocols of SQS and DynamoDB, read from outside.

    ReceiveMessage                                  Receive
    DeleteMessage, DeleteMessageBatch               Delete
    ChangeMessageVisibility, ...Batch               ChangeVisibility
    SendMessage, SendMessageBatch                   Send
    UpdateItem of the side-effects table            PerformSideEffect
    GetItem of the side-effects table               LookUpSideEffect
    BatchGetItem, Query, Scan of it                 ReadLedger
    UpdateItem, PutItem there of a key state/...    WriteState
    GetItem there of such a key                     ReadState
    GET, DELETE of an object in the bucket          FetchObject, RemoveObject

Everything else is the program's own affair and passes unread; what is about its queue or ledger and cannot be read is
refused. A member that is null is one that is not there, as in AWS's own protocol. Pure: bytes in, operations and bytes
out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain
from typing import Any
from urllib.parse import unquote

from scenarios.checks.effects import HttpEffect
from scenarios.checks.external_program import ReadLedger, ReadState
from scenarios.checks.message_templates import MessageTemplates
from services.batches import BATCHES
from services.drivers.attempts import NOT_ADDED_YET
from services.drivers.store import IDEMPOTENCY_KEY_PREFIX, STATE_PREFIX
from services.operations import (
    ChangeVisibility,
    Delete,
    EntryFailure,
    FetchObject,
    LookUpSideEffect,
    Message,
    Operation,
    OutgoingMessage,
    PerformSideEffect,
    Receive,
    RemoveObject,
    Send,
    SendResult,
    SentEntry,
    StateWritten,
    WriteState,
    key_reused,
)
from services.payload import MalformedPayload, effect_key, parse_payload, sequence_of, update_of

SQS = "AmazonSQS."
DYNAMODB = "DynamoDB_20120810."

Document = dict[str, Any]

#: Where a program's contract is written.
CONTRACT = "docs/your-own-consumer.md"

#: What the lab has to know of each delivery; a program need not ask for it.
_ATTRIBUTES = ("ApproximateReceiveCount", "MessageGroupId", "SequenceNumber")
#: What a request raises here whose members are missing, or of another type.
_UNREADABLE = (ValueError, LookupError, TypeError, AttributeError)
#: What can be about the state of an entity.
_OF_STATE = ("GetItem", "PutItem", "UpdateItem")
#: What would change the ledger otherwise than by counting.
_OTHER_WRITES = ("PutItem", "DeleteItem", "BatchWriteItem", "TransactWriteItems")


class BreaksContractError(Exception):
    """Tell what a program does that the lab cannot make sense of; ``str(error)`` completes "it ..."."""


@dataclass(frozen=True, slots=True)
class Reading:
    """A request, understood.

    Attributes:
        operation: what it asks for.
        body: the request's body, as it shall go on to AWS.
        answer: from AWS's answer to the operation's result, and to the body that the program gets.
        entries: what stands in the request of each message of a batch, where a part of it can be left out.
        cut: from the entries that are left to the reading of the smaller request.
        refused: from the status and body of an error to the same, where the error is an answer; None where it is none.
    """

    operation: Operation
    body: bytes
    answer: Callable[[bytes], tuple[Any, bytes]]
    entries: Sequence[Document] = ()
    cut: Callable[[Sequence[Document]], Reading] | None = None
    refused: Callable[[int, bytes], tuple[Any, bytes] | None] | None = None

    def part(self, operation: Operation) -> Reading:
        """Return the reading of an operation of which a fault has perhaps left out a part; itself for the whole."""
        whole = self.operation
        if operation is whole or not (isinstance(operation, BATCHES) and isinstance(whole, BATCHES)) or not self.cut:
            return self
        # Two messages of a batch may be equal: a fault leaves the others as the objects that they are.
        kept = {id(message) for message in operation.messages}
        return self.cut(
            [entry for message, entry in zip(whole.messages, self.entries, strict=True) if id(message) in kept]
        )

    def without(self, failures: Collection[EntryFailure], answer: bytes = b"") -> bytes:
        """Return the answer to a batch of which some entries have failed.

        Args:
            failures: of the whole batch.
            answer: AWS's answer to the other entries; empty where there were none.
        """
        failed = {failure.entry: failure for failure in failures}
        told = {
            "Successful": _told(answer).get("Successful") or [],
            "Failed": [
                {
                    "Id": self.entries[place]["Id"],
                    "Code": failure.code,
                    "Message": failure.message,
                    "SenderFault": failure.sender_fault,
                }
                for place, failure in sorted(failed.items())
            ],
        }
        return json.dumps(told).encode()


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a program works on.

    Attributes:
        queue: the name of its queue.
        ledger: the name of the side-effects table; empty where side effects are watched elsewhere.
        receive_wait: seconds that a receive waits which does not say how long.
        business_field: the payload field by which a side effect is known; empty for the payload's ``id``.
        max_messages: it is handed no more at once, whatever it asks for.
        message_limit: it is done after so many messages; 0 is never.
        roles: what queues and tables are for, by their names, which differ from stack to stack.
        messages: what the program receives in the place of the lab's bodies; None for those.
        effect: the program's side effect, where that is an HTTP call; None where it writes to the ledger.
        bucket: the bucket for payloads; empty where there is none.
        received: returns the messages that came since the last call, where another receives them for the program; None
            where it asks for them by itself.
        handed: what the programs of the run were handed, by its receipt handle, which another program may use as well.
    """

    queue: str
    ledger: str
    receive_wait: int = 0
    business_field: str = ""
    max_messages: int = 10
    message_limit: int = 0
    roles: Mapping[str, str] = field(default_factory=dict)
    effect: HttpEffect | None = None
    bucket: str = ""
    messages: MessageTemplates | None = None
    received: Callable[[], Sequence[Message]] | None = None
    handed: dict[str, Message] = field(default_factory=dict)


class Reader:
    """Reads what one program says; remembers what it was handed, since a receipt handle tells no MessageId."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._by_key: dict[str, Message] = {}
        self._done: set[str] = set()

    @property
    def is_done(self) -> bool:
        """Whether the program has deleted as many messages as it may."""
        return 0 < self._around.message_limit <= len(self._done)

    def read(self, target: str, body: bytes) -> Reading | None:
        """Understand a request; None where it is the program's own affair.

        Args:
            target: the header ``X-Amz-Target``.
            body: the request's body.

        Raises:
            BreaksContractError: it asks for something that the lab could not judge.
        """
        if not target:
            if b"Action=" in body and b"Action=GetCallerIdentity" not in body:
                raise BreaksContractError(
                    "speaks the Query protocol of old SDKs; the lab reads JSON, which AWS's SDKs speak to SQS since "
                    "November 2023"
                )
            return None
        document = _document(body)
        service, dot, action = target.partition(".")
        understand = {SQS: self._of_queue, DYNAMODB: self._of_ledger}.get(service + dot)
        if document is None or understand is None:
            # The endpoint will say what is wrong with it.
            return None
        try:
            return understand(action, document, body)
        except _UNREADABLE as error:
            # It is about the lab's own queue or ledger, and what passed unread would be missing in the history.
            what = f"has no {error}" if isinstance(error, KeyError) else str(error)
            raise BreaksContractError(f"sends a {action} that the lab cannot read ({what})") from None

    # --- the queue ---------------------------------------------------------------------------------------------------

    def _of_queue(self, action: str, document: Document, body: bytes) -> Reading | None:
        if _last_part(document.get("QueueUrl")) != self._around.queue:
            return None
        if action == "ReceiveMessage":
            return self._receive(document)
        of_entries = {"DeleteMessage": self._delete, "ChangeMessageVisibility": self._change, "SendMessage": _send}
        understand = of_entries.get(action.removesuffix("Batch"))
        entries = document["Entries"] if action.endswith("Batch") else [document]
        return understand(entries, body) if understand else None

    def _receive(self, document: Document) -> Reading:
        most = min(document.get("MaxNumberOfMessages", 1), self._around.max_messages)
        named = {*document.get("MessageSystemAttributeNames", ()), *document.get("AttributeNames", ())}
        hidden = () if "All" in named else tuple(name for name in _ATTRIBUTES if name not in named)
        asked = [*document.get("MessageSystemAttributeNames", ()), *hidden]
        changed = {**document, "MaxNumberOfMessages": most, "MessageSystemAttributeNames": asked}

        def answer(data: bytes) -> tuple[tuple[Message, ...], bytes]:
            told = _told(data)
            messages = tuple(_message(item) for item in told.get("Messages") or ())
            self._note(messages)
            self._replace(told, document.get("MessageAttributeNames") or ())
            return messages, _without(told, hidden)

        wait = document.get("WaitTimeSeconds", self._around.receive_wait)
        return Reading(Receive(most, wait), json.dumps(changed).encode(), answer)

    def _replace(self, told: Document, asked: Sequence[str]) -> None:
        """Put the user's own messages in the place of the lab's."""
        if self._around.messages is not None:
            for item in told.get("Messages") or ():
                self._around.messages.replace(item, self.key_of(_message(item)), asked)

    def _delete(self, entries: Sequence[Document], body: bytes) -> Reading:
        messages = self._handed(entries)

        def answer(data: bytes) -> tuple[tuple[EntryFailure, ...], bytes]:
            failures = _failures(_told(data), entries)
            refused = {failure.entry for failure in failures}
            self._done |= {item.message_id for entry, item in enumerate(messages) if entry not in refused}
            return failures, data

        def cut(left: Sequence[Document]) -> Reading:
            return self._delete(left, _with_entries(body, left))

        return Reading(Delete(messages), body, answer, *((entries, cut) if "Id" in entries[0] else ()))

    def _change(self, entries: Sequence[Document], body: bytes) -> Reading:
        def answer(data: bytes) -> tuple[tuple[EntryFailure, ...], bytes]:
            return _failures(_told(data), entries), data

        def cut(left: Sequence[Document]) -> Reading:
            return self._change(left, _with_entries(body, left))

        operation = ChangeVisibility(self._handed(entries), entries[0]["VisibilityTimeout"])
        return Reading(operation, body, answer, *((entries, cut) if "Id" in entries[0] else ()))

    def _handed(self, entries: Sequence[Document]) -> tuple[Message, ...]:
        self._take_received()
        handles = [entry["ReceiptHandle"] for entry in entries]
        return tuple(self._around.handed.get(handle) or Message("", handle, "") for handle in handles)

    def _take_received(self) -> None:
        if self._around.received is not None:
            self._note(self._around.received())

    def _note(self, messages: Sequence[Message]) -> None:
        for message in messages:
            self._around.handed[message.receipt_handle] = message
            self._by_key[self.key_of(message)] = message

    def key_of(self, message: Message) -> str:
        """Return the key by which a message's side effect is known."""
        try:
            return effect_key(parse_payload(message.body), message.message_id, self._around.business_field)
        except MalformedPayload:
            return message.message_id

    # --- the external system -----------------------------------------------------------------------------------------

    def effect(self, key: str) -> PerformSideEffect:
        """Return the side effect of a key, of the message that the program was last handed with it."""
        self._take_received()
        message = self._by_key.get(key)
        if message is None:
            return PerformSideEffect(key, "")
        try:
            sequence = sequence_of(parse_payload(message.body))
        except MalformedPayload:
            sequence = None
        return PerformSideEffect(key, message.message_id, sequence, message.group)

    def _of_ledger(self, action: str, document: Document, body: bytes) -> Reading | None:
        state = self._of_state(action, document, body)
        if state is not None:
            return state
        if action in _OTHER_WRITES and f'"{self._around.ledger}"'.encode() in body:
            raise BreaksContractError(
                f"changes the side-effects table by {action}; the external system counts, by an UpdateItem that adds"
            )
        if action == "BatchGetItem":
            return self._read_batch(document, body)
        if _last_part(document.get("TableName")) != self._around.ledger:
            return None
        return self._count(document, body) if action == "UpdateItem" else _read(action, document, body)

    def _count(self, document: Document, body: bytes) -> Reading:
        key = document["Key"]["message_id"]["S"]
        condition = document.get("ConditionExpression")
        if (condition and condition != NOT_ADDED_YET) or document.get("Expected"):
            raise BreaksContractError(
                "puts a condition on its side effect; the external system refuses none, or no duplicate could be seen"
            )

        def refused(_status: int, data: bytes) -> tuple[Any, bytes] | None:
            """Take a repeated call at its word: it is refused because it has added before, and its reply was lost."""
            told = _told(data)
            return (_executions(told, "Item"), data) if condition and _is_refusal(told) else None

        return Reading(self.effect(key), body, lambda data: (_executions(_told(data)), data), refused=refused)

    def _read_batch(self, document: Document, body: bytes) -> Reading | None:
        asked = {_last_part(table): wanted for table, wanted in document["RequestItems"].items()}
        if self._around.ledger not in asked:
            return None
        named = tuple(chain.from_iterable(map(_texts, asked[self._around.ledger]["Keys"])))

        def answer(data: bytes) -> tuple[tuple[str, ...], bytes]:
            of_tables = _told(data).get("Responses") or {}
            items = next((found for table, found in of_tables.items() if _last_part(table) == self._around.ledger), ())
            return _found({"Items": items}, named), data

        return Reading(ReadLedger("BatchGetItem"), body, answer)

    # --- states and payloads -----------------------------------------------------------------------------------------

    def _of_state(self, action: str, document: Document, body: bytes) -> Reading | None:
        """Understand what is about the state of an entity; None where it is about anything else."""
        if _last_part(document.get("TableName")) != self._around.ledger or action not in _OF_STATE:
            return None
        name = (document["Item"] if action == "PutItem" else document["Key"])["message_id"]["S"]
        entity = name.removeprefix(STATE_PREFIX)
        if entity == name:
            return None
        if action == "GetItem":
            return Reading(ReadState(entity), body, lambda data: (_version_in(_told(data)), data))
        version = _version_of(document["Item"]["version"] if action == "PutItem" else _version_set(document))
        message = self._update(entity, version)
        operation = WriteState(
            entity,
            version,
            self.key_of(message) if message else "",
            message.message_id if message else "",
            only_if_newer="ConditionExpression" in document,
        )
        asked = "ReturnValuesOnConditionCheckFailure" in document
        changed = {**document, "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}

        def refused(_status: int, data: bytes) -> tuple[StateWritten, bytes] | None:
            told = _told(data)
            there = _version_in(told)
            if not _is_refusal(told) or there is None:
                return None
            kept = told if asked else {name: value for name, value in told.items() if name != "Item"}
            return StateWritten(took=False, version=there), json.dumps(kept).encode()

        return Reading(
            operation,
            json.dumps(changed).encode(),
            lambda data: (StateWritten(took=True, version=version), data),
            refused=refused,
        )

    def _update(self, entity: str, version: int) -> Message | None:
        """Return the message that the program was last handed with an update."""
        for message in reversed(self._by_key.values()):
            with suppress(MalformedPayload):
                if update_of(parse_payload(message.body)) == (entity, version):
                    return message
        return None

    def read_object(self, method: str, path: str) -> Reading | None:
        """Understand a request for an object of the bucket; None where it is the program's own affair.

        Args:
            method: the HTTP method.
            path: the path, with the bucket in it.
        """
        bucket, _, key = unquote(path.partition("?")[0]).removeprefix("/").partition("/")
        if not self._around.bucket or bucket != self._around.bucket or not key:
            return None
        if method == "GET":
            return Reading(
                FetchObject(key),
                b"",
                lambda data: (data.decode(errors="replace"), data),
                refused=lambda _status, data: (None, data) if b"<Code>NoSuchKey</Code>" in data else None,
            )
        return Reading(RemoveObject(key), b"", lambda data: (None, data)) if method == "DELETE" else None


def _is_refusal(told: Mapping[str, Any]) -> bool:
    """Tell whether an error says that a write's condition does not hold."""
    return str(told.get("__type")).endswith("ConditionalCheckFailedException")


def _version_set(document: Document) -> Mapping[str, Any]:
    """Return the value that an UpdateItem sets the attribute ``version`` to."""
    names = {name: real for name, real in document.get("ExpressionAttributeNames", {}).items() if real == "version"}
    wanted = "|".join(["version", *(re.escape(name) for name in names)])
    found = re.search(rf"(?:^|[\s,])(?:{wanted})\s*=\s*(:\w+)", document["UpdateExpression"])
    if found is None:
        raise ValueError("it does not set version")
    value: Mapping[str, Any] = document["ExpressionAttributeValues"][found[1]]
    return value


def _version_of(value: Mapping[str, Any]) -> int:
    return int(value["N"])


def _version_in(told: Mapping[str, Any]) -> int | None:
    """Return the version of an answer's item; None where there is none."""
    item = told.get("Item") or {}
    return _version_of(item["version"]) if "version" in item else None


def _document(body: bytes) -> Document | None:
    """Return a request's body without what is null; None where it is no JSON object."""
    try:
        document = _told(body)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _told(data: bytes) -> Any:
    # Few texts have a null anywhere, and to look at each object takes longer than to read it.
    return json.loads(data or b"{}", object_hook=_present if b"null" in data else None)


def _present(members: Document) -> Document:
    return {name: value for name, value in members.items() if value is not None}


def _last_part(name: Any) -> str:
    """Return the name in a queue's URL or in a table's ARN."""
    return name.rstrip("/").rpartition("/")[2] if isinstance(name, str) else ""


def add_one(table: str, key: str) -> bytes:
    """Return the body of the UpdateItem that counts a side effect."""
    return json.dumps(
        {
            "TableName": table,
            "Key": {"message_id": {"S": key}},
            "UpdateExpression": "ADD executions :one",
            "ExpressionAttributeValues": {":one": {"N": "1"}},
            "ReturnValues": "UPDATED_NEW",
        }
    ).encode()


def add_under_key(table: str, key: str, idempotency_key: str) -> bytes:
    """Return the body of the TransactWriteItems that counts a side effect, unless its idempotency key is known."""
    name = {"message_id": {"S": f"{IDEMPOTENCY_KEY_PREFIX}{idempotency_key}"}}
    remember = {
        "TableName": table,
        "Item": {**name, "contents": {"S": key}},
        "ConditionExpression": "attribute_not_exists(message_id)",
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }
    count = {name: value for name, value in json.loads(add_one(table, key)).items() if name != "ReturnValues"}
    return json.dumps({"TransactItems": [{"Put": remember}, {"Update": count}]}).encode()


def is_known(data: bytes, key: str, idempotency_key: str) -> bool:
    """Tell whether an error says that a call with the same idempotency key was done before.

    Raises:
        OperationFailed: that one was for another side effect.
    """
    reasons = _told(data).get("CancellationReasons") or [{}]
    if reasons[0].get("Code") != "ConditionalCheckFailed":
        return False
    if reasons[0]["Item"]["contents"] != {"S": key}:
        raise key_reused(idempotency_key)
    return True


def look_up(table: str, key: str) -> bytes:
    """Return the body of the GetItem that asks how often a side effect was caused."""
    return json.dumps({"TableName": table, "Key": {"message_id": {"S": key}}, "ConsistentRead": True}).encode()


def executions_in(data: bytes) -> int:
    """Return how often a side effect was caused, from the answer to either."""
    document = _told(data)
    return _executions(document) or _executions(document, "Item") or 0


def _read(action: str, document: Document, body: bytes) -> Reading | None:
    """Understand a look into the ledger; None for what is none."""
    if action == "GetItem":
        key = document["Key"]["message_id"]["S"]
        return Reading(LookUpSideEffect(key), body, lambda data: ("Item" in _told(data), data))
    if action not in ("Query", "Scan"):
        return None
    named = _texts(document.get("ExpressionAttributeValues") or {})
    return Reading(ReadLedger(action), body, lambda data: (_found(_told(data), named), data))


def _texts(attributes: Document) -> tuple[str, ...]:
    """Return the texts among an item's, or a request's, values."""
    return tuple(value["S"] for value in attributes.values() if isinstance(value.get("S"), str))


def _found(document: Document, named: Sequence[str]) -> tuple[str, ...]:
    """Return the keys that an answer may have found: what the items tell, or else what the request has named."""
    items: Sequence[Document] = document.get("Items") or ()
    told = [item["message_id"]["S"] for item in items if "message_id" in item]
    is_all = len(told) == len(items) and (items or not document.get("Count"))
    return tuple(dict.fromkeys((*told, *(() if is_all else named))))


def _executions(document: Mapping[str, Any], where: str = "Attributes") -> int | None:
    told = document.get(where, {}).get("executions")
    return None if told is None else counted(told)


def counted(value: Mapping[str, Any]) -> int:
    """Return the count that an attribute of the ledger is.

    Raises:
        BreaksContractError: it is none.
    """
    told = value.get("N", "")
    # DynamoDB writes a whole number without a point or an exponent.
    if not told.isdecimal():
        raise BreaksContractError(
            f"leaves in the side-effects table what is no count ({dict(value)}); the external system counts, by an "
            "UpdateItem that adds 1"
        )
    return int(told)


def _send(entries: Sequence[Document], body: bytes) -> Reading:
    messages = tuple(
        OutgoingMessage(
            entry["MessageBody"],
            entry.get("MessageGroupId"),
            entry.get("MessageDeduplicationId"),
            entry.get("DelaySeconds"),
        )
        for entry in entries
    )

    def answer(data: bytes) -> tuple[SendResult, bytes]:
        document = _told(data)
        sent = document.get("Successful", []) if "Id" in entries[0] else [document]
        places = _places(entries)
        taken = tuple(
            SentEntry(places[item.get("Id", "")], item["MessageId"], item.get("SequenceNumber")) for item in sent
        )
        return SendResult(taken, _failures(document, entries)), data

    def cut(left: Sequence[Document]) -> Reading:
        return _send(left, _with_entries(body, left))

    return Reading(Send(messages), body, answer, *((entries, cut) if "Id" in entries[0] else ()))


def _message(item: Mapping[str, Any]) -> Message:
    attributes = item.get("Attributes", {})
    return Message(
        item["MessageId"],
        item["ReceiptHandle"],
        item["Body"],
        int(attributes.get("ApproximateReceiveCount", 1)),
        attributes.get("MessageGroupId"),
        attributes.get("SequenceNumber"),
    )


def _without(told: Document, hidden: Sequence[str]) -> bytes:
    """Return an answer without what the program did not ask for."""
    for item in told.get("Messages") or ():
        attributes = {name: value for name, value in item.pop("Attributes", {}).items() if name not in hidden}
        if attributes:
            item["Attributes"] = attributes
    return json.dumps(told).encode()


def _failures(document: Mapping[str, Any], entries: Sequence[Document]) -> tuple[EntryFailure, ...]:
    places = _places(entries)
    return tuple(
        EntryFailure(places[item["Id"]], item["Code"], item.get("Message", ""), sender_fault=item["SenderFault"])
        for item in document.get("Failed") or ()
    )


def _with_entries(body: bytes, entries: Sequence[Document]) -> bytes:
    return json.dumps({**_told(body), "Entries": list(entries)}).encode()


def _places(entries: Sequence[Document]) -> Mapping[str, int]:
    return {entry.get("Id", ""): place for place, entry in enumerate(entries)}
