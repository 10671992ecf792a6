"""S3 by moto's own backend, called directly: buckets and objects, addressed by path."""

from typing import Any, Final

from moto.core.request import Request as MotoRequest
from moto.s3.models import S3Backend
from moto.s3.responses import S3Response

from infra.localaws.faults import FAULTS
from infra.localaws.http import Request, Response

CONTENT_TYPE: Final = "application/xml"
#: What the endpoint itself adds to a response.
_OURS: Final = frozenset({"content-length", "content-type", "connection", "date", "server"})


class S3:
    """The buckets of one account."""

    def __init__(self, account: str, region: str) -> None:
        self._account = account
        self._region = region
        # Buckets of this endpoint's own, where moto has one set a process.
        self._handler: Any = type("Handler", (S3Response,), {"backend": S3Backend(region, account)})

    def answer(self, request: Request) -> Response:
        """Answer a request of S3's REST protocol."""
        if request.headers.get("x-amz-content-sha256", "").startswith("STREAMING-"):
            return _error("NotImplemented", "This endpoint reads no bodies in signed chunks; send the body whole.", 501)
        try:
            status, headers, body = self._dispatch(request)
        except NotImplementedError:
            return _error("NotImplemented", f"This endpoint does not serve {request.method} {request.target}.", 501)
        except Exception:  # noqa: BLE001 - moto trips over some requests that S3 would refuse
            FAULTS.exception("moto could not perform %s %s.", request.method, request.target)
            return _error("InternalError", f"The endpoint failed on {request.method}; its log says where.", 500)
        data = body.encode() if isinstance(body, str) else bytes(body)
        named = {name.lower(): str(value) for name, value in headers.items()}
        length = int(named["content-length"]) if request.method == "HEAD" and "content-length" in named else None
        kept = {name: value for name, value in named.items() if name not in _OURS}
        if request.method == "HEAD":
            data = b""
        return Response(int(status), data, named.get("content-type", CONTENT_TYPE), kept, length)

    def _dispatch(self, request: Request) -> Any:
        handler = self._handler()
        url = f"http://s3.{self._region}.amazonaws.com{request.target}"
        headers = {**request.headers, "host": f"s3.{self._region}.amazonaws.com", "x-moto-account-id": self._account}
        asked = MotoRequest.from_primitives(request.method, url, headers, request.body)
        bucket, _, key = request.target.partition("?")[0].lstrip("/").partition("/")
        respond = handler.key_response if bucket and key else handler.bucket_response
        return respond(asked, url, asked.headers)


def _error(code: str, message: str, status: int) -> Response:
    body = f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>{message}</Message></Error>'
    return Response(status, body.encode(), CONTENT_TYPE)
