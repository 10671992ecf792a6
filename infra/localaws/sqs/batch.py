"""Batches: the checks of the whole, and entries that succeed or fail each on its own.

Source: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-batch-api-actions.html
"""

import re
from collections.abc import Callable, Sequence
from typing import Final, Generic, NamedTuple, TypeVar

from infra.localaws.sqs.content import MessageDraft, message_size
from infra.localaws.sqs.errors import (
    BatchEntryIdsNotDistinct,
    BatchRequestTooLong,
    EmptyBatchRequest,
    InvalidBatchEntryId,
    SqsError,
    TooManyEntriesInBatchRequest,
)
from infra.localaws.sqs.limits import MAX_BATCH_ENTRIES, MAX_BATCH_ENTRY_ID_LENGTH, MAX_MESSAGE_BYTES

E = TypeVar("E")
R = TypeVar("R")


class BatchOutcome(NamedTuple, Generic[R]):
    """What became of the entries, by their ids."""

    successful: list[tuple[str, R]]
    failed: list[tuple[str, SqsError]]


def run_batch(entries: Sequence[tuple[str, E]], act: Callable[[E], R], entry_name: str) -> BatchOutcome[R]:
    """Act on each entry; an entry that SQS refuses does not hold up the others.

    Args:
        entries: pairs of an id and what to act on.
        act: the action for one entry.
        entry_name: AWS's name of the entries, for the text of an error.

    Raises:
        EmptyBatchRequest, TooManyEntriesInBatchRequest, InvalidBatchEntryId, BatchEntryIdsNotDistinct: nothing was
            acted on.
    """
    check_entry_ids([entry_id for entry_id, _ in entries], entry_name)
    outcome: BatchOutcome[R] = BatchOutcome([], [])
    for entry_id, entry in entries:
        try:
            outcome.successful.append((entry_id, act(entry)))
        except SqsError as error:
            outcome.failed.append((entry_id, error))
    return outcome


def check_batch_size(drafts: Sequence[MessageDraft]) -> None:
    """Raise BatchRequestTooLong if the messages of a batch are together larger than one message may be."""
    size = sum(map(message_size, drafts))
    if size > MAX_MESSAGE_BYTES:
        raise BatchRequestTooLong(
            f"Batch requests cannot be longer than {MAX_MESSAGE_BYTES} bytes. You have sent {size} bytes."
        )


def check_entry_ids(ids: Sequence[str], entry_name: str) -> None:
    """Raise the error of a batch that is empty or too long, or whose ids are malformed or not distinct."""
    if not ids:
        raise EmptyBatchRequest(f"There should be at least one {entry_name} in the request.")
    if len(ids) > MAX_BATCH_ENTRIES:
        raise TooManyEntriesInBatchRequest(
            f"Maximum number of entries per request are {MAX_BATCH_ENTRIES}. You have sent {len(ids)}."
        )
    seen = set()
    for entry_id in ids:
        if not _ENTRY_ID(entry_id):
            raise InvalidBatchEntryId(
                "A batch entry id can only contain alphanumeric characters, hyphens and underscores. "
                f"It can be at most {MAX_BATCH_ENTRY_ID_LENGTH} letters long."
            )
        if entry_id in seen:
            raise BatchEntryIdsNotDistinct(f"Id {entry_id} repeated.")
        seen.add(entry_id)


_ENTRY_ID: Final = re.compile(rf"[A-Za-z0-9_-]{{1,{MAX_BATCH_ENTRY_ID_LENGTH}}}").fullmatch
