"""The work of every parser and pattern grows with the size of what it reads, and not with the square of it."""

import functools
import importlib
import json
import pkgutil
import re
from urllib.parse import quote

import pytest

from infra import localaws
from infra.localaws.http import HttpConnection, Request, text_response
from infra.localaws.limits import check_expressions
from infra.localaws.pages import refuse_page
from infra.localaws.s3 import S3
from infra.localaws.signature import scope_of
from infra.localaws.sqs import query
from infra.localaws.sqs.errors import SqsError
from infra.localaws.sqs.shapes import input_checks
from infra.localaws.values import RefusedError, settle, spelt
from tests.localaws.growth import grows_too_fast
from tests.localaws.test_http import FakeTransport

pytestmark = pytest.mark.thorough

SMALL, LARGE = 5_000, 40_000

#: What texts are made of, over and over; the end fits no pattern, so that a pattern tries all ways to match.
PUMPS = [*"9a-_./:%&=#[( {\"'<é\t", "9.", "a.", "9e", "a-", "%4", "&a", "a=1&", "a/9/", "arn:", "Credential=", ":a,#b,"]
END = "\0!"


def _grows_too_fast(work, make, small=SMALL, large=LARGE):
    """Tell whether the work on a text grows out of proportion with the text."""
    little, much = make(small), make(large)
    return grows_too_fast(lambda: work(little), lambda: work(much))


def _patterns():
    """Return every compiled pattern of the endpoint's modules: the method that a module keeps, or the search."""
    found = {}
    for module in pkgutil.walk_packages(localaws.__path__, "infra.localaws."):
        if module.name.endswith("__main__"):
            continue
        for name, value in vars(importlib.import_module(module.name)).items():
            full_name = f"{module.name.removeprefix('infra.localaws.')}.{name}"
            if isinstance(value, re.Pattern):
                found[full_name] = value.fullmatch if full_name in WHOLE else value.search
            elif isinstance(getattr(value, "__self__", None), re.Pattern):
                found[full_name] = functools.partial(value, "") if value.__name__ == "sub" else value
    return found


#: Patterns whose module matches whole texts with them.
WHOLE = {"values._NUMBER", "values._KEPT"}
PATTERNS = _patterns()


def test_the_patterns_are_found():
    assert {"values._NUMBER", "sqs.content._NUMBER", "limits._TOKEN", "sqs.query._BAD_PERCENT"} <= PATTERNS.keys()


@pytest.mark.parametrize("name", PATTERNS)
def test_a_pattern_is_linear(name):
    method = getattr(PATTERNS[name], "func", PATTERNS[name])
    is_text = isinstance(method.__self__.pattern, str)
    for pump in PUMPS:

        def make(size, pump=pump):
            text = (pump * (size // len(pump))) + END
            return text if is_text else text.encode()

        assert not _grows_too_fast(PATTERNS[name], make), pump


def test_a_quadratic_pattern_is_noticed():
    pattern = re.compile(r"(\d+\.?\d*|\.\d+)")
    assert _grows_too_fast(pattern.fullmatch, lambda size: "9" * size + "a", 500, 4_000)
    assert not _grows_too_fast(re.compile(r"(\d+(\.\d*)?|\.\d+)").fullmatch, lambda size: "9" * size + "a")


def _refusing(work, *errors):
    def tried(given):
        try:
            work(given)
        except errors:
            return

    return tried


def _read_form(text):
    form = query.parse_form(text.encode())
    query.read_request({"Action": "SendMessage", **form}, None)


def _feed(data):
    connection = HttpConnection(lambda _: text_response(200, ""))
    connection.connection_made(FakeTransport())
    for start in range(0, len(data), 1_000):
        connection.data_received(data[start : start + 1_000])


def _ask_s3(target):
    S3_BUCKETS.answer(Request("GET", target, {"host": "localhost"}, b""))


S3_BUCKETS = S3("000000000000", "us-west-1")
HEAD = b"POST / HTTP/1.1\r\nHost: localhost\r\n"
PARSERS = {
    "form": (_refusing(_read_form, SqsError), lambda size: "a=1&" * (size // 4)),
    "form of fields": (
        _refusing(_read_form, SqsError),
        lambda size: "&".join(f"A.{n}.b={n}" for n in range(size // 10)),
    ),
    "form of one field": (_refusing(_read_form, SqsError), lambda size: "MessageBody=" + quote("é" * (size // 6))),
    "form of levels": (_refusing(_read_form, SqsError), lambda size: "a." * (size // 2) + "=1"),
    "scope": (scope_of, lambda size: Request("GET", "/", {"authorization": "Credential=" * (size // 11)}, b"")),
    "host": (refuse_page, lambda size: Request("GET", "/", {"host": "1." * size}, b"")),
    "number": (_refusing(spelt, RefusedError), lambda size: "9" * size + "a"),
    "number of zeros": (_refusing(spelt, RefusedError), lambda size: "0" * size),
    "expression": (
        _refusing(check_expressions, RefusedError),
        lambda size: {"FilterExpression": "a IN (" + ":v," * (size // 3)},
    ),
    "item": (
        _refusing(settle, RefusedError),
        lambda size: {"Item": {f"a{n}": {"L": [{"N": "1.0"}]} for n in range(size // 20)}},
    ),
    "item of levels": (
        _refusing(settle, RefusedError),
        lambda size: {"Item": {"a": json.loads('{"L":[' * 200 + "]}" * 200)}},
    ),
    "request": (
        _refusing(input_checks()["SendMessageBatch"], SqsError),
        lambda size: {"QueueUrl": "u", "Entries": [{"Id": str(n), "MessageBody": "x"} for n in range(size // 20)]},
    ),
    "headers": (_feed, lambda size: HEAD + b"".join(b"X%d: y\r\n" % n for n in range(size // 10)) + b"\r\n"),
    "one header": (_feed, lambda size: HEAD + b"X: " + b"y" * size + b"\r\n\r\n"),
    "chunks": (_feed, lambda size: HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * (size // 6)),
    "pipelined": (_feed, lambda size: b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" * (size // 37)),
    "key": (_ask_s3, lambda size: "/payloads/" + "9" * size),
    "bucket": (_ask_s3, lambda size: "/" + "9" * size),
    "S3 query": (_ask_s3, lambda size: "/payloads?" + "9=&" * (size // 3)),
}


@pytest.mark.parametrize("name", PARSERS)
def test_a_parser_is_linear(name):
    assert not _grows_too_fast(*PARSERS[name])
