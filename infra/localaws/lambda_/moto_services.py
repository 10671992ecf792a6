"""IAM and CloudWatch Logs by moto's own backends, called directly: what a function's role and log group need."""

import io
import json
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from infra.localaws.faults import FAULTS
from infra.localaws.http import Request, Response
from infra.localaws.moto_loader import LOADING

LOGS_TARGET: Final = "Logs_20140328."
SQS_EXECUTION_POLICY: Final = "AWSLambdaSQSQueueExecutionRole"
_MANAGED_POLICIES: Final = (SQS_EXECUTION_POLICY, "AWSLambdaBasicExecutionRole")
_KEPT_LINES: Final = 10_000
"""Lines of functions' logs that wait to be asked for."""
_TAIL_LINES: Final = 1_000
_SHOWN: Final = 200
"""Characters of an answer of moto's that a refusal quotes."""
_UNKNOWN: Final = {"iam": "InvalidAction", "logs": "UnknownOperationException"}
_NO_OBJECT: Final = {"logs": "SerializationException"}
_CANNOT: Final = {"iam": "ValidationError", "logs": "InvalidParameterException"}
_OURS: Final = frozenset({"content-length", "connection", "date", "server"})


class _Face:
    """A service of moto's behind HTTP; its handler loads with the first request."""

    def __init__(self, service: str, account: str, region: str) -> None:
        self._service = service
        self._account = account
        self._region = region

    def dispatch(self, handler: Any, request: Request) -> Response:
        """Answer a request."""
        if not self._has(request):
            return self.refused(_UNKNOWN, f"The service {self._service} has no such action.")
        try:
            status, headers, body = handler.dispatch(*self._for_moto(request))
        except NotImplementedError:
            return self.refused(_UNKNOWN, f"This endpoint does not serve this action of {self._service}.")
        except Exception as error:  # noqa: BLE001 - moto trips over some requests that AWS refuses
            refusal = _refusal(error)
            if refusal is not None and refusal.status < HTTPStatus.INTERNAL_SERVER_ERROR:
                return refusal
            FAULTS.exception("moto could not perform a request of %s.", self._service)
            return self.refused(_CANNOT, f"This endpoint cannot do this ({type(error).__name__}); its log says where.")
        if int(status) >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return self.refused(_CANNOT, f"This endpoint cannot do this: {_bytes(body)[:_SHOWN]!r}")
        named = {name.lower(): str(value) for name, value in dict(headers).items()}
        kept = {name: value for name, value in named.items() if name not in _OURS and name != "content-type"}
        return Response(int(status), _bytes(body), _type_of(named), kept)

    def _has(self, request: Request) -> bool:
        """Return whether the service has the action that a request names; moto trips over any other."""
        from moto.core.utils import get_service_model  # noqa: PLC0415 - moto is loaded by now

        if self._service == "iam":
            text = request.body.decode(errors="replace") or request.target.partition("?")[2]
            action = dict(parse_qsl(text)).get("Action", "")
        else:
            action = request.headers.get("x-amz-target", "").removeprefix(LOGS_TARGET)
        return action in get_service_model(self._service).operation_names

    def refused(self, codes: Mapping[str, str], message: str) -> Response:
        """Return a refusal in the service's own form: an SDK would repeat a 500, and nothing would be any better."""
        code = codes[self._service]
        if self._service == "iam":
            text = f"<Error><Type>Sender</Type><Code>{code}</Code><Message>{escape(message)}</Message></Error>"
            return Response(400, f"<ErrorResponse>{text}</ErrorResponse>".encode(), "text/xml")
        return Response(400, json.dumps({"__type": code, "message": message}).encode(), "application/x-amz-json-1.1")

    def _for_moto(self, request: Request) -> tuple[Any, str, Any]:
        """Return the request as a WSGI server would hand it to moto."""
        with LOADING:
            from moto.core.request import Request as MotoRequest  # noqa: PLC0415 - moto loads with the first request

        host = f"{self._service}.{self._region}.amazonaws.com"
        path, _, query = request.target.partition("?")
        variables = {
            "REQUEST_METHOD": request.method,
            "SCRIPT_NAME": "",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "SERVER_NAME": host,
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "CONTENT_LENGTH": str(len(request.body)),
            "CONTENT_TYPE": request.headers.get("content-type", ""),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(request.body),
        }
        names = {name: text for name, text in request.headers.items() if name not in _IN_VARIABLES}
        headers = {**names, "host": host, "x-moto-account-id": self._account}
        variables |= {f"HTTP_{name.upper().replace('-', '_')}": text for name, text in headers.items()}
        asked = MotoRequest(variables)
        return asked, f"http://{host}{request.target}", asked.headers


#: What each service calls a request that took too long.
_LATE = {"iam": "RequestTimeout", "logs": "ServiceUnavailableException"}


class Iam:
    """The roles of one account."""

    def __init__(self, account: str, region: str) -> None:
        self._account = account
        self._face = _Face("iam", account, region)
        self._backend: Any = None

    def late(self, sentence: str) -> Response:
        """Return the answer to a request whose work takes too long."""
        return self._face.refused(_LATE, sentence)

    def answer(self, request: Request) -> Response:
        """Answer a request of IAM's Query protocol, perhaps in another thread."""
        return self._face.dispatch(self._load(), request)

    def role(self, arn: str) -> "tuple[dict[str, Any], list[dict[str, Any]]] | None":
        """Return a role's trust policy and the policies that it has; None if there is no such role."""
        if self._backend is None:
            return None
        # Copies, since a request may be under way in another thread.
        role = next((role for role in list(self._backend.roles.values()) if role.arn == arn), None)
        if role is None:
            return None
        texts = [*list(role.policies.values()), *map(_document_of, list(role.managed_policies.values()))]
        return _as_json(role.assume_role_policy_document), [_as_json(text) for text in texts]

    def _load(self) -> Any:
        """Make moto's handler, with roles of this endpoint's own where moto has one set a process."""
        if self._backend is None:
            with LOADING:
                from moto.iam.models import AWSManagedPolicy, IAMBackend  # noqa: PLC0415 - a quarter of a second
                from moto.iam.models import aws_managed_policies_data as published  # noqa: PLC0415 - likewise
                from moto.iam.responses import IamResponse  # noqa: PLC0415 - likewise

            self._backend = backend = IAMBackend("aws", self._account)
            data = json.loads(published)
            for name in _MANAGED_POLICIES:
                policy = AWSManagedPolicy.from_data(name, self._account, "aws", data[name])
                backend.managed_policies[policy.arn] = policy
            self._handler = type("Handler", (IamResponse,), {"backend": backend})
        return self._handler


class Logs:
    """The log groups of one account, with what functions have written.

    Attributes:
        on_line: is handed each line as it is written; None for none.
    """

    def __init__(self, account: str, region: str) -> None:
        self.on_line: Callable[[str], None] | None = None
        self._face = _Face("logs", account, region)
        self._account = account
        self._region = region
        self._backend: Any = None
        self._lines: deque[tuple[str, str, int, str]] = deque(maxlen=_KEPT_LINES)
        self._tail: deque[tuple[str, str, str]] = deque(maxlen=_TAIL_LINES)

    def late(self, sentence: str) -> Response:
        """Return the answer to a request whose work takes too long."""
        return self._face.refused(_LATE, sentence)

    def write(self, group: str, stream: str, line: str) -> None:
        """Take a line of a function's log."""
        self._lines.append((group, stream, int(time.time() * 1000), line))
        self._tail.append((group, stream, line))
        if self.on_line is not None:
            self.on_line(line)

    def tail(self, group: str, request_id: str) -> str:
        """Return the lines of one invocation, from its START on."""
        lines = [(stream, line) for named, stream, line in self._tail if named == group]
        starts = [at for at, (_, line) in enumerate(lines) if line.startswith(f"START RequestId: {request_id}")]
        if not starts:
            return ""
        at = starts[-1]
        return "\n".join(line for stream, line in lines[at:] if stream == lines[at][0]) + "\n"

    def answering(self, request: Request) -> Callable[[], Response]:
        """Return what answers a request of CloudWatch Logs' JSON protocol, perhaps in another thread."""
        lines, self._lines = self._lines, deque(maxlen=_KEPT_LINES)

        def answer() -> Response:
            handler = self._load()
            self._hand_over(lines)
            try:
                asked = json.loads(request.body or b"{}")
            except (ValueError, RecursionError):
                asked = None
            if not isinstance(asked, dict):
                return self._face.refused(_NO_OBJECT, "The request's body is not a JSON object.")
            return self._face.dispatch(handler, request)

        return answer

    def _hand_over(self, lines: Iterable[tuple[str, str, int, str]]) -> None:
        """Give moto what was written since the last request; groups and streams come with their first line."""
        backend = self._backend
        by_stream: dict[tuple[str, str], list[dict[str, Any]]] = {}
        for group, stream, at, line in lines:
            by_stream.setdefault((group, stream), []).append({"timestamp": at, "message": line})
        for (group, stream), events in by_stream.items():
            if group not in backend.groups:
                backend.create_log_group(group, {})
            if stream not in backend.groups[group].streams:
                backend.create_log_stream(group, stream)
            backend.put_log_events(group, stream, events)

    def _load(self) -> Any:
        if self._backend is None:
            with LOADING:
                from moto.logs.models import LogsBackend  # noqa: PLC0415 - a fifth of a second
                from moto.logs.responses import LogsResponse  # noqa: PLC0415 - likewise

            self._backend = LogsBackend(self._region, self._account)
            self._handler = type("Handler", (LogsResponse,), {"logs_backend": self._backend})
        return self._handler


_IN_VARIABLES: Final = frozenset({"content-length", "content-type"})


def _refusal(error: Any) -> Response | None:
    """Return what moto refuses a request with by raising; None for a failure of its own."""
    if not hasattr(error, "get_body"):
        return None
    return Response(int(error.code), _bytes(error.get_body()), _type_of(dict(error.get_headers())))


def _document_of(policy: Any) -> Any:
    """Return the document of a managed policy's default version."""
    return next(version.document for version in policy.versions if version.version_id == policy.default_version_id)


def _as_json(document: Any) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(document) if isinstance(document, str) else document
    return parsed


def _bytes(body: Any) -> bytes:
    return body.encode() if isinstance(body, str) else bytes(body)


def _type_of(headers: dict[str, Any]) -> str:
    named = {name.lower(): str(value) for name, value in headers.items()}
    return named.get("content-type", "application/x-amz-json-1.1")
