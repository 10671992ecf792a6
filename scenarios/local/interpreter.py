"""What a program's HTTP request comes down to: an operation of the lab's, or an answer that needs none.

Whoever stands between a program and AWS asks it: a recording proxy in real time, the explorer in virtual time.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from scenarios.checks.effects import HttpEffect
from scenarios.checks.external_program import OtherRequest, Recognised
from scenarios.local.http_reader import (
    DYNAMODB,
    SQS,
    BreaksContractError,
    Reader,
    Reading,
    Surroundings,
    add_one,
    add_under_key,
    executions_in,
    is_known,
    look_up,
)
from scenarios.local.observed_exchange import Request, Response, plain
from services.operations import LookUpSideEffect, OperationFailed, SendResult

#: Below this path a program without a DynamoDB client causes its side effects.
SIDE_EFFECTS = "/side-effects/"
#: A sum over a body, which no longer fits one that was changed.
_SUM = "x-amz-crc32"


class Interpreter:
    """Understands one program.

    Attributes:
        reader: remembers what the program was handed.
        complaint: what it did that cannot be judged, in words that complete "it ..."; empty for nothing.
    """

    def __init__(self, around: Surroundings) -> None:
        self.around = around
        self.reader = Reader(around)
        self.complaint = ""

    def complain(self, of_what: str) -> None:
        """Take note of what cannot be judged; the first of it is told."""
        self.complaint = self.complaint or of_what

    def understand(self, request: Request) -> tuple[Request, Reading] | Response:
        """Return the request as AWS gets it, with its reading; or the answer to one that is refused."""
        if request.path.startswith(SIDE_EFFECTS):
            return self._side_effect(request, unquote(request.path.removeprefix(SIDE_EFFECTS)))
        effect = self.around.effect
        if effect is not None and effect.covers(request.path):
            known_by = request.headers.get(effect.idempotency_header, "")
            return self._side_effect(request, self._key_of(request, effect), known_by)
        try:
            reading = self.reader.read(request.headers.get("x-amz-target", ""), request.body)
        except BreaksContractError as error:
            self.complain(str(error))
            return refusal(request, "ValidationException", f"This program {error}.", 400)
        if reading is None and "x-amz-target" not in request.headers:
            reading = self.reader.read_object(request.method, request.path)
        if reading is None:
            operation = other_request(request, self.around.roles)
            reading = Reading(operation, request.body, lambda data: (None, data))
        return request, reading

    def _key_of(self, request: Request, effect: HttpEffect) -> str:
        """Return the key of a call that is a side effect: the last part of the path asks for one that was caused."""
        if request.method == "GET":
            return unquote(urlsplit(request.path).path.removeprefix(effect.path).strip("/"))
        key = effect.key_of(request.headers, request.body)
        if not key:
            self.complain(
                f"calls {effect.path} without a key: its JSON body has no {effect.key.text}, and there is no "
                "Idempotency-Key"
            )
        return key

    def _side_effect(self, request: Request, key: str, known_by: str = "") -> tuple[Request, Reading] | Response:
        """Read a side effect, or the question for it, of a program without a DynamoDB client.

        Args:
            request: the request.
            key: of the side effect.
            known_by: the idempotency key by which the API knows the call again; empty where it does each call.
        """
        if request.refuses_pages:
            return plain(403, "Web pages cause no side effects here.")
        if not key or request.method not in ("GET", "POST", *(("PUT", "PATCH") if self.around.effect else ())):
            return plain(405, f"POST {SIDE_EFFECTS}KEY causes a side effect, GET asks how often it was caused.")
        table = self.around.ledger
        asks = request.method == "GET"
        if known_by and not asks:
            return request.of_dynamodb("TransactWriteItems"), self._call_with_key(key, known_by)
        operation = LookUpSideEffect(key) if asks else self.reader.effect(key)
        body = look_up(table, key) if asks else add_one(table, key)

        def answer(data: bytes) -> tuple[Any, bytes]:
            count = executions_in(data)
            told = json.dumps({"key": key, "executions": count}).encode() + b"\n"
            return (count > 0 if asks else count), told

        action = "GetItem" if asks else "UpdateItem"
        return request.of_dynamodb(action), Reading(operation, body, answer)

    def _call_with_key(self, key: str, known_by: str) -> Reading:
        """Return the reading of a call that the API does once for each idempotency key, and answers alike each time."""
        told = json.dumps({"key": key, "executions": 1}).encode() + b"\n"
        return Reading(
            self.reader.effect(key),
            add_under_key(self.around.ledger, key, known_by),
            lambda _data: (None, told),
            refused=lambda _status, data: (Recognised(), told) if is_known(data, key, known_by) else None,
        )


def other_request(request: Request, roles: Mapping[str, str]) -> OtherRequest:
    """Return what a request that is the program's own is about, as far as it says so."""
    service, dot, action = request.headers.get("x-amz-target", "").partition(".")
    if not dot:
        return OtherRequest("http", request.method, urlsplit(request.path).path)
    try:
        document = json.loads(request.body or b"{}")
        named = next((str(document[name]) for name in ("TableName", "QueueUrl", "QueueName") if name in document), "")
    except (ValueError, TypeError, RecursionError):
        named = ""
    known = {SQS: "sqs", DYNAMODB: "dynamodb"}
    name = named.rstrip("/").rpartition("/")[2]
    return OtherRequest(known.get(service + dot, service.lower()), action, roles.get(name, name))


def as_failure(response: Response) -> OperationFailed:
    """Return what an error says, as our own driver would tell it."""
    try:
        told = json.loads(response.body)
        code, message = str(told["__type"]).rpartition("#")[2], str(told.get("message") or told.get("Message") or "")
    except (ValueError, KeyError, TypeError, AttributeError):
        code, message = str(response.status), response.body.decode(errors="replace")[:200]
    return OperationFailed(code, message, transient=response.status >= http.client.INTERNAL_SERVER_ERROR)


def concluded(answer: Response, reading: Reading) -> tuple[Any, Response]:
    """Return the result that an answer of AWS's tells, and the answer that the program gets.

    Raises:
        OperationFailed: it is an error.
        BreaksContractError: the program has broken its contract.
    """
    failed = answer.status >= http.client.BAD_REQUEST
    refused = reading.refused(answer.status, answer.body) if failed and reading.refused else None
    if failed and refused is None:
        raise as_failure(answer)
    result, body = refused or reading.answer(answer.body)
    status = http.client.OK if isinstance(result, Recognised) else answer.status
    headers = answer.headers
    if body != answer.body:
        headers = {name: value for name, value in headers.items() if name.lower() != _SUM}
    return result, Response(status, headers, body)


def left_out(request: Request, reading: Reading, result: Any, rest: Response | None) -> Response:
    """Return the answer to a request of which a fault has left out a part, or all.

    Args:
        request: the request.
        reading: its reading.
        result: what became of the whole operation.
        rest: AWS's answer to the rest; None where there was none.
    """
    if not reading.entries:
        return refusal(request, "ServiceUnavailable", "an injected fault", 503)
    failures = result.failed if isinstance(result, SendResult) else result
    return json_answer(reading.without(failures, rest.body if rest else b""))


def injected(request: Request, error: OperationFailed) -> Response:
    """Return the answer to an operation that a fault forbade.

    The queue's is one that SDKs try again by themselves, unless it is one that stays. The external system's is not: a
    side effect that fails is the program's to handle, and an SDK that repeated it would keep that from it.
    """
    again = request.headers.get("x-amz-target", "").startswith(SQS) and error.transient
    return refusal(request, error.code, error.message, 503 if again else 400)


def refusal(request: Request, code: str, message: str, status: int) -> Response:
    """Return an error in AWS's form."""
    prefix = "com.amazonaws.sqs" if request.headers.get("x-amz-target", "").startswith(SQS) else "com.amazonaws"
    body = json.dumps({"__type": f"{prefix}#{code}", "message": message}).encode()
    return json_answer(body, status)


def json_answer(body: bytes, status: int = http.client.OK) -> Response:
    """Return an answer in AWS's JSON protocol."""
    return Response(status, {"Content-Type": "application/x-amz-json-1.0"}, body)
