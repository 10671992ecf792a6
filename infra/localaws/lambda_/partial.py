"""What a handler's answer means for the messages of its batch, with ReportBatchItemFailures.

Source: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html#services-sqs-batchfailurereporting
"""

import json
from collections.abc import Collection
from typing import Any, NamedTuple

FAILURES = "batchItemFailures"
IDENTIFIER = "itemIdentifier"


class Reading(NamedTuple):
    """What an answer means.

    Attributes:
        failed: the ids of the messages that stay in the queue.
        refusal: why the whole batch counts as failed; None if the answer is well formed.
    """

    failed: frozenset[str]
    refusal: str | None = None


def read_answer(payload: bytes, batch: Collection[str]) -> Reading:
    """Return what a handler's answer says about its batch.

    Args:
        payload: what the function returned.
        batch: the ids of the batch's messages.
    """
    if not payload.strip():
        return _SUCCESS
    try:
        answer = json.loads(payload)
    except (ValueError, RecursionError):
        return _refused(batch, "the answer is not JSON")
    if answer in (None, ""):
        return _SUCCESS
    if not isinstance(answer, dict):
        return _refused(batch, f"the answer is {_kind(answer)}, not an object with {FAILURES}")
    given = answer.get(FAILURES)
    failures = [] if given is None else given
    if not isinstance(failures, list):
        return _refused(batch, f"{FAILURES} is {_kind(failures)}, not a list")
    return _read_failures(failures, frozenset(batch))


def _read_failures(failures: list[Any], batch: frozenset[str]) -> Reading:
    failed = set()
    for entry in failures:
        if not isinstance(entry, dict):
            return _refused(batch, f"an entry of {FAILURES} is {_kind(entry)}, not an object with {IDENTIFIER}")
        if IDENTIFIER not in entry:
            named = [key for key, value in entry.items() if value is not None]
            if named:
                return _refused(batch, f"an entry of {FAILURES} has the key {named[0]!r} instead of {IDENTIFIER!r}")
            # An entry that says nothing is taken as no failure at all.
            continue
        identifier = entry[IDENTIFIER]
        if not isinstance(identifier, str) or not identifier:
            return _refused(batch, f"an {IDENTIFIER} is {_kind(identifier)}, not a message's id")
        if identifier not in batch:
            return _refused(batch, f"the {IDENTIFIER} {identifier!r} is not in the batch")
        failed.add(identifier)
    return Reading(frozenset(failed))


def _refused(batch: Collection[str], reason: str) -> Reading:
    return Reading(frozenset(batch), reason)


def _kind(value: Any) -> str:
    if value == "":
        return "an empty text"
    return _KINDS.get(type(value), "an object")


_KINDS = {
    type(None): "null",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    str: "a text",
    list: "a list",
}
_SUCCESS = Reading(frozenset())
