"""What happened: the records of a run, views of them, and the files that keep them."""

from scenarios.history.history import History
from scenarios.history.records import (
    ENDPOINT,
    LAB,
    Call,
    ClaimAnswer,
    Completion,
    Deletion,
    Delivery,
    Effect,
    Event,
    Exit,
    Facts,
    FaultStrike,
    Pointer,
    Record,
    SentMessage,
    identity_of,
    pointer_of,
)

__all__ = [
    "ENDPOINT",
    "LAB",
    "Call",
    "ClaimAnswer",
    "Completion",
    "Deletion",
    "Delivery",
    "Effect",
    "Event",
    "Exit",
    "Facts",
    "FaultStrike",
    "History",
    "Pointer",
    "Record",
    "SentMessage",
    "identity_of",
    "pointer_of",
]
