"""Keeps web pages out: a page can send requests to loopback, and must neither read nor change anything there."""

from functools import lru_cache
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from services.common.loopback import is_loopback

if TYPE_CHECKING:
    from infra.localaws.http import Request

MAX_HOST_CHARACTERS: Final = 300
"""A name has at most 253 characters, and a port follows it."""
_OWN: Final = frozenset({"same-origin", "none"})


def refuse_page(request: "Request") -> str | None:
    """Return why a request may come from a web page and is refused, None if it cannot.

    A page reaches loopback in three ways. By a name of its own that points to 127.0.0.1: the name is in ``Host``. By
    its script: the browser names the page in ``Origin``. By an image, a form or a link, without ``Origin``: the browser
    says ``Sec-Fetch-Site: cross-site``, or ``same-site`` for another port of this machine.
    https://www.w3.org/TR/fetch-metadata/
    """
    headers = request.headers
    host = headers.get("host", "")
    if not names_loopback(host[: MAX_HOST_CHARACTERS + 1].encode("latin-1", "replace")):
        shown = host[:MAX_HOST_CHARACTERS]
        return f"This endpoint answers on loopback only: the Host header must be localhost or 127.0.0.1, not {shown!r}."
    origin = headers.get("origin")
    if origin is not None and origin.lower() != f"http://{host}".lower():
        return f"This endpoint does not answer web pages; the request comes from {origin!r}."
    site = headers.get("sec-fetch-site")
    if site is not None and site.lower() not in _OWN:
        return f"This endpoint does not answer web pages; the browser calls the request {site!r}."
    return None


@lru_cache(256)
def names_loopback(host: bytes) -> bool:
    """Return whether a ``Host`` header names this machine's own loopback."""
    if len(host) > MAX_HOST_CHARACTERS:
        return False
    try:
        return is_loopback(urlsplit(f"//{host.decode('latin-1')}").hostname or "")
    except ValueError:
        return False
