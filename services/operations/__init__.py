"""The operations: every call that a producer or a consumer makes to the outside, as data.

A generator yields one of these and is sent its result. Nothing here does anything: a driver (see
``services.drivers``) performs operations, and in doing so records them. This is the seam that lets the same
consumer run on real AWS, on the embedded endpoint and in simulated time.

    queue       DescribeQueue  CountMessages  Receive  Delete  ChangeVisibility  Send  Purge
    store       CheckTables  Claim  RenewClaim  ReleaseClaim  Complete
    items       GetItem  PutItem  DeleteItem  AddToCounter  Transact
    outbox      CommitChange  ReadOutbox  MarkSent
    payloads    PutObject  FetchObject  RemoveObject  ListObjects
    effects     LookUpSideEffect  PerformSideEffect  CallApi  WriteState
    process     Sleep  ReadClock  ReadWallClock  Note  AppendToLog  Gather

Each class says in one place how it is performed, recorded, drawn in a report and told in a counterexample (see
``services.operations.base``).

An operation that could not be done raises :class:`OperationFailed` at the ``yield``. An answer that is merely a "no"
(a claim held by another, an entry of a batch that failed) is a result, not an error.
"""

from services.operations.base import (
    OPERATIONS,
    Mark,
    Methods,
    Names,
    Operation,
    OperationFailed,
    Part,
    RecordedCall,
    Tagged,
    Task,
    Track,
    methods_of,
    no_operation,
    not_a_task,
    place_of,
    plain,
)
from services.operations.effects import (
    KEY_REUSED,
    STALE_TOKEN,
    ApiAnswer,
    CallApi,
    LookUpSideEffect,
    PerformSideEffect,
    StateWritten,
    WriteState,
    key_reused,
    stale_token,
)
from services.operations.items import AddToCounter, DeleteItem, GetItem, PutItem, Transact, Transacted, Write
from services.operations.outbox import CommitChange, MarkSent, OutboxEntry, ReadOutbox
from services.operations.payloads import FetchObject, ListObjects, PutObject, RemoveObject
from services.operations.process import AppendToLog, Gather, Note, ReadClock, ReadWallClock, Sleep
from services.operations.queue import (
    ChangeVisibility,
    CountMessages,
    Delete,
    DescribeQueue,
    EntryFailure,
    Message,
    OutgoingMessage,
    Purge,
    QueueCounts,
    QueueFacts,
    Receive,
    Send,
    SendResult,
    SentEntry,
)
from services.operations.store import (
    AlreadyCompleted,
    CheckTables,
    Claim,
    Claimed,
    ClaimResult,
    Complete,
    HeldByAnother,
    ReleaseClaim,
    RenewClaim,
)

__all__ = [
    "KEY_REUSED",
    "OPERATIONS",
    "STALE_TOKEN",
    "AddToCounter",
    "AlreadyCompleted",
    "ApiAnswer",
    "AppendToLog",
    "CallApi",
    "ChangeVisibility",
    "CheckTables",
    "Claim",
    "ClaimResult",
    "Claimed",
    "CommitChange",
    "Complete",
    "CountMessages",
    "Delete",
    "DeleteItem",
    "DescribeQueue",
    "EntryFailure",
    "FetchObject",
    "Gather",
    "GetItem",
    "HeldByAnother",
    "ListObjects",
    "LookUpSideEffect",
    "Mark",
    "MarkSent",
    "Message",
    "Methods",
    "Names",
    "Note",
    "Operation",
    "OperationFailed",
    "OutboxEntry",
    "OutgoingMessage",
    "Part",
    "PerformSideEffect",
    "Purge",
    "PutItem",
    "PutObject",
    "QueueCounts",
    "QueueFacts",
    "ReadClock",
    "ReadOutbox",
    "ReadWallClock",
    "Receive",
    "RecordedCall",
    "ReleaseClaim",
    "RemoveObject",
    "RenewClaim",
    "Send",
    "SendResult",
    "SentEntry",
    "Sleep",
    "StateWritten",
    "Tagged",
    "Task",
    "Track",
    "Transact",
    "Transacted",
    "Write",
    "WriteState",
    "key_reused",
    "methods_of",
    "no_operation",
    "not_a_task",
    "place_of",
    "plain",
    "stale_token",
]
