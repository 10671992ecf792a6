"""Histories told by hand, as the processes would have recorded them; each call takes a tenth of a second."""

import dataclasses
import json

from scenarios.history import History
from services.history import Recorder
from services.operations import OPERATIONS, Message, OperationFailed, OutgoingMessage

QUEUE, DLQ = "work", "work-dlq"
TICK = 0.1


def operation_of(name, arguments):
    """Return an operation of a kind whose record holds these arguments, and something in the place of the others."""
    if name not in OPERATIONS:
        return type(name, (), {"arguments": lambda _: arguments, "kept_result": lambda _, result: result})()
    kind = OPERATIONS[name]
    given = dict(arguments)
    if name == "Send":
        given["messages"] = tuple(OutgoingMessage(**message) for message in given.get("messages", ()))
    elif name in ("Delete", "ChangeVisibility"):
        given["messages"] = tuple(Message(identity, "r", "") for identity in given.get("messages", ()))
    elif name == "CommitChange":
        given["message"] = "body" if given.get("message") else None
    elif name == "PutObject":
        given["body"] = "x" * given.pop("characters", 0)
    missing = {field.name for field in dataclasses.fields(kind) if field.default is dataclasses.MISSING} - given.keys()
    return kind(**given, **{name: _PLACEHOLDERS.get(name, "") for name in missing})


_PLACEHOLDERS = {
    "fencing_token": 1,
    "lease_seconds": 1.0,
    "limit": 10,
    "max_messages": 10,
    "wait_seconds": 1,
    "version": 1,
}


class Told:
    def __init__(self, *, fifo=False, max_receive_count=2, visibility_timeout=1.0, business_field="", **declared):
        self.records = []
        self.now = 0.0
        self._recorders = {}
        self._bodies = {}
        self._groups = {}
        self.event(
            "lab",
            "run",
            queue=QUEUE,
            dead_letter_queue=DLQ,
            fifo=fifo,
            max_receive_count=max_receive_count,
            visibility_timeout=visibility_timeout,
            business_field=business_field,
            **declared,
        )

    @property
    def history(self):
        return History(self.records)

    def recorder(self, process):
        """Return a process's own recorder: what a test tells is written as a process would write it."""
        if process not in self._recorders:
            self._recorders[process] = Recorder(self.records.append, process, self._tick)
        return self._recorders[process]

    def _tick(self):
        self.now = round(self.now + TICK, 6)
        return self.now

    def event(self, process, event, **details):
        self.recorder(process).event(event, **details)

    # An operation may be begun and ended apart, so that others can come between.
    def begin(self, process, operation, queue=QUEUE, **arguments):
        recorder = self.recorder(process)
        recorder._queue = queue
        return recorder.invoke(operation_of(operation, arguments))

    def end(self, process, invocation, operation, result=None):
        if operation == "FetchObject" and result is not None:
            result = "x" * result["characters"]
        self.recorder(process).ok(invocation, operation_of(operation, {}), result)

    def fail(self, process, invocation, operation, *, code="X", transient=True):
        error = OperationFailed(code, "x", transient=transient)
        self.recorder(process).fail(invocation, operation_of(operation, {}), error)

    def fault(self, process, invocation, operation, kind="crash", point="after", **details):
        fault = {"kind": kind, "operation": operation, "point": point, **details}
        self.recorder(process).fault(invocation, operation_of(operation, {}), fault)

    def do(self, process, operation, result=None, queue=QUEUE, **arguments):
        invocation = self.begin(process, operation, queue, **arguments)
        self.end(process, invocation, operation, result)
        return invocation

    # --- the usual operations ---

    def send(self, *ids, group=None, poison=False, acknowledged=True, endpoint=False, **fields):
        """Send messages with these ids; the MessageId is ``m-<id>``, the payload's id ``<id>``."""
        for identity in ids:
            payload = {"id": identity, "sequence": len(self._bodies), **fields} | ({"poison": True} if poison else {})
            self._bodies[identity], self._groups[identity] = json.dumps(payload), group
            outgoing = {"body": self._bodies[identity], "group": group, "deduplication_id": None}
            invocation = self.begin("producer", "Send", messages=[outgoing])
            if endpoint:
                self.endpoint("sent", identity)
            if acknowledged:
                sent = [{"entry": 0, "message_id": f"m-{identity}", "sequence_number": None}]
                self.end("producer", invocation, "Send", {"sent": sent, "failed": []})

    def receive(self, process, *ids, count=1, queue=QUEUE):
        return self.do(
            process, "Receive", [self.delivered(it, count) for it in ids], queue, max_messages=10, wait_seconds=1
        )

    def delivered(self, identity, count=1):
        return {
            "message_id": f"m-{identity}",
            "receipt_handle": "r",
            "body": self._bodies[identity],
            "receive_count": count,
            "group": self._groups[identity],
            "sequence_number": None,
        }

    def about(self, identity, key=None):
        payload = json.loads(self._bodies[identity])
        return {
            "key": key or identity,
            "message_id": f"m-{identity}",
            "sequence": payload["sequence"],
            "group": self._groups[identity],
        }

    def effect(self, process, identity, executions=1, key=None):
        self.do(process, "PerformSideEffect", executions, **self.about(identity, key))

    def delete(self, process, *ids, refused=(), failed=(), queue=QUEUE):
        """Delete as one batch; of its entries some may be refused for good, and some fail for a while."""
        refusals = [
            {"entry": at, "code": "X", "message": "", "sender_fault": at in refused} for at in (*refused, *failed)
        ]
        self.do(process, "Delete", refusals, queue, messages=[f"m-{identity}" for identity in ids])

    def handle(self, process, *ids, count=1):
        """Take messages through, one by one, as they should be."""
        for identity in ids:
            self.receive(process, identity, count=count)
            self.effect(process, identity)
            self.delete(process, identity)

    def dead_letter(self, *ids):
        self.receive("lab-dead-letters", *ids, count=3, queue=DLQ)

    def redrive(self, identity, new):
        """Move a dead letter back, as a move task does: it goes on under the MessageId ``m-<new>``."""
        self._bodies[new], self._groups[new] = self._bodies[identity], self._groups[identity]
        self.endpoint("moved", identity, queue=DLQ, to=QUEUE, new_message_id=f"m-{new}")

    def exit(self, process, code):
        self.event("lab", "exited", exited=process, code=code)

    def ledger(self, **executions):
        self.event("lab", "ledger", executions=executions)

    def looked(self, *left):
        self.event("lab", "left-in-queue", message_ids=[f"m-{identity}" for identity in left])

    def endpoint(self, event, identity, queue=QUEUE, **details):
        self.event("endpoint", event, queue=queue, message_id=f"m-{identity}", **details)
