"""S3 by moto's own backend, called directly: buckets and objects, addressed by path.

What a client does wrong is answered with a 4xx: an SDK repeats a 5xx, and nothing would be any better.
"""

import re
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import unquote_to_bytes
from xml.sax.saxutils import escape

from moto.core.exceptions import ServiceException
from moto.core.request import Request as MotoRequest
from moto.s3.models import S3Backend
from moto.s3.responses import S3Response
from werkzeug.exceptions import HTTPException

from infra.localaws.faults import FAULTS
from infra.localaws.http import Request, Response

CONTENT_TYPE: Final = "application/xml"
MAX_TARGET_CHARACTERS: Final = 8 * 1024
"""Of a path and its query; the longest key takes 3 KiB when each of its bytes is escaped."""
MAX_HEADER_CHARACTERS: Final = 8 * 1024
"""https://docs.aws.amazon.com/AmazonS3/latest/API/RESTCommonRequestHeaders.html"""
MAX_KEY_BYTES: Final = 1024
"""https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html"""
METHODS: Final = frozenset({"DELETE", "GET", "HEAD", "POST", "PUT"})

#: https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]").fullmatch
#: What the endpoint itself adds to a response.
_OURS: Final = frozenset({"content-length", "content-type", "connection", "date", "server"})
_LINE_BREAKS: Final = str.maketrans({"\r": " ", "\n": " ", "\0": " "})


class S3:
    """The buckets of one account."""

    def __init__(self, account: str, region: str) -> None:
        self._account = account
        self._region = region
        # Buckets of this endpoint's own, where moto has one set a process.
        self._handler: Any = type("Handler", (S3Response,), {"backend": S3Backend(region, account)})

    def answer(self, request: Request) -> Response:
        """Answer a request of S3's REST protocol."""
        try:
            _check_sizes(request)
            _check_form(request)
            return self._answer(request)
        except _RefusedError as error:
            return _error(error.code, str(error), error.status)
        except NotImplementedError:
            return _error("MethodNotAllowed", f"This endpoint does not serve this {request.method}.", 405)
        except HTTPException as error:
            return _of_moto(error)
        except ServiceException as error:
            return _error(error.code, error.message)
        except Exception as error:  # noqa: BLE001 - moto trips over some requests that S3 refuses
            FAULTS.exception("moto could not perform %s %s.", request.method, request.target)
            return _error("InvalidRequest", f"This endpoint cannot do this {request.method} ({type(error).__name__}).")

    def _answer(self, request: Request) -> Response:
        status, headers, body = self._dispatch(request)
        data = body.encode() if isinstance(body, str) else bytes(body)
        if int(status) >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return _error("InvalidRequest", f"This endpoint cannot do this {request.method}.")
        named = {name.lower(): str(value).translate(_LINE_BREAKS) for name, value in headers.items()}
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
        bucket, key = _place(request)
        respond = handler.key_response if bucket and key else handler.bucket_response
        return respond(asked, url, asked.headers)


def _place(request: Request) -> tuple[str, str]:
    """Return bucket and key of a request, as its path spells them."""
    bucket, _, key = request.target.partition("?")[0].lstrip("/").partition("/")
    return bucket, key


class _RefusedError(Exception):
    """Tell that S3 refuses a request; ``str(error)`` is its sentence."""

    def __init__(self, code: str, sentence: str, status: int = HTTPStatus.BAD_REQUEST) -> None:
        super().__init__(sentence)
        self.code = code
        self.status = status


def _check_sizes(request: Request) -> None:
    """Refuse what S3 refuses by its size, before anything looks at the content."""
    if request.method not in METHODS:
        raise _RefusedError("MethodNotAllowed", "The specified method is not allowed against this resource.", 405)
    if len(request.target) > MAX_TARGET_CHARACTERS:
        raise _RefusedError("InvalidURI", f"The path and query are longer than {MAX_TARGET_CHARACTERS} characters.")
    if sum(map(len, request.headers.values())) > MAX_HEADER_CHARACTERS:
        sentence = f"The headers are longer than {MAX_HEADER_CHARACTERS} bytes."
        raise _RefusedError("RequestHeaderSectionTooLarge", sentence)


def _check_form(request: Request) -> None:
    if not request.target.startswith("/"):
        raise _RefusedError("InvalidURI", "The path begins with a slash.")
    bucket, key = _place(request)
    if bucket and not _BUCKET(bucket):
        raise _RefusedError("InvalidBucketName", "The specified bucket is not valid.")
    decoded = unquote_to_bytes(key)
    if len(decoded) > MAX_KEY_BYTES:
        raise _RefusedError("KeyTooLongError", f"Your key is too long; it has at most {MAX_KEY_BYTES} bytes.")
    try:
        decoded.decode()
    except UnicodeDecodeError:
        raise _RefusedError("InvalidURI", "The key is not encoded in UTF-8.") from None
    if request.headers.get("x-amz-content-sha256", "").startswith("STREAMING-"):
        raise _RefusedError("InvalidRequest", "This endpoint reads no bodies in signed chunks; send the body whole.")


def _of_moto(error: HTTPException) -> Response:
    """Return the answer of a refusal that moto raises."""
    status = error.code or HTTPStatus.BAD_REQUEST
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return _error("InvalidRequest", "This endpoint cannot do this.")
    return Response(status, error.get_body().encode(), CONTENT_TYPE)


def _error(code: str, message: str, status: int = HTTPStatus.BAD_REQUEST) -> Response:
    body = (
        f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{escape(code)}</Code>'
        f"<Message>{escape(message)}</Message></Error>"
    )
    return Response(int(status), body.encode(), CONTENT_TYPE)
