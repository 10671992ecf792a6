"""DynamoDB by moto's own backend, called directly: no web server stands between.

One thread serves all requests, so a conditional write is atomic.
"""

import functools
import io
import json
import re
import zlib
from http import HTTPStatus
from typing import Any, Final

from botocore.validate import ParamValidator
from moto.core.request import Request as MotoRequest
from moto.core.utils import get_service_model
from moto.dynamodb.models import DynamoDBBackend
from moto.dynamodb.responses import DynamoHandler

from infra.localaws.faults import FAULTS
from infra.localaws.http import Request, Response
from infra.localaws.limits import EXPRESSIONS, RefusedError, check_expressions, parts_of
from infra.localaws.moto_caches import quicken
from infra.localaws.moto_patches import patch
from infra.localaws.values import settle

CONTENT_TYPE: Final = "application/x-amz-json-1.0"

#: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchWriteItem.html
MAX_BATCH_WRITE: Final = 25

_SHOWN: Final = 300
_NOT_SERVED: Final = frozenset({"ExportTableToPointInTime", "ImportTable"})
"""moto does these in threads of its own, between tables and buckets that are not this endpoint's."""
_NOT_IMPLEMENTED: Final = "action has not been implemented"
_SYNTAX: Final = "Cannot parse condition starting at:"
"""What moto's lexer says, before the rest of the expression."""
_PLACEHOLDER: Final = re.compile(r"[:#]\w+")
#: What a placeholder stands for, where it is used, and the member that says what it is, in DynamoDB's own words.
_GIVEN: Final = {
    ":": ("value", "expression", "ExpressionAttributeValues"),
    "#": ("name", "the document path", "ExpressionAttributeNames"),
}


class DynamoDb:
    """The tables of one account in one region.

    Attributes:
        backend: moto's own.
    """

    def __init__(self, account: str, region: str) -> None:
        patch()
        quicken()
        self._account = account
        self._region = region
        # Tables of this endpoint's own, where moto has one set a process.
        tables = DynamoDBBackend(region, account)
        self._handler: Any = type("Handler", (DynamoHandler,), {"dynamodb_backend": tables})
        self.backend = tables

    def answer(self, request: Request) -> Response:
        """Answer a request of the DynamoDB JSON protocol."""
        action = request.headers["x-amz-target"].partition(".")[2][:_SHOWN]
        try:
            return self._answer(request, action)
        except Exception as error:  # noqa: BLE001 - an SDK would repeat a 500, and nothing would be any better
            FAULTS.exception("The endpoint could not perform %s.", action)
            return _error("ValidationException", f"This endpoint cannot do this {action} ({type(error).__name__}).")

    def _answer(self, request: Request, action: str) -> Response:
        try:
            asked = json.loads(request.body or b"{}")
            _check_shape(action, asked)
            check_expressions(asked)
            body = json.dumps(asked).encode() if settle(asked) else request.body
        except (ValueError, RecursionError):
            return _error("SerializationException", "The request's body is not JSON.")
        except RefusedError as error:
            return _error(error.code, str(error))
        try:
            status, headers, answer = self._handler.dispatch(self._for_moto(request, body))
        except Exception as error:  # noqa: BLE001 - moto trips over some requests that DynamoDB refuses
            FAULTS.exception("moto could not perform %s.", action)
            return _as_refusal(action, asked, error)
        data = answer.encode() if isinstance(answer, str) else answer
        if int(status) >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return _error("ValidationException", f"This endpoint cannot do this {action}: {data[:_SHOWN]!r}")
        kept = {name: str(headers[name]) for name in ("x-amz-crc32", "x-amzn-requestid") if name in headers}
        if b'"ConsumedCapacity"' in data and asked.get("ReturnConsumedCapacity", "NONE") == "NONE":
            data = _without_capacity(data)
            kept["x-amz-crc32"] = str(zlib.crc32(data))
        return Response(int(status), data, CONTENT_TYPE, kept)

    def _for_moto(self, request: Request, body: bytes) -> Any:
        """Return the request as a WSGI server would hand it to moto."""
        host = f"dynamodb.{self._region}.amazonaws.com"
        return MotoRequest(
            {
                "REQUEST_METHOD": request.method,
                "SCRIPT_NAME": "",
                "PATH_INFO": "/",
                "QUERY_STRING": "",
                "SERVER_NAME": host,
                "SERVER_PORT": "80",
                "SERVER_PROTOCOL": "HTTP/1.1",
                "CONTENT_TYPE": CONTENT_TYPE,
                "CONTENT_LENGTH": str(len(body)),
                "HTTP_HOST": host,
                "HTTP_X_AMZ_TARGET": request.headers["x-amz-target"],
                "HTTP_X_MOTO_ACCOUNT_ID": self._account,
                "wsgi.url_scheme": "http",
                "wsgi.input": io.BytesIO(body),
            }
        )


def _check_shape(action: str, asked: Any) -> None:
    """Refuse an action that DynamoDB has not, and a request without what the action needs.

    Raises:
        RefusedError: in DynamoDB's words.
    """
    if type(asked) is not dict:
        raise RefusedError("The request's body is not a JSON object.", "SerializationException")
    if action not in _service().operation_names:
        raise RefusedError(f"DynamoDB has no action {action!r}.", "UnknownOperationException")
    if action in _NOT_SERVED:
        raise RefusedError(f"This endpoint does not serve the DynamoDB action {action}.", "UnknownOperationException")
    missing = [name for name in _input_of(action).required_members if asked.get(name) is None]
    if missing:
        parts = "; ".join(
            f"Value null at '{name[0].lower()}{name[1:]}' failed to satisfy constraint: Member must not be null"
            for name in missing
        )
        raise RefusedError(f"{len(missing)} validation error{'s'[: len(missing) - 1]} detected: {parts}")
    if action == "BatchWriteItem" and _size(asked["RequestItems"]) > MAX_BATCH_WRITE:
        raise RefusedError("Too many items requested for the BatchWriteItem call")


def _size(requests: Any) -> int:
    return sum(len(each) for each in requests.values() if type(each) is list) if type(requests) is dict else 0


def _service() -> Any:
    return get_service_model("dynamodb")


@functools.cache
def _input_of(action: str) -> Any:
    return _service().operation_model(action).input_shape


def _as_refusal(action: str, asked: dict[str, Any], error: Exception) -> Response:
    """Return the answer to what moto could not do. An SDK would repeat a 500, and nothing would be any better."""
    if isinstance(error, NotImplementedError) and _NOT_IMPLEMENTED in str(error):
        return _error("UnknownOperationException", f"This endpoint does not serve the DynamoDB action {action}.")
    refusal = _refusal(asked, error)
    if refusal:
        return _error("ValidationException", refusal)
    report = ParamValidator().validate(asked, _input_of(action))
    if report.has_errors():
        return _error("SerializationException", report.generate_report().replace("\n", "; "))
    kind = type(error).__name__
    return _error(
        "ValidationException",
        f"This endpoint cannot do this {action} ({kind}: {str(error)[:_SHOWN]}); its log says where.",
    )


def _without_capacity(data: bytes) -> bytes:
    told = json.loads(data)
    told.pop("ConsumedCapacity", None)
    return json.dumps(told).encode()


def _refusal(asked: Any, error: Exception) -> str:
    """What DynamoDB says of a request that moto has tripped over; empty where it may well be moto's own fault."""
    syntax = isinstance(error, ValueError) and str(error).startswith(_SYNTAX)
    for item in parts_of(asked):
        for name in filter(item.get, EXPRESSIONS):
            text = str(item[name])
            for placeholder in _PLACEHOLDER.findall(text):
                what, where, given = _GIVEN[placeholder[0]]
                known = item.get(given)
                if placeholder not in (known if isinstance(known, dict) else {}):
                    return (
                        f"Invalid {name}: An expression attribute {what} used in {where} is not defined; "
                        f"attribute {what}: {placeholder}"
                    )
            if syntax and text.endswith(str(error).removeprefix(_SYNTAX)):
                return f"Invalid {name}: Syntax error; {error}"
    return f"The request holds a value that cannot be taken: {error}." if isinstance(error, ValueError) else ""


def _error(code: str, message: str) -> Response:
    body = json.dumps({"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": message})
    return Response(400, body.encode(), CONTENT_TYPE)
