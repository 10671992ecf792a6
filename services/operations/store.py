"""The operations on our own bookkeeping, the status table: CheckTables, Claim, RenewClaim, ReleaseClaim, Complete."""

from __future__ import annotations

from typing import TypeAlias

from services.operations.base import Mark, Names, Operation, RecordedCall, Tagged, brief_key, immutable


@immutable
class CheckTables(Operation, part="store", mark=Mark("check tables", "other", "store")):
    """Make sure, before the first message, that the tables can be read. Result: None."""


@immutable
class Claimed(Tagged):
    """The claim is ours.

    Attributes:
        fencing_token: counts the claims there ever were of this key; what completes must show the newest.
    """

    fencing_token: int

    @property
    def first_attempt(self) -> bool:
        """Return whether this is the first claim there ever was of the key."""
        return self.fencing_token == 1


@immutable
class AlreadyCompleted(Tagged):
    """The key's work is done; there is nothing left but to delete the message."""


@immutable
class HeldByAnother(Tagged):
    """Another consumer's claim is alive for another ``seconds_left``."""

    owner: str
    seconds_left: float


ClaimResult: TypeAlias = Claimed | AlreadyCompleted | HeldByAnother


@immutable
class Claim(Operation, part="store", mark=Mark("claim", "claim", "store")):
    """Claim a key for ``lease_seconds``. Result: :data:`ClaimResult`."""

    key: str
    owner: str
    lease_seconds: float

    @classmethod
    def told(cls, call: RecordedCall, names: Names) -> tuple[str, str]:
        """Say who holds it now."""
        result = call.result or {}
        answer = {
            "Claimed": f"token {result.get('fencing_token')}",
            "AlreadyCompleted": "it is completed",
            "HeldByAnother": f"{result.get('owner')} holds it for another {result.get('seconds_left', 0):.3f} s",
        }.get(result.get("type", ""), "")
        return f"claims {brief_key(names, call)}", answer


@immutable
class RenewClaim(Operation, part="store", mark=Mark("renew claim", "renew", "store")):
    """Have the lease end ``lease_seconds`` from now. Result: True, or False where the claim is no longer ours."""

    key: str
    fencing_token: int
    lease_seconds: float

    @classmethod
    def told(cls, call: RecordedCall, names: Names) -> tuple[str, str]:
        """Say whether it is still ours."""
        return f"renews its claim of {brief_key(names, call)}", "" if call.result else "refused, it is lost"


@immutable
class ReleaseClaim(Operation, part="store", mark=Mark("release claim", "release", "store")):
    """End a claim early, so that the next attempt need not wait for the lease. Result: as :class:`RenewClaim`."""

    key: str
    fencing_token: int

    @classmethod
    def told(cls, call: RecordedCall, names: Names) -> tuple[str, str]:
        """Say whether it was still ours."""
        return f"releases its claim of {brief_key(names, call)}", "" if call.result else "refused, there is a newer one"


@immutable
class Complete(Operation, part="store", mark=Mark("complete", "complete", "store")):
    """Mark a key's work as done, if the claim is still ours. Result: True, or False where a newer claim exists.

    Attributes:
        outcome: what it came to, in a word.
    """

    key: str
    fencing_token: int
    outcome: str = "done"

    @classmethod
    def told(cls, call: RecordedCall, names: Names) -> tuple[str, str]:
        """Say whether the claim was still ours."""
        return f"completes {brief_key(names, call)}", "" if call.result else "refused, there is a newer claim"
