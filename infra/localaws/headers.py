"""Headers that would change what a request means: one that is not understood is refused, never ignored."""

from typing import Final

from infra.localaws.http import Request
from infra.localaws.request_head import unknown_amazon_header

JSON_TYPES: Final = frozenset({"application/x-amz-json-1.0", "application/x-amz-json-1.1", "application/json"})
FORM_TYPES: Final = frozenset({"application/x-www-form-urlencoded"})


def refused_headers(request: Request, content_types: frozenset[str]) -> str | None:
    """Return why a request's headers are refused, None if they are understood.

    The signature's headers are understood to the point that nothing here checks a signature.
    """
    headers = request.headers
    given = headers.get("content-type")
    if (
        given is not None
        and given not in content_types
        and request.body
        and given.partition(";")[0].strip().lower() not in content_types
    ):
        return f"The Content-Type {given!r} is not one that this endpoint reads; it reads {min(content_types)}."
    if headers.get("content-encoding", "identity").lower() != "identity":
        return f"The Content-Encoding {headers['content-encoding']!r} is not one that this endpoint reads."
    unknown = unknown_amazon_header(headers)
    return f"The header {unknown} is not one that this endpoint knows." if unknown else None
