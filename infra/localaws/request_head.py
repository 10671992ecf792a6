"""The header fields of a request, and what their names alone say.

A client repeats the names of its headers with each request, so what follows from them is remembered.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final, NamedTuple


class RepeatedHeaderError(Exception):
    """A header that decides what a request is comes more than once.

    Attributes:
        name: the header's name in lower case.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class PlainPlaces(NamedTuple):
    """Where the fields of a plain request stand; None for a header that it does not have.

    A request is plain if no header changes how its target and body are read.
    """

    host: int
    target: int
    content_type: int
    authorization: int | None


class Shape(NamedTuple):
    """The names of a request's headers.

    Attributes:
        names: in lower case, in their order.
        has_repeated: a name comes more than once.
        length: the place of ``Content-Length``, None if there is none.
        has_expect: the client asks before it sends the body.
        plain: None if the request is not plain.
    """

    names: tuple[str, ...]
    has_repeated: bool
    length: int | None
    has_expect: bool
    plain: PlainPlaces | None

    def headers(self, values: Sequence[bytes]) -> dict[str, str]:
        """Return the headers by name; a repeated one has its values joined by commas.

        Raises:
            RepeatedHeaderError: one of those that decide what the request is comes more than once.
        """
        texts = [value.decode("latin-1") for value in values]
        if not self.has_repeated:
            return dict(zip(self.names, texts, strict=True))
        headers: dict[str, str] = {}
        for name, text in zip(self.names, texts, strict=True):
            if name in headers and name in _ONCE:
                raise RepeatedHeaderError(name)
            headers[name] = f"{headers[name]},{text}" if name in headers else text
        return headers


_REMEMBERED: Final = 64


@lru_cache(_REMEMBERED)
def shape_of(names: tuple[bytes, ...]) -> Shape:
    """Return what the names say; they are spelled as the client spells them."""
    lower = tuple(name.decode("latin-1").lower() for name in names)
    has_repeated = len(set(lower)) < len(lower)
    return Shape(
        lower,
        has_repeated,
        _place(lower, "content-length"),
        "expect" in lower,
        None if has_repeated else _plain_places(lower),
    )


def unknown_amazon_header(names: Iterable[str]) -> str | None:
    """Return a header of AWS's that this endpoint does not know, None if there is none."""
    if _KNOWN.issuperset(names):
        return None
    for name in names:
        if name not in _KNOWN and name.startswith(_AMAZON) and not name.startswith(_HARMLESS):
            return name
    return None


def _plain_places(names: tuple[str, ...]) -> PlainPlaces | None:
    if not _SPECIAL.isdisjoint(names) or unknown_amazon_header(names):
        return None
    host, target, content_type = (_place(names, name) for name in ("host", "x-amz-target", "content-type"))
    if host is None or target is None or content_type is None:
        return None
    return PlainPlaces(host, target, content_type, _place(names, "authorization"))


def _place(names: tuple[str, ...], name: str) -> int | None:
    return names.index(name) if name in names else None


_ONCE: Final = frozenset(
    {
        "authorization",
        "content-encoding",
        "content-length",
        "content-type",
        "expect",
        "host",
        "origin",
        "sec-fetch-site",
        "x-amz-content-sha256",
        "x-amz-target",
    }
)
"""Headers that decide what a request is; a second one would leave open which of them counts."""
_SPECIAL: Final = frozenset(
    {"content-encoding", "expect", "origin", "sec-fetch-site", "transfer-encoding", "x-amzn-trace-id"}
)
"""Headers without which a request is plain; a chunked body may have trailers."""
_AMAZON: Final = ("x-amz-", "x-amzn-")
_HARMLESS: Final = ("x-amz-meta-", "x-amz-user-agent", "x-amzn-trace-id")
_KNOWN: Final = frozenset(
    {
        "accept-encoding",
        "amz-sdk-invocation-id",
        "amz-sdk-request",
        "authorization",
        "content-length",
        "content-type",
        "host",
        "user-agent",
        "x-amz-api-version",
        "x-amz-content-sha256",
        "x-amz-date",
        "x-amz-security-token",
        "x-amz-target",
        "x-amzn-query-mode",
        "x-amzn-requestid",
    }
)
