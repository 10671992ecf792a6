"""Attempt ids: how a write tells its own repetition from another's write.

    SDK ── UpdateItem, attempt a1 ──▶ DynamoDB     done, and a1 is kept in the item
        ✗◀───────────── the reply ───              lost
        ── UpdateItem, attempt a1 ──▶              the condition fails: a1 is there, so this call was done before

The SDK sends a request again when its reply does not come, and the caller hears of the last reply alone. So each call
has an id of its own, which all its repetitions carry. DynamoDB's ClientRequestToken does the same for a transaction,
within ten minutes and on AWS; an id in the item holds at any endpoint, for as long as the item does.
https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

#: The attribute that holds the id of the call that wrote an item last.
ATTEMPT = "attempt_id"
#: The attribute that holds the ids of all calls that added to an item.
ATTEMPTS = "attempt_ids"
#: The condition that this call has not added to an item yet; it refuses no other call.
NOT_ADDED_YET = f"NOT contains({ATTEMPTS}, :attempt)"


def new_attempt_id() -> str:
    """Return an id that no other call has."""
    return uuid.uuid4().hex


def is_of(attempt: str, item: Mapping[str, Any]) -> bool:
    """Return whether an item was written by this very call, whose first reply was lost."""
    return bool(item.get(ATTEMPT) == {"S": attempt})


def holds(attempt: str, item: Mapping[str, Any]) -> bool:
    """Return whether this very call has already added to an item."""
    return attempt in item.get(ATTEMPTS, {}).get("SS", ())
