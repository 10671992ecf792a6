"""DynamoDB by moto's own backend, called directly: no web server stands between.

One thread serves all requests, so a conditional write is atomic.
"""

import io
import json
import logging
import re
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any, Final

from infra.localaws.comparisons import mend
from infra.localaws.http import Request, Response
from infra.localaws.quicker import quicken

TARGET_PREFIX: Final = "DynamoDB_20120810."
CONTENT_TYPE: Final = "application/x-amz-json-1.0"

_EXPRESSIONS: Final = (
    "ConditionExpression",
    "FilterExpression",
    "KeyConditionExpression",
    "ProjectionExpression",
    "UpdateExpression",
)
_SYNTAX: Final = "Cannot parse condition starting at:"
"""What moto's lexer says, before the rest of the expression."""
_PLACEHOLDER: Final = re.compile(r"[:#]\w+")
#: What a placeholder stands for, where it is used, and the member that says what it is, in DynamoDB's own words.
_GIVEN: Final = {
    ":": ("value", "expression", "ExpressionAttributeValues"),
    "#": ("name", "the document path", "ExpressionAttributeNames"),
}

_LOG = logging.getLogger(__name__)


class DynamoDb:
    """The tables of one account in one region."""

    def __init__(self, account: str, region: str) -> None:
        self._account = account
        self._region = region
        self._handler: Future[Any] | None = None

    def preload(self) -> None:
        """Import moto in the background: a third of a second that the first request then need not wait for."""
        if self._handler is None:
            self._begin_loading()

    def answer(self, request: Request) -> Response:
        """Answer a request of the DynamoDB JSON protocol."""
        handler = (self._handler or self._begin_loading()).result()
        action = request.headers["x-amz-target"].removeprefix(TARGET_PREFIX)
        try:
            asked = json.loads(request.body or b"{}")
        except (ValueError, RecursionError):
            return _error("SerializationException", "The request's body is not JSON.")
        try:
            status, headers, body = handler.dispatch(self._for_moto(request))
        except NotImplementedError:
            return _error("UnknownOperationException", f"This endpoint does not serve the DynamoDB action {action}.")
        except Exception as error:  # noqa: BLE001 - moto trips over some requests that DynamoDB refuses
            _LOG.exception("moto could not perform %s.", action)
            refusal = _refusal(asked, error)
            if refusal:
                return _error("ValidationException", refusal)
            return _error("InternalServerError", f"The endpoint failed on {action}; its log says where.", status=500)
        data = body.encode() if isinstance(body, str) else body
        kept = {name: str(headers[name]) for name in ("x-amz-crc32", "x-amzn-requestid") if name in headers}
        return Response(int(status), data, CONTENT_TYPE, kept)

    def _for_moto(self, request: Request) -> Any:
        """Return the request as a WSGI server would hand it to moto."""
        from moto.core.request import Request as MotoRequest  # noqa: PLC0415 - moto loads in the background

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
                "CONTENT_LENGTH": str(len(request.body)),
                "HTTP_HOST": host,
                "HTTP_X_AMZ_TARGET": request.headers["x-amz-target"],
                "HTTP_X_MOTO_ACCOUNT_ID": self._account,
                "wsgi.url_scheme": "http",
                "wsgi.input": io.BytesIO(request.body),
            }
        )

    def _begin_loading(self) -> Future[Any]:
        self._handler = Future()
        threading.Thread(target=self._load, args=(self._handler,), daemon=True, name="load-moto").start()
        return self._handler

    def _load(self, future: Future[Any]) -> None:
        """Make moto's handler, with tables of this endpoint's own where moto has one set a process."""
        try:
            from moto.dynamodb.models import DynamoDBBackend  # noqa: PLC0415 - a third of a second
            from moto.dynamodb.responses import DynamoHandler  # noqa: PLC0415 - likewise

            mend()
            quicken()
            tables = DynamoDBBackend(self._region, self._account)
            future.set_result(type("Handler", (DynamoHandler,), {"dynamodb_backend": tables}))
        except BaseException as error:  # noqa: BLE001 - whoever waits has to learn of it
            future.set_exception(error)


def _refusal(asked: Any, error: Exception) -> str:
    """What DynamoDB says of a request that moto has tripped over; empty where it may well be moto's own fault."""
    syntax = isinstance(error, ValueError) and str(error).startswith(_SYNTAX)
    for item in _with_expressions(asked):
        for name in filter(item.get, _EXPRESSIONS):
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


def _with_expressions(asked: Any) -> Iterator[dict[str, Any]]:
    """The request itself, and the parts of a transaction."""
    if isinstance(asked, dict):
        yield asked
        for item in asked.get("TransactItems") or ():
            yield from (part for part in item.values() if isinstance(part, dict))


def _error(code: str, message: str, *, status: int = 400) -> Response:
    body = json.dumps({"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": message})
    return Response(status, body.encode(), CONTENT_TYPE)
