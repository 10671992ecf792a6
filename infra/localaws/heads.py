"""Reads the requests that SDKs send again and again without a general parser.

Only the plainest form is read here: ``POST /``, printable headers of which none changes what the request is, and the
whole body in the same piece. ``None`` says that the general parser has to read it; a test compares the two.
"""

import re
from typing import Final, NamedTuple, TypeVar

from infra.localaws.headers import JSON_TYPES, refused_headers
from infra.localaws.http import MAX_BODY_BYTES, MAX_HEAD_BYTES, Request, foreign


class PlainRequest(NamedTuple):
    """A request in its plainest form: the value of ``X-Amz-Target``, the body, and where the next request begins."""

    target: bytes
    body: bytes
    end: int


class PlainReader:
    """Reads requests, and remembers the sets of header names and the values that it has found to be plain."""

    __slots__ = ("_hosts", "_shapes", "_types")

    def __init__(self) -> None:
        self._shapes: dict[tuple[bytes, ...], _Shape | None] = {}
        self._hosts: dict[bytes, bool] = {}
        self._types: dict[bytes, bool] = {}

    def read(self, data: bytes, start: int) -> PlainRequest | None:
        """Return the request that begins at ``start`` if it is plain and whole."""
        head_end = data.find(_HEAD_END, start, start + MAX_HEAD_BYTES)
        if head_end < 0 or not data.startswith(_REQUEST_LINE, start):
            return None
        headers = _headers(data[start + len(_REQUEST_LINE) : head_end])
        shape = None if headers is None else self._shape(tuple(headers))
        if headers is None or shape is None or not self._is_plain(headers, shape):
            return None
        length = headers[shape.length]
        if not length.isdigit() or len(length) > _MAX_DIGITS:
            return None
        body_start = head_end + len(_HEAD_END)
        end = body_start + int(length)
        if end > len(data) or end - body_start > MAX_BODY_BYTES:
            return None
        return PlainRequest(headers[shape.target], data[body_start:end], end)

    def _shape(self, names: tuple[bytes, ...]) -> "_Shape | None":
        shape = self._shapes.get(names, _UNSEEN)
        return _remember(self._shapes, names, _shape_of(names)) if shape is _UNSEEN else shape

    def _is_plain(self, headers: dict[bytes, bytes], shape: "_Shape") -> bool:
        host = headers[shape.host]
        plain = self._hosts.get(host)
        if plain is None:
            plain = _remember(self._hosts, host, _is_ours(host))
        if not plain or shape.content_type is None:
            return plain
        content_type = headers[shape.content_type]
        known = self._types.get(content_type)
        if known is None:
            known = _remember(self._types, content_type, content_type.decode("latin-1") in JSON_TYPES)
        return known


class _Shape(NamedTuple):
    """How a set of header names spells those that matter."""

    length: bytes
    host: bytes
    target: bytes
    content_type: bytes | None


def _headers(head: bytes) -> dict[bytes, bytes] | None:
    """Return the headers; None if a line is not ``Name: value`` in printable characters, or a name comes twice."""
    lines = head.split(_LINE_END)
    if head.translate(None, _PRINTABLE) != _LINE_END * (len(lines) - 1):
        return None
    try:
        headers = dict([line.split(b": ", 1) for line in lines])
    except ValueError:
        return None
    return headers if len(headers) == len(lines) else None


def _shape_of(names: tuple[bytes, ...]) -> _Shape | None:
    """Return how the names are spelled; None if one of them makes a request more than plain."""
    spelled = {name.lower(): name for name in names}
    if len(spelled) != len(names) or not all(map(_TOKEN, names)) or spelled.keys() & _SPECIAL:
        return None
    if not spelled.keys() >= _NEEDED:
        return None
    texts = {name.decode("latin-1"): "" for name in spelled if name != _CONTENT_TYPE}
    if refused_headers(Request("POST", "/", texts, b""), JSON_TYPES):
        return None
    return _Shape(spelled[b"content-length"], spelled[b"host"], spelled[b"x-amz-target"], spelled.get(_CONTENT_TYPE))


def _is_ours(host: bytes) -> bool:
    text = host.decode("latin-1")
    return text == text.strip() and foreign(Request("POST", "/", {"host": text}, b"")) is None


K = TypeVar("K")
V = TypeVar("V")


def _remember(memory: dict[K, V], key: K, value: V) -> V:
    """Keep a finding; a client that varies its headers without end must not fill the memory."""
    if len(memory) >= _MAX_REMEMBERED:
        memory.clear()
    memory[key] = value
    return value


_REQUEST_LINE: Final = b"POST / HTTP/1.1\r\n"
_HEAD_END: Final = b"\r\n\r\n"
_LINE_END: Final = b"\r\n"
_PRINTABLE: Final = bytes(range(0x20, 0x7F))
_TOKEN: Final = re.compile(rb"[A-Za-z0-9-]+").fullmatch
_CONTENT_TYPE: Final = b"content-type"
_NEEDED: Final = frozenset({b"content-length", b"host", b"x-amz-target"})
_SPECIAL: Final = frozenset(
    {
        b"connection",
        b"content-encoding",
        b"expect",
        b"keep-alive",
        b"origin",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
_MAX_DIGITS: Final = 8
_MAX_REMEMBERED: Final = 256
_UNSEEN: Final = _Shape(b"", b"", b"", None)
