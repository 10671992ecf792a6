"""Consumers that misread the key of a side effect. They need keys that hardly differ, or that are none."""

from __future__ import annotations

import unicodedata
from typing import Any

from services.consumer.consumer import Consumer
from services.payload import MalformedPayload

#: Characters to which a key is cut, as by a column that is too narrow.
COLUMN = 64


class LowersTheCase(Consumer):
    """Compare keys without regard to case, as many databases do by default."""

    def key_of(self, payload: dict[str, Any], message_id: str) -> str:
        """Return the key in lower case."""
        return super().key_of(payload, message_id).lower()


class NormalisesTheKey(Consumer):
    """Bring keys into one unicode form, as some file systems do."""

    def key_of(self, payload: dict[str, Any], message_id: str) -> str:
        """Return the key with composed characters."""
        return unicodedata.normalize("NFC", super().key_of(payload, message_id))


class CutsTheKey(Consumer):
    """Keep the beginning of a key alone."""

    def key_of(self, payload: dict[str, Any], message_id: str) -> str:
        """Return as much as the column holds."""
        return super().key_of(payload, message_id)[:COLUMN]


class StripsTheKey(Consumer):
    """Compare keys without trailing white space, as SQL does for ``CHAR``."""

    def key_of(self, payload: dict[str, Any], message_id: str) -> str:
        """Return the key without white space around it."""
        return super().key_of(payload, message_id).strip()


class ReadsTheKeyAsANumber(Consumer):
    """Take a key of digits for a number: leading zeros are gone."""

    def key_of(self, payload: dict[str, Any], message_id: str) -> str:
        """Return the key, a whole number in its shortest form."""
        key = super().key_of(payload, message_id)
        return str(int(key)) if key.isdecimal() else key


class ReadsTheKeyAsAFloat(Consumer):
    """Read numbers as JavaScript does: above 2 to the power of 53, two of them are one."""

    def key_of(self, payload: dict[str, Any], message_id: str) -> str:
        """Return the key, a number as near as a float comes to it."""
        rounded = {name: int(float(value)) if type(value) is int else value for name, value in payload.items()}
        return super().key_of(rounded, message_id)


class TakesZeroForNoKey(Consumer):
    """Ask whether a key is true, and not whether it is there."""

    def key_of(self, payload: dict[str, Any], message_id: str) -> str:
        """Return the key, or reject a message whose key is falsy."""
        if not payload.get(self.options.business_idempotency_field):
            raise MalformedPayload("the payload has no key")
        return super().key_of(payload, message_id)


class TakesWhateverIsThere(Consumer):
    """Make a text of any value: a field that is missing is the key ``None``."""

    def key_of(self, payload: dict[str, Any], _message_id: str) -> str:
        """Return the field's value as a text, whatever it is."""
        return str(payload.get(self.options.business_idempotency_field))
