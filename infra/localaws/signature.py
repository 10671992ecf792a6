"""Reads what a signature says: which service and region a request is for. Nothing here checks a signature."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Final, NamedTuple

from infra.localaws.http import Request

MAX_SCOPE_CHARACTERS: Final = 400
"""A credential scope: an access key of at most 128 characters, a date, a region and a service."""
_PARTS: Final = 5
_REMEMBERED_SCOPES: Final = 64
"""A client signs its requests of one day with one scope for each service."""


class Scope(NamedTuple):
    """The credential scope of a signature; each part is text as the client sent it.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/create-signed-request.html
    """

    access_key: str
    region: str
    service: str


def scope_of(request: Request) -> Scope | None:
    """Return the scope in the ``Authorization`` header; None for a request that is not signed by version 4."""
    return scope_in_header(request.headers.get("authorization", ""))


def scope_in_header(authorization: str) -> Scope | None:
    """Return the scope in the text of an ``Authorization`` header."""
    _, _, rest = authorization.partition("Credential=")
    return _scope(rest[:MAX_SCOPE_CHARACTERS].partition(",")[0].partition(" ")[0]) if rest else None


def scope_in_form(form: Mapping[str, str]) -> Scope | None:
    """Return the scope of a request that is signed in its URL; None if it is not."""
    return _scope(form.get("X-Amz-Credential", "")[:MAX_SCOPE_CHARACTERS])


@lru_cache(_REMEMBERED_SCOPES)
def _scope(text: str) -> Scope | None:
    parts = text.rsplit("/", _PARTS - 1)
    if len(parts) != _PARTS or not parts[0] or not parts[1].isdecimal() or parts[4] != "aws4_request":
        return None
    return Scope(parts[0], parts[2], parts[3])


def is_signed(request: Request, form: Mapping[str, str]) -> bool:
    """Return whether a request carries a signature, in its header or among the fields of its URL."""
    return "Credential=" in request.headers.get("authorization", "") or not _SIGNATURES.isdisjoint(form)


_SIGNATURES: Final = frozenset({"X-Amz-Signature", "Signature"})
