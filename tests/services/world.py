"""A world in memory for one service: answers operations from plain Python state, and remembers what was asked."""

import json
from collections import deque

from services import operations as op


def message(sequence=0, *, body=None, group=None, receive_count=1, **payload):
    identity = payload.pop("id", f"key-{sequence}")
    text = json.dumps({"id": identity, "sequence": sequence, **payload}) if body is None else body
    return op.Message(f"m-{sequence}", f"handle-{sequence}-{receive_count}", text, receive_count, group)


class World:
    """Deliver the given batches one after the other, then nothing; keep claims, a ledger and a clock."""

    def __init__(self, *batches, visibility_timeout=10, fifo=False):
        self.batches = deque(tuple(batch) for batch in batches)
        self.facts = op.QueueFacts(visibility_timeout, fifo)
        self.asked = []
        self.notes = []
        self.claims = {}  # key -> (token, "STARTED" or "COMPLETED", lease is alive)
        self.ledger = {}
        self.states = {}
        self.calls = {}  # key -> the idempotency keys that were shown for it
        self.log = []
        self.objects = {}
        self.sent = []
        self.deleted = []
        self.released = []
        self.clock = 100.0
        self.wall_clock = 1000.0
        self.answers = {}  # operation class -> deque of results or errors that come before the world's own answer
        self.on = {}  # operation class -> called with the operation before it is answered

    def answer(self, kind, *results):
        self.answers.setdefault(kind, deque()).extend(results)

    def kinds(self):
        return [type(operation).__name__ for operation in self.asked if operation.recorded]

    def outcomes(self):
        return [note.details["outcome"] for note in self.notes if note.event == "handled"]

    def perform(self, operation):
        self.asked.append(operation)
        if type(operation) in self.on:
            self.on[type(operation)](operation)
        if self.answers.get(type(operation)):
            result = self.answers[type(operation)].popleft()
            if isinstance(result, Exception):
                raise result
            return result
        return getattr(self, f"_{type(operation).__name__}")(operation)

    def _DescribeQueue(self, _operation):
        return self.facts

    def _CheckTables(self, _operation):
        return None

    def _Receive(self, operation):
        if not self.batches:
            self.clock += operation.wait_seconds
            return ()
        return self.batches.popleft()

    def _Claim(self, operation):
        token, status, alive = self.claims.get(operation.key, (0, "", False))
        if status == "COMPLETED":
            return op.AlreadyCompleted()
        if alive:
            return op.HeldByAnother("somebody", 1.0)
        self.claims[operation.key] = (token + 1, "STARTED", True)
        return op.Claimed(token + 1)

    def _own(self, operation, status, alive):
        token = self.claims.get(operation.key, (0, "", False))[0]
        if token != operation.fencing_token:
            return False
        self.claims[operation.key] = (token, status, alive)
        return True

    def _Complete(self, operation):
        return self._own(operation, "COMPLETED", True)

    def _ReleaseClaim(self, operation):
        return self._own(operation, "STARTED", False)

    def _RenewClaim(self, operation):
        return self._own(operation, "STARTED", True)

    def _LookUpSideEffect(self, operation):
        return operation.key in self.ledger

    def _PerformSideEffect(self, operation):
        self.ledger[operation.key] = self.ledger.get(operation.key, 0) + 1
        return self.ledger[operation.key]

    def _WriteState(self, operation):
        there = self.states.get(operation.entity, 0)
        took = operation.version > there or not operation.only_if_newer
        self.states[operation.entity] = operation.version if took else there
        return op.StateWritten(took, self.states[operation.entity])

    def _CallApi(self, operation):
        known = self.calls.setdefault(operation.key, [])
        known.append(operation.idempotency_key)
        return op.ApiAnswer(len(set(known)), operation.idempotency_key in known[:-1])

    def _AppendToLog(self, operation):
        self.log.append(operation.line)

    def _PutObject(self, operation):
        self.objects[operation.key] = operation.body

    def _FetchObject(self, operation):
        return self.objects.get(operation.key)

    def _RemoveObject(self, operation):
        self.objects.pop(operation.key, None)

    def _Send(self, operation):
        self.sent += [json.loads(item.body) for item in operation.messages]
        return op.SendResult(tuple(op.SentEntry(entry, f"m-{entry}") for entry in range(len(operation.messages))))

    def _Delete(self, operation):
        self.deleted += [item.message_id for item in operation.messages]
        return ()

    def _ChangeVisibility(self, operation):
        if operation.timeout == 0:
            self.released += [item.message_id for item in operation.messages]
        return ()

    def _Sleep(self, operation):
        self.clock += operation.seconds
        return True

    def _ReadClock(self, _operation):
        return self.clock

    def _ReadWallClock(self, _operation):
        return self.wall_clock

    def _Note(self, note):
        self.notes.append(note)
