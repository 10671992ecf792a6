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
    Exit,
    Facts,
    FaultStrike,
    Record,
    SentMessage,
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
    "Exit",
    "Facts",
    "FaultStrike",
    "History",
    "Record",
    "SentMessage",
]
