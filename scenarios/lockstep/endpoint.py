"""AWS as a program sees it in one history: the simulation's own queues, and tables by moto, in this very process."""

from __future__ import annotations

import json
from typing import Any, Final, cast

from infra.localaws.http import Response as WireResponse
from infra.localaws.sqs.context import LongPoll
from infra.localaws.sqs.errors import SerializationError, SqsError
from infra.localaws.sqs.message import Delivery
from infra.localaws.sqs.model import ACCOUNT, SqsModel
from infra.localaws.sqs.queue import ReceiveRequest
from infra.localaws.sqs.wire import SqsWire
from infra.localaws.sts import caller_identity
from scenarios.local.http_reader import DYNAMODB, SQS, counted
from scenarios.local.interpreter import refusal
from scenarios.local.observed_exchange import Request, Response
from scenarios.lockstep.bucket import Bucket
from scenarios.lockstep.tables import Tables
from scenarios.simulation.world import World
from services.drivers.store import STATE_PREFIX

REGION: Final = "us-west-1"
#: What a program's tables are called, after the queue.
STATUS_TABLE, LEDGER = "status", "side-effects"

_JSON: Final = {"Content-Type": "application/x-amz-json-1.0"}
_REQUEST_ID: Final = "00000000-0000-4000-8000-000000000000"


class Endpoint:
    """The queues and tables of one history.

    Attributes:
        status_table: the name of the program's own table.
        ledger: the name of the table that plays the external system.
        bucket: where payloads lie; None where there are none.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._wire = SqsWire(cast("SqsModel", _Watched(world)), "http://127.0.0.1")
        self.status_table = f"{world.names.queue.removesuffix('.fifo')}-{STATUS_TABLE}"
        self.ledger = f"{world.names.queue.removesuffix('.fifo')}-{LEDGER}"
        self._tables = Tables(REGION, self.status_table, self.ledger)
        # Few scenarios have payloads, and their producers come before their consumers.
        self.bucket = Bucket(REGION, f"{world.names.queue}-payloads", world.objects) if world.objects.in_use else None

    @property
    def queue_path(self) -> str:
        """The path of the queue's URL."""
        return f"/{ACCOUNT}/{self._world.names.queue}"

    def answer(self, request: Request, body: bytes, reader: str = "") -> Response | LongPoll:
        """Let a request take effect; a receive that finds nothing may have to wait.

        Args:
            request: what was asked.
            body: its body, or what is left of it.
            reader: the process that hears the answer; empty for none.
        """
        target = request.headers.get("x-amz-target", "")
        if target.startswith(SQS):
            return self._answer_sqs(target.removeprefix(SQS), body)
        if target.startswith(DYNAMODB):
            return _of_wire(self._stale(request, body, reader) or self._tables.answer(request.headers, body))
        if not target and self.bucket is not None and self.bucket.has(request.path):
            return _of_wire(self.bucket.answer(request))
        if b"Action=GetCallerIdentity" in body:
            return _of_wire(caller_identity(ACCOUNT, _REQUEST_ID))
        return refusal(
            request, "UnknownOperationException", f"The explorer does not serve {target or request.path}.", 400
        )

    def take(self, poll: LongPoll) -> Response | None:
        """Try a receive that waits again; None where it still finds nothing."""
        deliveries = self._world.take(poll.request)
        return _json(poll.render(deliveries)) if deliveries else None

    def nothing(self, poll: LongPoll) -> Response:
        """Return the answer to a receive that has waited in vain."""
        return _json(poll.render([]))

    def note_effect(self, key: str) -> None:
        """Read from the ledger how often a side effect was caused by now.

        Raises:
            BreaksContractError: what stands there is no count.
        """
        item = self._tables.item(self.ledger, key)
        if "executions" in item:
            self._world.tables.executions[key] = counted(item["executions"])

    def note_state(self, entity: str) -> None:
        """Read from the ledger which version an entity has by now.

        Raises:
            BreaksContractError: what stands there is no version.
        """
        item = self._tables.item(self.ledger, f"{STATE_PREFIX}{entity}")
        if "version" in item:
            self._world.tables.states[entity] = counted(item["version"])

    def _stale(self, request: Request, body: bytes, reader: str) -> WireResponse | None:
        """Answer a read that is not consistent from before the last change of an item, where the choices say so."""
        world = self._world
        if not world.staleness or not reader:
            return None
        found = self._tables.answer_stale(request.headers, body, lambda: world.choices.chance(world.staleness))
        if found is None:
            return None
        answer, keys = found
        for key in keys:
            world.note_stale_read(key, reader)
        return answer

    def _answer_sqs(self, action: str, body: bytes) -> Response | LongPoll:
        try:
            answer = self._wire.call(action, _document(body))
        except SqsError as error:
            told = json.dumps({"__type": error.json_type, "message": str(error)}).encode()
            return Response(error.status, {**_JSON, "x-amzn-query-error": f"{error.query_code};Sender"}, told)
        return answer if isinstance(answer, LongPoll) else _json(answer)


class _Watched:
    """The simulation's queues; receives of the one under study pass through the world, which keeps account."""

    def __init__(self, world: World) -> None:
        self._world = world

    def receive(self, name: str, request: ReceiveRequest) -> list[Delivery]:
        if name == self._world.names.queue:
            return self._world.take(request)
        return self._world.model.receive(name, request)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._world.model, name)


def _json(shape: Any) -> Response:
    return Response(200, _JSON, json.dumps(shape).encode())


def _of_wire(answer: WireResponse) -> Response:
    return Response(answer.status, {"Content-Type": answer.content_type, **answer.headers}, answer.body)


def _document(body: bytes) -> Any:
    try:
        return json.loads(body or b"{}")
    except (ValueError, RecursionError):
        raise SerializationError("The request's body is not JSON.") from None
