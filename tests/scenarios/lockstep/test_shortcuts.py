"""The short ways of a simulated handler's clients beside the long ones: the same requests, answers and errors."""

import dataclasses
import socket
import urllib.error
import urllib.request

import boto3
import botocore.session
import pytest
from botocore.exceptions import ParamValidationError

from infra.localaws.http import Response
from scenarios.lockstep import shortcuts, turns
from scenarios.lockstep.turns import URL, Surroundings, Turns, begin_history, end_history

open_url = urllib.request.build_opener(urllib.request.ProxyHandler({})).open
ANSWER = Response(200, b'{"executions": 1}\n', "application/json", {"x-amzn-requestid": "7"})


@pytest.fixture
def hooks():
    begin_history(0)
    yield
    end_history()


@pytest.fixture
def client(monkeypatch):
    monkeypatch.setattr(shortcuts, "at_work", lambda: True)
    monkeypatch.setattr(turns, "_clients", {})
    access = {"aws_access_key_id": "a", "aws_secret_access_key": "b", "region_name": "us-west-1", "endpoint_url": URL}
    return lambda service: boto3.Session().client(service, **access)


# --- urllib ----------------------------------------------------------------------------------------------------------


def fared(ask, *answers):
    """Return what code asks, one request after the other, and what becomes of it."""
    asking = Turns(ask, Surroundings({}, "/", lambda _: False, {}))
    asked, answers = [], list(answers)
    asking.resume()
    while asking.waits_for is not None:
        asked.append((asking.waits_for.request, asking.waits_for.until))
        asking.resume(answers.pop(0))
    value, error = asking.outcome
    return asked, value, error and (type(error), str(error))


def told(response):
    said = (response.status, response.code, response.reason, response.msg, response.url, response.version)
    headers = (response.headers.items(), response.headers.get_payload(), response.getheader("X-Amzn-Requestid"))
    first = response.read(4)
    return said, headers, response.length, first, response.read(), response.closed, response.isclosed()


def asks(*, data=None, headers=None, method=None, path="/side-effects/a%20b?c=d", timeout=9, read=told):
    def ask():
        sent = data() if callable(data) else data
        request = urllib.request.Request(URL + path, sent, headers or {}, method=method)  # noqa: S310 - the lab's
        try:
            with open_url(request, timeout=timeout) as response:
                return read(response)
        except urllib.error.HTTPError as error:
            with error:
                return str(error), error.code, error.read()

    return ask


REQUESTS = {
    "get": {},
    "root": {"path": ""},
    "post": {"data": b'{"a": 1}', "headers": {"X-Amz-Target": "a.B", "Content-Type": "application/x-amz-json-1.0"}},
    "empty-post": {"method": "POST"},
    "put": {"data": b"", "method": "PUT"},
    "delete": {"method": "DELETE", "headers": {"Accept-Encoding": "gzip"}},
    "no-timeout": {"timeout": None},
}
#: They take the long way, or fail.
OTHERS = {
    "head": {"method": "HEAD"},
    "origin": {"headers": {"Origin": "http://elsewhere"}},
    "chunks": {"data": lambda: iter([b"a", b"b"]), "method": "POST"},
    "other-host": {"headers": {"Host": "elsewhere"}},
    "wrong-length": {"data": b"abc", "headers": {"Content-Length": "2"}},
    "line-end": {"headers": {"A": "b\r\nC: d"}},
    "number": {"headers": {"A": 7}},
    "not-latin": {"headers": {"A": "\u20ac"}},
    "text": {"data": "text"},
}


@pytest.mark.usefixtures("hooks")
@pytest.mark.parametrize("name", [*REQUESTS, *OTHERS])
@pytest.mark.parametrize(
    "answer",
    [ANSWER, Response(400, b"no"), Response(204), TimeoutError("timed out"), ConnectionResetError(104, "reset")],
    ids=lambda answer: str(getattr(answer, "status", type(answer).__name__)),
)
def test_a_request_of_urllibs_is_the_same_by_both_ways(monkeypatch, name, answer):
    ask = asks(**{**REQUESTS, **OTHERS}[name])
    short = fared(ask, answer)
    if name in REQUESTS:
        with monkeypatch.context() as without:
            without.setattr(socket.socket, "connect", None)  # the short way opens no socket
            assert fared(ask, answer) == short
    with monkeypatch.context() as without:
        without.setattr(urllib.request.AbstractHTTPHandler, "do_open", shortcuts._do_open)
        assert fared(ask, answer) == short


@pytest.mark.usefixtures("hooks")
def test_a_response_can_be_read_by_lines_and_after_its_connection_is_closed():
    answer = Response(200, b"one\ntwo\n")
    assert fared(asks(read=list), answer)[1] == [b"one\n", b"two\n"]
    kept = fared(asks(read=lambda response: response), answer)[1]
    assert kept.closed


# --- botocore --------------------------------------------------------------------------------------------------------

KEY = {"message_id": {"S": "a"}}
CALLS = {
    "get": ("GetItem", {"TableName": "t", "Key": KEY, "ConsistentRead": True}),
    "put": ("PutItem", {"TableName": "t", "Item": {**KEY, "m": {"M": {"l": {"L": [{"N": "1"}, {"NULL": True}]}}}}}),
    "set": ("PutItem", {"TableName": "t", "Item": {**KEY, "s": {"SS": ["a", "b"]}}}),
    "unicode": ("PutItem", {"TableName": "t", "Item": {"message_id": {"S": "\u20ac\ud83d\ude00"}}}),
    "bytes": ("PutItem", {"TableName": "t", "Item": {**KEY, "b": {"B": b"\x00\xff"}}}),
    "tuple": ("PutItem", {"TableName": "t", "Item": {**KEY, "s": {"SS": ("a", "b")}}}),
    "missing": ("GetItem", {"TableName": "t"}),
    "unknown": ("GetItem", {"TableName": "t", "Key": KEY, "Other": 1}),
    "none": ("GetItem", {"TableName": "t", "Key": KEY, "ConsistentRead": None}),
    "number": ("GetItem", {"TableName": "t", "Key": {"message_id": {"N": 1}}}),
    "true": ("PutItem", {"TableName": "t", "Item": {**KEY, "b": {"BOOL": 1}}}),
    "short": ("GetItem", {"TableName": "", "Key": KEY}),
    "limit": ("Scan", {"TableName": "t", "Limit": 0}),
    "batch": ("BatchGetItem", {"RequestItems": {"t": {"Keys": [KEY]}}}),
    "few": ("BatchGetItem", {"RequestItems": {"t": {"Keys": []}}}),
}


@pytest.mark.parametrize(("operation", "parameters"), CALLS.values(), ids=CALLS)
def test_parameters_are_checked_and_encoded_as_botocore_does(client, operation, parameters):
    dynamodb = client("dynamodb")
    model = dynamodb.meta.service_model.operation_model(operation)

    def made(serialize):
        try:
            return serialize(dynamodb._serializer, parameters, model)
        except ParamValidationError as error:
            return str(error)

    first = made(shortcuts._hooked_serialize)
    assert first == made(shortcuts._serialize)
    if isinstance(first, dict):
        first["headers"]["Changed"] = "by a listener"
        assert made(shortcuts._hooked_serialize) == made(shortcuts._serialize)


def test_plain_parameters_take_the_short_way(client, monkeypatch):
    dynamodb = client("dynamodb")
    monkeypatch.setattr(shortcuts, "_serialize", None)
    for name in ("get", "put", "set", "unicode", "batch"):
        operation, parameters = CALLS[name]
        model = dynamodb.meta.service_model.operation_model(operation)
        assert shortcuts._hooked_serialize(dynamodb._serializer, parameters, model)["body"]


@pytest.mark.parametrize(
    ("service", "operation", "body"),
    [
        ("dynamodb", "GetItem", b'{"Item": {"a": {"M": {"l": {"L": [{"N": "1"}, {"B": "AP8="}]}}}, "s": {"BS": []}}}'),
        ("dynamodb", "GetItem", b'{"Item": {"a": {"NULL": true}, "e": {}}, "Other": 1, "ConsumedCapacity": null}'),
        ("dynamodb", "GetItem", b""),
        ("dynamodb", "GetItem", b"no json"),
        ("dynamodb", "DescribeTable", b'{"Table": {"CreationDateTime": 1.5, "ItemCount": 3, "KeySchema": [null]}}'),
        ("sqs", "ReceiveMessage", b'{"Messages": [{"MessageId": "a", "Attributes": {"Other": "1"}, "Body": ""}]}'),
    ],
)  # fmt: skip
def test_an_answer_is_read_as_botocore_does(client, service, operation, body):
    made = client(service)
    shape = made.meta.service_model.operation_model(operation).output_shape
    parser = made._endpoint._response_parser_factory.create_parser("json")
    for _ in range(2):
        assert shortcuts._hooked_body(parser, body, shape) == shortcuts._handle_body(parser, body, shape)


def test_an_endpoint_is_worked_out_once_and_who_listens_is_heard_each_time(client, monkeypatch):
    dynamodb, heard = client("dynamodb"), []
    model = dynamodb.meta.service_model.operation_model("GetItem")
    resolver = dynamodb._ruleset_resolver

    def worked_out(table="t"):
        return shortcuts._hooked_params(resolver, model, {"TableName": table}, {})

    expected = shortcuts._provider_params(resolver, model, {"TableName": "t"}, {})
    assert worked_out() == worked_out() == expected
    assert worked_out("other")["ResourceArn"] == "other"

    def listen(builtins, **_):
        heard.append(1)
        builtins["AWS::Region"] = f"region-{len(heard)}"

    dynamodb.meta.events.register("before-endpoint-resolution.dynamodb", listen)
    assert [worked_out()["Region"] for _ in range(3)] == ["region-1", "region-2", "region-3"]


def test_a_session_that_is_made_from_a_copy_has_botocores_handlers_and_its_own(monkeypatch):
    name = "before-call.dynamodb.GetItem"

    def listeners(session):
        return [*session.events._emitter._handlers.prefix_search(name)]

    as_botocore_does = listeners(boto3.Session())
    monkeypatch.setattr(shortcuts, "at_work", lambda: True)
    monkeypatch.setattr(shortcuts, "_pristine", None)
    monkeypatch.setattr(botocore.session.Session, "_register_builtin_handlers", shortcuts._hooked_builtin)
    first, copied, other = (boto3.Session() for _ in range(3))
    copied.events.register(name, dict)
    assert listeners(first) == listeners(other) == as_botocore_does != []
    assert listeners(copied) == [dict, *as_botocore_does]


# --- dataclasses -----------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("hooks")
def test_a_class_is_made_again_from_the_same_text():
    made = []
    for default in (1, 2):
        namespace = {
            "__annotations__": {"a": int, "b": list},
            "a": default,
            "b": dataclasses.field(default_factory=list),
        }
        made.append(dataclasses.dataclass(frozen=True, order=True)(type("Made", (), namespace)))
    assert [kind().a for kind in made] == [1, 2]
    assert made[0](3) > made[0](2)
    with pytest.raises(dataclasses.FrozenInstanceError):
        made[0]().a = 7
