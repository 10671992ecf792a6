"""Lambda's REST API, and the lab's own routes for faults, over HTTP."""

import asyncio
import base64
import json
import re
from collections.abc import Callable, Mapping
from functools import partial
from random import Random
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl, unquote

from infra.localaws.http import Pending, Request, Response, text_response
from infra.localaws.lambda_.actions import Result
from infra.localaws.lambda_.deployment import deploy
from infra.localaws.lambda_.errors import (
    InvalidRequestContent,
    LambdaError,
    RequestTooLarge,
    TooManyRequests,
    UnsupportedParameter,
)
from infra.localaws.lambda_.faults import parse_faults
from infra.localaws.lambda_.function import Function
from infra.localaws.lambda_.limits import MAX_PAYLOAD_BYTES
from infra.localaws.lambda_.moto_services import LOGS_TARGET, Iam, Logs
from infra.localaws.lambda_.runner import Queues
from infra.localaws.lambda_.service import LambdaService
from infra.localaws.lambda_.shapes import check_input
from infra.localaws.signature import scope_of
from infra.localaws.sqs.queue import Observer

_INVOKE: Final = "Invoke"
CODE_TARGET: Final = b"/2015-03-31/functions"
"""What the target of a request begins with that may carry a function's code."""
CONTROL_PREFIX: Final = "/_localaws/functions/"


class LambdaApi:
    """Lambda, and the calls of IAM and CloudWatch Logs that its functions need, behind the endpoint's port.

    Args:
        queues: the endpoint's queues.
        rng: draws ids and backoffs.
        observer: is told of every event; None costs nothing.
        endpoint_url: where the functions' AWS SDKs go.
        run: answers in another thread; it is handed what answers, what puts a sentence into the service's answer if
            that takes too long, and the size of the request in bytes.
    """

    def __init__(
        self,
        queues: Queues,
        *,
        rng: Random,
        observer: Observer | None,
        endpoint_url: str,
        run: Callable[[Callable[[], Response], Callable[[str], Response], int], Pending],
    ) -> None:
        self._run = run
        account, region = queues.model.account, queues.model.region
        self.iam = Iam(account, region)
        self.logs = Logs(account, region)
        self.service = LambdaService(
            queues,
            rng=rng,
            role=self.iam.role,
            log=self.logs.write,
            observer=observer,
            endpoint_url=endpoint_url,
        )

    def takes(self, request: Request) -> bool:
        """Return whether a request is for one of these services."""
        if request.headers.get("x-amz-target", "").startswith(LOGS_TARGET):
            return True
        return (
            _PATH.match(request.target) is not None or request.target.startswith(CONTROL_PREFIX) or _is_for_iam(request)
        )

    def answer(self, request: Request) -> Response | Pending:
        """Answer such a request."""
        if request.headers.get("x-amz-target", "").startswith(LOGS_TARGET):
            return self._run(self.logs.answering(request), self.logs.late, len(request.body))
        if request.target.startswith(CONTROL_PREFIX):
            return self._control(request)
        if _PATH.match(request.target) is None:
            return self._run(partial(self.iam.answer, request), self.iam.late, len(request.body))
        try:
            return self._route(request)
        except LambdaError as error:
            return error_response(error)

    def close(self) -> None:
        """End every mapping and every process."""
        self.service.close()

    # Within

    def _route(self, request: Request) -> Response | Pending:
        path, _, query = request.target.partition("?")
        for route in _ROUTES:
            found = route.path.fullmatch(path.rstrip("/") or "/")
            if found is not None and route.method == request.method:
                in_path = {name: unquote(text) for name, text in found.groupdict().items()}
                in_query = _query(query)
                if route.operation == _INVOKE:
                    return self._invoke(request, in_path["FunctionName"], in_query)
                asked = {**_body(request), **in_query, **in_path}
                check_input(route.operation, asked, route.honoured)
                shape = route.act(self.service, asked)
                body = b"" if route.status == _NO_CONTENT else json.dumps(shape).encode()
                return Response(route.status, body)
        raise UnsupportedParameter(f"This endpoint does not serve {request.method} {path} of Lambda's API.")

    def _invoke(self, request: Request, name: str, query: Mapping[str, Any]) -> Response | Pending:
        headers = request.headers
        kind = headers.get("x-amz-invocation-type", "RequestResponse")
        if query.get("Qualifier", "$LATEST") != "$LATEST":
            raise UnsupportedParameter("This endpoint keeps the version $LATEST alone.")
        function = self.service.function(name)
        if kind == "DryRun":
            return Response(_NO_CONTENT)
        if kind != "RequestResponse":
            raise UnsupportedParameter(f"This endpoint invokes functions by RequestResponse, not by {kind!r}.")
        payload = request.body or b"{}"
        if len(payload) > MAX_PAYLOAD_BYTES:
            raise RequestTooLarge(f"{len(payload)} byte payload is too large for the RequestResponse invocation type")
        _check_json(payload)
        if not function.begin():
            raise TooManyRequests("Rate Exceeded.")
        tail = self.logs if headers.get("x-amz-log-type") == "Tail" else None
        return _Invocation(function, payload, _client_context(headers), tail)

    def _control(self, request: Request) -> Response | Pending:
        """Answer the lab: a function at a queue, faults to come, a crash now, and what is there."""
        name, _, verb = unquote(request.target.removeprefix(CONTROL_PREFIX)).partition("/")
        if (request.method, verb) == ("PUT", ""):
            return deploy(self.service, name, request.body)
        try:
            function = self.service.function(name)
        except LambdaError as error:
            return text_response(404, str(error))
        acts: dict[tuple[str, str], Callable[[], dict[str, Any] | None]] = {
            ("GET", ""): lambda: _view(function),
            ("DELETE", ""): lambda: self.service.remove(name),
            ("POST", "crash"): lambda: {"crashed": function.crash(access_key=_access_key(request))},
            ("POST", "stop"): lambda: self.service.stop_mappings(name),
            ("POST", "faults"): lambda: _script(function, request.body),
        }
        act = acts.get((request.method, verb))
        if act is None:
            return text_response(404, _CONTROL_ROUTES)
        try:
            return Response(200, json.dumps(act() or {}).encode())
        except ValueError as error:
            return text_response(400, f"No fault was scripted for {name}: {error}")


class _Invocation:
    """A direct invocation that has not ended; the HTTP face's ``Pending``."""

    def __init__(self, function: Function, payload: bytes, context: str | None, logs: Logs | None) -> None:
        self._function = function
        self._logs = logs
        self._respond: Callable[[Response], None] | None = None
        self._task = asyncio.get_running_loop().create_task(function.invoke(payload, context))

    def start(self, respond: Callable[[Response], None], is_open: Callable[[], bool]) -> None:
        """Begin to wait."""
        del is_open
        self._respond = respond
        self._task.add_done_callback(self._done)

    def cancel(self) -> None:
        """Answer no more; the function runs on, as it does at AWS when a client goes."""
        self._respond = None

    def _done(self, task: "asyncio.Task[Result]") -> None:
        if self._respond is None or task.cancelled():
            return
        result = task.result()
        headers = {"X-Amz-Executed-Version": "$LATEST", "x-amzn-RequestId": result.request_id}
        if result.failure is not None:
            headers["X-Amz-Function-Error"] = "Unhandled"
        if self._logs is not None:
            text = self._logs.tail(self._function.config.log_group, result.request_id)
            headers["X-Amz-Log-Result"] = base64.b64encode(text.encode()[-_TAIL_BYTES:]).decode()
        self._respond(Response(200, result.payload, headers=headers))


def error_response(error: LambdaError) -> Response:
    """Return a refusal in Lambda's form."""
    body = {"Type": "User", "message": str(error)}
    if isinstance(error, TooManyRequests):
        body["Reason"] = "ReservedFunctionConcurrentInvocationLimitExceeded"
    return Response(error.status, json.dumps(body).encode(), headers={"x-amzn-ErrorType": error.code})


def _script(function: Function, body: bytes) -> dict[str, Any]:
    """Script faults.

    Raises:
        ValueError: they are malformed; the message is a sentence.
    """
    document = json.loads(body or b"{}")
    faults = parse_faults(document.get("faults") if isinstance(document, dict) else None)
    if document.get("replace"):
        function.faults.clear()
    function.faults.add(faults)
    return {"scripted": len(function.faults), "invocations": function.invocations}


def _access_key(request: Request) -> str | None:
    """Return whose environment a crash is to end: the one with this access key id; None for all that are busy."""
    try:
        document = json.loads(request.body or b"{}")
    except ValueError:
        return None
    return document.get("access_key") if isinstance(document, dict) else None


def _view(function: Function) -> dict[str, Any]:
    return {
        "invocations": function.invocations,
        "faults": len(function.faults),
        "environments": [
            {"pid": environment.pid, "invocations": environment.invocations} for environment in function.environments
        ],
    }


def _body(request: Request) -> dict[str, Any]:
    if not request.body:
        return {}
    try:
        document = json.loads(request.body)
    except (ValueError, RecursionError):
        raise InvalidRequestContent("Could not parse request body into json: it is not JSON.") from None
    if not isinstance(document, dict):
        raise InvalidRequestContent("Could not parse request body into json: it is not an object.")
    return document


def _query(text: str) -> dict[str, Any]:
    query: dict[str, Any] = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        if name == "tagKeys":
            query.setdefault("TagKeys", []).append(value)
        else:
            query[name] = int(value) if name == "MaxItems" and value.isdigit() else value
    return query


def _check_json(payload: bytes) -> None:
    try:
        json.loads(payload)
    except (ValueError, RecursionError) as error:
        raise InvalidRequestContent(f"Could not parse request body into json: {error}") from None


def _client_context(headers: Mapping[str, str]) -> str | None:
    encoded = headers.get("x-amz-client-context")
    if encoded is None:
        return None
    try:
        context = base64.b64decode(encoded, validate=True).decode("ascii")
        json.loads(context)
    except ValueError:
        raise InvalidRequestContent("Client context must be a valid Base64-encoded JSON object.") from None
    return " ".join(context.split())


class _Route(NamedTuple):
    """An operation: where it is, what it acts on, and what its answer's status is."""

    method: str
    path: "re.Pattern[str]"
    operation: str
    act: Callable[[LambdaService, dict[str, Any]], dict[str, Any]]
    honoured: frozenset[str]
    status: int


def _route(
    where: str,
    operation: str,
    act: Callable[[LambdaService, dict[str, Any]], dict[str, Any]],
    honoured: str = "",
    status: int = 200,
) -> _Route:
    """Return a route from ``METHOD /path/{Parameter}`` and the names of what the operation acts on."""
    method, _, path = where.partition(" ")
    pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path)
    names = {*honoured.split(), *re.findall(r"\{(\w+)\}", path)}
    return _Route(method, re.compile(pattern), operation, act, frozenset(names), status)


_NO_CONTENT: Final = 204
_TAIL_BYTES: Final = 4_096
_FUNCTIONS: Final = "/2015-03-31/functions"
_FUNCTION: Final = f"{_FUNCTIONS}/{{FunctionName}}"
_MAPPINGS: Final = "/2015-03-31/event-source-mappings"
_RESERVED: Final = "/2017-10-31/functions/{FunctionName}/concurrency"
_TAGS: Final = "/2017-03-31/tags/{Resource}"
_SETTINGS: Final = "Role Handler Runtime Description Timeout MemorySize Environment EphemeralStorage"
_CREATE: Final = f"FunctionName Code Tags Architectures PackageType Publish {_SETTINGS}"
_MAPPING: Final = (
    "FunctionName Enabled BatchSize FilterCriteria MaximumBatchingWindowInSeconds FunctionResponseTypes ScalingConfig "
    "ProvisionedPollerConfig"
)
_ROUTES: Final = (
    _route(f"POST {_FUNCTIONS}", "CreateFunction", LambdaService.create_function, _CREATE, 201),
    _route(f"GET {_FUNCTIONS}", "ListFunctions", LambdaService.list_functions, "MaxItems"),
    _route(f"GET {_FUNCTION}", "GetFunction", LambdaService.get_function),
    _route(f"DELETE {_FUNCTION}", "DeleteFunction", LambdaService.delete_function, "", _NO_CONTENT),
    _route(f"GET {_FUNCTION}/configuration", "GetFunctionConfiguration", LambdaService.get_function_configuration),
    _route(
        f"PUT {_FUNCTION}/configuration",
        "UpdateFunctionConfiguration",
        LambdaService.update_function_configuration,
        _SETTINGS,
    ),
    _route(f"PUT {_FUNCTION}/code", "UpdateFunctionCode", LambdaService.update_function_code, "ZipFile"),
    _route(f"GET {_FUNCTION}/versions", "ListVersionsByFunction", LambdaService.list_versions, "MaxItems"),
    _route(f"POST {_FUNCTION}/invocations", _INVOKE, lambda _, __: {}),
    _route(
        f"PUT {_RESERVED}",
        "PutFunctionConcurrency",
        LambdaService.put_function_concurrency,
        "ReservedConcurrentExecutions",
    ),
    _route(
        f"DELETE {_RESERVED}",
        "DeleteFunctionConcurrency",
        LambdaService.delete_function_concurrency,
        "",
        _NO_CONTENT,
    ),
    _route(
        "GET /2019-09-30/functions/{FunctionName}/concurrency",
        "GetFunctionConcurrency",
        LambdaService.get_function_concurrency,
    ),
    _route(
        "GET /2020-06-30/functions/{FunctionName}/code-signing-config",
        "GetFunctionCodeSigningConfig",
        LambdaService.get_code_signing_config,
    ),
    _route("GET /2016-08-19/account-settings", "GetAccountSettings", LambdaService.get_account_settings),
    _route(
        f"POST {_MAPPINGS}",
        "CreateEventSourceMapping",
        LambdaService.create_mapping,
        f"EventSourceArn Tags {_MAPPING}",
        202,
    ),
    _route(
        f"GET {_MAPPINGS}",
        "ListEventSourceMappings",
        LambdaService.list_mappings,
        "EventSourceArn FunctionName MaxItems",
    ),
    _route(f"GET {_MAPPINGS}/{{UUID}}", "GetEventSourceMapping", LambdaService.get_mapping),
    _route(f"PUT {_MAPPINGS}/{{UUID}}", "UpdateEventSourceMapping", LambdaService.update_mapping, _MAPPING, 202),
    _route(f"DELETE {_MAPPINGS}/{{UUID}}", "DeleteEventSourceMapping", LambdaService.delete_mapping, "", 202),
    _route(f"GET {_TAGS}", "ListTags", LambdaService.list_tags),
    _route(f"POST {_TAGS}", "TagResource", LambdaService.tag, "Tags", _NO_CONTENT),
    _route(f"DELETE {_TAGS}", "UntagResource", LambdaService.untag, "TagKeys", _NO_CONTENT),
)


def _is_for_iam(request: Request) -> bool:
    scope = scope_of(request)
    return scope is not None and scope.service == "iam"


_PATH: Final = re.compile(r"/20\d\d-\d\d-\d\d/(functions|event-source-mappings|tags|account-settings)\b")
_CONTROL_ROUTES: Final = (
    "There is no such route; there are GET, PUT and DELETE /_localaws/functions/NAME, and POST .../NAME/crash, "
    ".../NAME/faults and .../NAME/stop."
)
