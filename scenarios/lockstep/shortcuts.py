"""What a handler asks of Python's HTTP client and of AWS's SDK, answered by shorter ways with the same outcome.

    urllib       the request becomes the lab's at once, and not by way of a socket; the response is Python's own object
    botocore     remembers an endpoint for equal parameters, and what it knows of an operation; copies its session's
                 handlers; checks and encodes plain parameters in one go
    dataclasses  compiles the same text once

A simulation asks for the same thousands of times. Whatever is not plain takes the long way, with all its errors.
"""

from __future__ import annotations

import copy
import dataclasses
import http.client
import io
import json
import socket
import urllib.request
from collections.abc import Callable, Mapping
from functools import lru_cache
from itertools import chain
from types import CodeType
from typing import Any, Final, NamedTuple, TypeAlias

import botocore.context
import botocore.session
from botocore.context import ClientContext
from botocore.hooks import EventAliaser, HierarchicalEmitter
from botocore.model import OperationModel, Shape
from botocore.parsers import JSONParser
from botocore.regions import EndpointRulesetResolver
from botocore.serialize import JSONSerializer
from botocore.validate import ParamValidationDecorator, ParamValidator

from infra.localaws.http import Request as WireRequest
from infra.localaws.http import Response
from scenarios.lockstep.turns import HOOKS, HOST, PORT, READ_TIMEOUT, Asked, at_work, current

# --- urllib ----------------------------------------------------------------------------------------------------------

_NETLOC: Final = f"{HOST}:{PORT}"
_PLAIN_METHODS: Final = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})
_WITH_LENGTH: Final = frozenset({"POST", "PUT", "PATCH"})
#: Headers that decide how a request is read, or whether a web page may have sent it.
_NOT_PLAIN: Final = frozenset({"expect", "origin", "sec-fetch-site", "te", "trailer", "transfer-encoding", "upgrade"})
_do_open = urllib.request.AbstractHTTPHandler.do_open


class _Source:
    """What a response is read from."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def makefile(self, _mode: str) -> io.BufferedReader:
        """Return the body as a file."""
        return io.BufferedReader(io.BytesIO(self._body))  # it has what a raw file has


def _hooked_open(
    opener: urllib.request.AbstractHTTPHandler, http_class: Any, request: urllib.request.Request, **more: Any
) -> http.client.HTTPResponse:
    """Send a request of urllib's."""
    wire = None
    if http_class is http.client.HTTPConnection and not more and at_work() and not _is_debugged(opener, http_class):
        wire = _wire_of(request)
    if wire is None:
        opened: http.client.HTTPResponse = _do_open(opener, http_class, request, **more)
        return opened
    turns = current()
    timeout = request.timeout  # its opener has set it
    if not isinstance(timeout, int | float):
        timeout = socket.getdefaulttimeout()
    answer: Response = turns.ask(Asked(turns.monotonic + (READ_TIMEOUT if timeout is None else timeout), wire))
    response = _response_of(answer, wire.method)
    response.url = request.full_url
    return response


def _is_debugged(opener: Any, http_class: Any) -> bool:
    return bool(opener._debuglevel or http_class.debuglevel)  # noqa: SLF001 - a debugged client prints


def _wire_of(request: Any) -> WireRequest | None:
    """Return a request as it goes over the wire; None where it is not plain, or goes elsewhere."""
    method, target, body = request.get_method(), request.selector or "/", request.data
    if request.host != _NETLOC or request._tunnel_host or method not in _PLAIN_METHODS:  # noqa: SLF001
        return None
    given = {**request.headers, **request.unredirected_hdrs, "Connection": "close"}
    headers = {"accept-encoding": "identity", **{name.lower(): value for name, value in given.items()}}
    if body is None and method in _WITH_LENGTH:
        headers.setdefault("content-length", "0")
    plain = (
        (body is None or type(body) is bytes)
        and len(headers) >= len(given)
        and _are_plain(headers)
        and headers.get("host") == _NETLOC
        and headers.get("content-length", "0") == str(len(body or b""))
        and target.startswith("/")
        and target.isascii()
        and target.isprintable()
        and " " not in target
    )
    return WireRequest(method, target, headers, body or b"", keep_alive=False) if plain else None


def _are_plain(headers: Mapping[str, Any]) -> bool:
    """Tell whether headers are short texts that neither client nor server would change, or read otherwise."""
    values = headers.values()
    if not _NOT_PLAIN.isdisjoint(headers) or not all(type(value) is str and value == value.strip() for value in values):
        return False
    names, text = "".join(headers), "".join(chain(headers, values))
    return text.isascii() and text.isprintable() and "" not in headers and not {":", " "} & {*names}


def _response_of(answer: Response, method: str) -> http.client.HTTPResponse:
    """Return an answer as Python's client reads it."""
    response: Any = http.client.HTTPResponse(_Source(answer.body), method=method)  # type: ignore[arg-type]
    response.headers = message = http.client.HTTPMessage()
    message.set_payload("")
    length = len(answer.body)
    told = {"Content-Type": answer.content_type, "Content-Length": str(length), **answer.headers, "Connection": "close"}
    for name, value in told.items():
        message.set_raw(name, value)  # what its parser calls
    response.code = response.status = answer.status
    response.msg = response.reason = answer.reason  # as urllib leaves it
    response.version = 11
    response.chunked, response.will_close, response.length = False, True, length
    made: http.client.HTTPResponse = response
    return made


# --- botocore --------------------------------------------------------------------------------------------------------

_deepcopy = copy.deepcopy
_provider_params = EndpointRulesetResolver._get_provider_params  # noqa: SLF001 - what its endpoint follows from
_serialize = ParamValidationDecorator.serialize_to_request
_handle_body = JSONParser._handle_json_body  # noqa: SLF001
_register_builtin = botocore.session.Session._register_builtin_handlers  # noqa: SLF001 - a session calls it


#: By resolver, operation and parameters that have a say in it: AWS's side of the matter, and what follows from both.
_params: dict[tuple[Any, ...], tuple[dict[str, Any], dict[str, Any]]] = {}


def _hooked_params(resolver: Any, operation: OperationModel, call_args: Any, context: Any) -> dict[str, Any]:
    """Return what an endpoint follows from; it is worked out once for equal parameters."""
    if not at_work() or operation.operation_context_parameters:
        return dict(_provider_params(resolver, operation, call_args, context))
    members = resolver._get_dynamic_context_params(operation).values()  # noqa: SLF001
    key = (resolver, operation.name, *(call_args.get(name) for name in members))
    if not all(type(value) is str for value in key[1:]):
        return dict(_provider_params(resolver, operation, call_args, context))
    # Who listens may change what it follows from, and is told once.
    builtins = resolver._get_customized_builtins(operation, call_args, context)  # noqa: SLF001
    known, params = _params.get(key, (None, {}))
    if known == builtins:
        for name, value in params.items():
            resolver._register_endpoint_feature_ids(name, value)  # noqa: SLF001
        return dict(params)
    resolver._get_customized_builtins = lambda *_: builtins  # noqa: SLF001
    try:
        params = _provider_params(resolver, operation, call_args, context)
    finally:
        del resolver._get_customized_builtins  # noqa: SLF001
    _params[key] = builtins, params
    return dict(params)


def _hooked_context_copy(of: Any, *more: Any) -> Any:
    """Copy what botocore keeps of a call: a set of short texts."""
    if type(of) is ClientContext and vars(of).keys() == {"features"}:
        return ClientContext(set(of.features))
    return _deepcopy(of, *more)


_pristine: Any = None


def _hooked_builtin(session: Any, events: Any) -> None:
    """Register botocore's own handlers with a new session: a copy of those that the first one has registered."""
    global _pristine  # noqa: PLW0603 - botocore's are this process's
    emitter = events._emitter  # noqa: SLF001
    if not at_work() or type(events) is not EventAliaser or vars(emitter).keys() != vars(HierarchicalEmitter()).keys():
        _register_builtin(session, events)
    elif _pristine is None:
        _register_builtin(session, events)
        _pristine = copy.copy(emitter)
    else:
        vars(emitter).update(vars(copy.copy(_pristine)))


# --- what botocore sends ---------------------------------------------------------------------------------------------

#: Types of shapes that may hold themselves.
_NESTED: Final = frozenset({"structure", "map", "list"})


class _Later:
    """What is not yet made of a shape that holds itself."""

    def __init__(self, known: Mapping[str, Callable[[Any], Any]], name: str) -> None:
        self._known, self._name = known, name

    def __call__(self, value: Any) -> Any:
        return self._known[self._name](value)


#: Tells whether a value is plain, valid, and encoded as it is.
Check: TypeAlias = Callable[[Any], bool]


class _Known(NamedTuple):
    """What is known of an operation.

    Attributes:
        is_plain: tells whether parameters are plain; None where no parameters are.
        request: what its serializer makes of none.
    """

    is_plain: Check | None
    request: dict[str, Any]


_operations: dict[OperationModel, _Known] = {}


def _hooked_serialize(decorator: Any, parameters: Any, operation: OperationModel) -> dict[str, Any]:
    """Check parameters, and make a request of them."""
    if not at_work():
        return dict(_serialize(decorator, parameters, operation))
    known = _operations.get(operation)
    if known is None:
        known = _operations[operation] = _known(decorator, operation)
    if known.is_plain is None or not known.is_plain(parameters):
        return dict(_serialize(decorator, parameters, operation))
    headers = dict(known.request["headers"])
    return {**known.request, "headers": headers, "body": json.dumps(parameters).encode()}


def _known(decorator: Any, operation: OperationModel) -> _Known:
    serializer, shape = decorator._serializer, operation.input_shape  # noqa: SLF001
    is_own = type(serializer) is JSONSerializer and type(decorator._param_validator) is ParamValidator  # noqa: SLF001
    if not is_own or shape is None or operation.endpoint is not None:
        return _Known(None, {})
    return _Known(_check_of(shape), serializer.serialize_to_request({}, operation))


def _check_of(shape: Shape) -> Check:
    """Return what tells whether a value is plain, valid for a shape, and encoded as it is."""
    known: dict[str, Check] = {}

    def check(shape: Any) -> Check:
        if shape.type_name not in _NESTED or shape.serialization:
            return _check_by_type(shape, check)
        if shape.name not in known:
            known[shape.name] = _Later(known, shape.name)
            known[shape.name] = _check_by_type(shape, check)
        return known[shape.name]

    return check(shape)


def _check_by_type(shape: Any, check: Callable[[Any], Check]) -> Check:
    if shape.serialization or shape.metadata.get("document"):
        return _is_never_plain
    if shape.type_name == "structure":
        return _check_of_structure(shape, {name: check(member) for name, member in shape.members.items()})
    least = shape.metadata.get("min", 0)
    if shape.type_name == "list":
        of_item = check(shape.member)
        return lambda value: type(value) is list and len(value) >= least and all(map(of_item, value))
    if shape.type_name == "map":
        of_key, of_value = check(shape.key), check(shape.value)
        return lambda value: type(value) is dict and all(map(of_key, value)) and all(map(of_value, value.values()))
    return {
        "string": lambda value: type(value) is str and len(value) >= least,
        "integer": lambda value: type(value) is int and value >= least,
        "long": lambda value: type(value) is int and value >= least,
        "boolean": lambda value: type(value) is bool,
    }.get(shape.type_name, _is_never_plain)


def _check_of_structure(shape: Any, members: Mapping[str, Check]) -> Check:
    required, is_union = frozenset(shape.required_members), shape.is_tagged_union
    if not required and not is_union:
        return lambda value: type(value) is dict and all(_holds(members, name, held) for name, held in value.items())

    def holds(value: Any) -> bool:
        if type(value) is not dict or not required <= value.keys() or (is_union and len(value) != 1):
            return False
        return all(_holds(members, name, held) for name, held in value.items())

    return holds


def _holds(members: Mapping[str, Check], name: Any, held: Any) -> bool:
    check = members.get(name)
    return check is not None and check(held)


def _is_never_plain(_value: Any) -> bool:
    return False


# --- what botocore reads ---------------------------------------------------------------------------------------------

#: Makes of a JSON value what a client returns.
Read: TypeAlias = Callable[[Any], Any]
_readers: dict[tuple[JSONParser, Shape], Read] = {}


def _hooked_body(parser: JSONParser, raw_body: Any, shape: Shape) -> Any:
    """Read an answer's body."""
    if not at_work() or type(parser) is not JSONParser:
        return _handle_body(parser, raw_body, shape)
    read = _readers.get((parser, shape))
    if read is None:
        read = _readers[parser, shape] = _reader_of(parser, shape)
    return read(parser._parse_body_as_json(raw_body))  # noqa: SLF001 - as the way that this one replaces


def _reader_of(parser: Any, shape: Shape) -> Read:
    """Return what reads a value of a shape: what the parser does, without asking at each value what it is."""
    known: dict[str, Read] = {}

    def reader(shape: Any) -> Read:
        if shape.type_name not in _NESTED:
            return _reader_by_type(parser, shape, reader)
        if shape.name not in known:
            known[shape.name] = _Later(known, shape.name)
            known[shape.name] = _reader_by_type(parser, shape, reader)
        return known[shape.name]

    return reader(shape)


def _reader_by_type(parser: Any, shape: Any, reader: Callable[[Any], Read]) -> Read:
    match shape.type_name:
        case "structure" if shape.is_document_type or shape.is_tagged_union:
            return lambda value: parser._parse_shape(shape, value)  # noqa: SLF001
        case "structure":
            members = [
                (name, member.serialization.get("name", name), reader(member)) for name, member in shape.members.items()
            ]
            return lambda value: (
                value and {name: read(held) for name, key, read in members if (held := value.get(key)) is not None}
            )
        case "map":
            of_key, of_value = reader(shape.key), reader(shape.value)
            return lambda value: {of_key(key): of_value(held) for key, held in value.items()}
        case "list":
            of_item = reader(shape.member)
            return lambda value: [None if item is None else of_item(item) for item in value]
        case "string" | "integer" | "long" | "boolean" | "float" | "double":
            return _itself
    return lambda value: parser._parse_shape(shape, value)  # noqa: SLF001


def _itself(value: Any) -> Any:
    return value


# --- dataclasses -----------------------------------------------------------------------------------------------------


@lru_cache(1024)
def _compiled(text: str) -> CodeType:
    return compile(text, "<string>", "exec", dont_inherit=True)


def _hooked_exec(text: Any, *scopes: Any) -> None:
    """Run a text of the module ``dataclasses``: an environment that starts makes the same classes again."""
    exec(_compiled(text) if type(text) is str else text, *scopes)  # noqa: S102 - as that module does


HOOKS.extend(
    (
        (urllib.request.AbstractHTTPHandler, "do_open", _hooked_open),
        (EndpointRulesetResolver, "_get_provider_params", _hooked_params),
        (botocore.context, "deepcopy", _hooked_context_copy),
        (botocore.session.Session, "_register_builtin_handlers", _hooked_builtin),
        (ParamValidationDecorator, "serialize_to_request", _hooked_serialize),
        (JSONParser, "_handle_json_body", _hooked_body),
        (dataclasses, "exec", _hooked_exec),
    )
)
