"""Large payloads: the producer uploads a payload that is too large for a message, and sends a reference to it.

    upload ─▶ send          in this order: a consumer may be quicker than the upload

A crash between the two leaves an orphan, an object that no message names. It costs storage until a clean-up, such as a
life-cycle rule that expires objects older than any message can be.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from services.operations import Note, OperationFailed, OutgoingMessage, PutObject, Sleep, Task
from services.payload import parse_payload
from services.producer.producer import FIRST_BACKOFF, SEND_ATTEMPTS, Producer
from services.references import FIELD, object_key


class LargePayloadProducer(Producer):
    """Upload each message's payload, and send a reference to it.

    Args:
        messages: see :class:`services.producer.producer.Producer`.
        batch_size: likewise.
        rate: likewise.
        purge_wait: likewise.
        timestamp_field: likewise.
        payload_bytes: how many bytes of content each payload has.
    """

    def __init__(
        self,
        messages: Sequence[OutgoingMessage],
        batch_size: int,
        rate: float,
        purge_wait: float | None = None,
        timestamp_field: str = "",
        *,
        payload_bytes: int,
    ) -> None:
        super().__init__(messages, batch_size, rate, purge_wait, timestamp_field)
        self._content = "x" * payload_bytes

    def send_batch(self, batch: tuple[OutgoingMessage, ...]) -> Task[tuple[int, int]]:
        """Upload, then send the messages whose payload is there."""
        ready: list[OutgoingMessage] = []
        for message in batch:
            payload = parse_payload(message.body)
            key = object_key(payload["id"])
            if (yield from self._upload(key, self._body(payload))):
                ready.append(replace(message, body=json.dumps({**payload, FIELD: key})))
        return (yield from super().send_batch(tuple(ready))) if ready else (0, 0)

    def _body(self, payload: dict[str, Any]) -> str:
        # The content needs no escapes, and encoding millions of characters takes long.
        return f'{json.dumps(payload)[:-1]}, "content": "{self._content}"}}'

    def _upload(self, key: str, body: str) -> Task[bool]:
        """Store a payload; tell whether it is there."""
        for attempt in range(1, SEND_ATTEMPTS + 1):
            try:
                yield PutObject(key, body)
            except OperationFailed as error:
                if not error.transient:
                    raise
                said = {"object": key, "error": error.code, "attempt": attempt}
                yield Note("not-uploaded", said, logging.WARNING)
                yield Sleep(FIRST_BACKOFF * 2 ** (attempt - 1))
            else:
                return True
        return False
