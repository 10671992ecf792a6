"""SQS over HTTP: both protocols, and a set of queues for each region.

A request belongs to the region of its credential scope, or of the queue URL that it names. What has neither belongs to
the endpoint's own region. Two regions' queues of one name are two queues, with different URLs.
"""

import json
from collections.abc import Callable
from functools import partial
from random import Random
from typing import Any, Final

from infra.localaws.clock import ScaledClock
from infra.localaws.config import EndpointConfig, is_region
from infra.localaws.headers import FORM_TYPES, JSON_TYPES, refused_headers
from infra.localaws.history import HistoryFile
from infra.localaws.http import Pending, PlainRequest, Request, Response
from infra.localaws.longpolls import Answer, LongPolls
from infra.localaws.move_task_timer import MoveTaskTimer
from infra.localaws.signature import is_signed, scope_in_form, scope_in_header, scope_of
from infra.localaws.sqs import query
from infra.localaws.sqs.context import LongPoll, OtherRegion, Shape
from infra.localaws.sqs.errors import (
    InvalidAction,
    MissingAction,
    MissingAuthenticationToken,
    SerializationError,
    SqsError,
    UnsupportedOperation,
)
from infra.localaws.sqs.fastpath import FastAnswer, FastPath
from infra.localaws.sqs.model import SqsModel
from infra.localaws.sqs.queue import Queue
from infra.localaws.sqs.wire import SqsWire

SQS_TARGET: Final = "AmazonSQS."
MAX_REGIONS: Final = 64
"""Regions that one endpoint serves; AWS has about 40."""
_JSON: Final = "application/x-amz-json-1.0"


class SqsRegion:
    """The queues of one region, and what serves them.

    Args:
        name: AWS's name of the region.
        config: the endpoint's settings.
        clock: the model's clock.
        history: takes down the events; None for no recording.
        after: is called after what no request caused.
    """

    def __init__(
        self,
        name: str,
        config: EndpointConfig,
        clock: ScaledClock,
        history: HistoryFile | None,
        after: Callable[[], None],
    ) -> None:
        is_home = name == config.region
        # The history names a queue of another region with its region: "eu-west-1/orders".
        prefix = "" if is_home else f"{name}/"
        seed = f"{config.seed}" if is_home else f"{config.seed}/{name}"
        self.model = SqsModel(
            clock=clock,
            rng=_random(seed),
            region=name,
            observer=None if history is None else partial(_observe, history, prefix),
            rates=config.rates,
            random_for=lambda queue: _random(f"{seed}/{queue}"),
            on_available=self._notice,
            consistency=config.consistency,
            limits_fifo=config.limits_fifo,
        )
        self.polls = LongPolls(self.model, clock, after)
        self.move_tasks = MoveTaskTimer(self.model, clock, after)

    def listen(self, url: str, home: str) -> None:
        """Take the endpoint's address, and the name of its own region."""
        self.wire = SqsWire(self.model, url, home)
        # Calls are counted on the general path alone.
        self.fast = {} if self.model.limits_fifo else FastPath(self.wire).actions

    def _notice(self, queue: Queue) -> None:
        self.polls.notice(queue)


class SqsApi:
    """SQS as HTTP clients see it.

    Args:
        config: the endpoint's settings.
        clock: the model's clock.
        history: takes down the events; None for no recording.
        flush: is called whenever events may have to be written.
        request_id: gives the id of the present request.
    """

    def __init__(
        self,
        config: EndpointConfig,
        clock: ScaledClock,
        history: HistoryFile | None,
        flush: Callable[[], None],
        request_id: Callable[[], str],
    ) -> None:
        self._new_region: Final = partial(SqsRegion, config=config, clock=clock, history=history, after=flush)
        self._flush = flush
        self._request_id = request_id
        self._url = ""
        self.home = self._new_region(config.region)
        self._regions = {config.region: self.home}

    def listen(self, url: str) -> None:
        """Take the endpoint's address, which begins every queue URL."""
        self._url = url
        self.home.listen(url, self.home.model.region)

    def _region(self, name: str | None) -> SqsRegion:
        """Return a region by its name; the endpoint's own for what is no region's name."""
        region = self._regions.get(name or "")
        if region is None:
            if name is None or not is_region(name) or len(self._regions) >= MAX_REGIONS:
                return self.home
            region = self._regions[name] = self._new_region(name)
            region.listen(self._url, self.home.model.region)
        return region

    # The JSON protocol

    def answer_json(self, request: Request) -> Response | Pending:
        """Answer a request in the JSON protocol."""
        if refusal := refused_headers(request, JSON_TYPES):
            return self._json_answer(UnsupportedOperation(refusal))
        scope = scope_of(request)
        region = self._region(scope.region if scope else None)
        try:
            return self._answer_json_in(region, request)
        except OtherRegion as elsewhere:
            return self._answer_json_in(self._region(elsewhere.name), request)

    def _answer_json_in(self, region: SqsRegion, request: Request) -> Response | Pending:
        target = request.headers.get("x-amz-target", "")
        trace = request.headers.get(_TRACE)
        act = None if trace else region.fast.get(target)
        answer: FastAnswer | SqsError
        try:
            answer = act(request.body) if act else None
            if answer is None:
                action = target.removeprefix(SQS_TARGET)
                document = _with_trace(action, _document(request.body), trace)
                return self._perform(region, action, document, self._json_answer)
        except SqsError as error:
            answer = error
        self._after(region)
        if isinstance(answer, bytes):
            return Response(200, answer, _JSON, {"x-amzn-RequestId": self._request_id()})
        if isinstance(answer, LongPoll):
            return region.polls.wait(answer, self._json_answer)
        return self._json_answer(answer)

    def answer_plain(self, request: PlainRequest) -> bytes | Pending | None:
        """Answer a plain request for one of the common actions; None leaves it to ``answer_json``, unperformed."""
        values, places = request.values, request.places
        if values[places.content_type] not in _PLAIN_TYPES:
            return None
        region = self.home
        if places.authorization is not None:
            scope = scope_in_header(values[places.authorization].decode("latin-1"))
            region = self._region(scope.region if scope else None)
        act = region.fast.get(values[places.target].decode("latin-1"))
        try:
            answer = act(request.body) if act else None
        except OtherRegion:
            return None
        except SqsError as error:
            self._after(region)
            return self._json_answer(error).to_bytes()
        if answer is None:
            return None
        self._after(region)
        if isinstance(answer, bytes):
            head = f"{_OK_JSON}{len(answer)}\r\nx-amzn-RequestId: {self._request_id()}\r\n\r\n"
            return head.encode() + answer
        return region.polls.wait(answer, self._json_answer)

    def _json_answer(self, answer: Shape | SqsError) -> Response:
        headers = {"x-amzn-RequestId": self._request_id()}
        if isinstance(answer, SqsError):
            headers["x-amzn-query-error"] = f"{answer.query_code};Sender"
            document = {"__type": answer.json_type, "message": str(answer)}
            return Response(answer.status, json.dumps(document).encode(), _JSON, headers)
        return Response(200, json.dumps(answer).encode(), _JSON, headers)

    # The Query protocol

    def read_form(self, request: Request) -> query.Form:
        """Return the fields of a request, from its URL and from its body.

        Raises:
            SqsError: they cannot be read.
        """
        if refusal := refused_headers(request, FORM_TYPES):
            raise UnsupportedOperation(refusal)
        in_url = request.target.partition("?")[2].encode("latin-1")
        encoded = b"&".join(part for part in (in_url, request.body) if part)
        return query.parse_form(encoded)

    def answer_query(self, request: Request, form: query.Form) -> Response | Pending:
        """Answer a request in the Query protocol; ``form`` holds its fields."""
        path = request.target.partition("?")[0]
        action = form.get("Action", "")
        render = partial(self.query_answer, action, as_json=_wants_json(request))
        if not action and path != "/":
            return Response(404, b"<UnknownOperationException/>", "text/plain; charset=utf-8")
        try:
            if not action:
                raise MissingAction
            if path != "/" and action in query.NOT_OF_A_QUEUE:
                raise InvalidAction.named(action)
            if request.method != "POST" and not (is_signed(request, form) or action in query.READS):
                raise MissingAuthenticationToken(_UNSIGNED)
            scope = scope_of(request) or scope_in_form(form)
            region = self._region(scope.region if scope else None)
            try:
                return self._answer_query_in(region, request, form, render)
            except OtherRegion as elsewhere:
                return self._answer_query_in(self._region(elsewhere.name), request, form, render)
        except SqsError as error:
            return render(error)

    def _answer_query_in(
        self, region: SqsRegion, request: Request, form: query.Form, render: Answer
    ) -> Response | Pending:
        path = request.target.partition("?")[0]
        action, document = query.read_request(form, None if path == "/" else self._url + path)
        return self._perform(region, action, _with_trace(action, document, request.headers.get(_TRACE)), render)

    def query_answer(self, action: str, answer: Shape | SqsError, *, as_json: bool = False) -> Response:
        """Return the answer to an action in the Query protocol: XML, or JSON where the client accepts that."""
        request_id = self._request_id()
        headers = {"x-amzn-RequestId": request_id}
        failed = isinstance(answer, SqsError)
        status = answer.status if isinstance(answer, SqsError) else 200
        content = (
            query.write_error(answer, request_id)
            if isinstance(answer, SqsError)
            else query.write_answer(action, answer, request_id)
        )
        if as_json:
            return Response(status, query.as_json(content, is_error=failed), "application/json", headers)
        return Response(status, content, query.CONTENT_TYPE, headers)

    # Both

    def _perform(self, region: SqsRegion, action: str, document: Any, render: Answer) -> Response | Pending:
        answer: Shape | LongPoll | SqsError
        try:
            answer = region.wire.call(action, document)
        except SqsError as error:
            answer = error
        self._after(region)
        if isinstance(answer, LongPoll):
            return region.polls.wait(answer, render)
        return render(answer)

    def _after(self, region: SqsRegion) -> None:
        self._flush()
        region.move_tasks.look()


def _observe(history: HistoryFile, prefix: str, event: str, queue: str, fields: dict[str, Any]) -> None:
    history.observe(event, prefix + queue, fields)


def _with_trace(action: str, document: Any, trace: str | None) -> Any:
    """Return a request with the trace that its header names, if it is a send that names none itself."""
    if trace and action == "SendMessage" and isinstance(document, dict):
        system = document.get("MessageSystemAttributes") or {}
        if isinstance(system, dict) and "AWSTraceHeader" not in system:
            header = {"DataType": "String", "StringValue": trace}
            return document | {"MessageSystemAttributes": system | {"AWSTraceHeader": header}}
    return document


def _wants_json(request: Request) -> bool:
    return "application/json" in request.headers.get("accept", "").lower()


def _document(body: bytes) -> Any:
    try:
        return json.loads(body or b"{}")
    except (ValueError, RecursionError):
        raise SerializationError("The request's body is not JSON.") from None


def _random(seed: str) -> Random:
    return Random(seed)  # noqa: S311 - chooses ids and deliveries, guards nothing


_PLAIN_TYPES: Final = frozenset(each.encode() for each in JSON_TYPES)
_OK_JSON: Final = f"HTTP/1.1 200 OK\r\nContent-Type: {_JSON}\r\nContent-Length: "
_TRACE: Final = "x-amzn-trace-id"
_UNSIGNED: Final = (
    "An unsigned request may change something by POST only: any web page can cause a GET. Sign it, or use POST."
)
