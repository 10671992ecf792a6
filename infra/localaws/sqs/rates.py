"""How far a standard queue strays from a list: the rates at which it reorders, repeats and under-fills."""

from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class DeliveryRates:
    """Probabilities from 0 (off) to 1. FIFO queues ignore them.

    Attributes:
        reorder: a receive's next pick is not the message that is longest visible, but another of the first few.
        duplicate: a delivery leaves the message visible as well, so that it may come once more in the same
            visibility period.
        underfill: a receive with more than one message available returns fewer than it could.
        stale_delete: a delete by the receipt handle of an earlier receive succeeds and deletes nothing.
    """

    reorder: float = 0.1
    duplicate: float = 0.02
    underfill: float = 0.1
    stale_delete: float = 0.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 1:
                raise ValueError(f"{field.name} is a probability from 0 to 1, not {value!r}.")


STRICT = DeliveryRates(reorder=0, duplicate=0, underfill=0, stale_delete=0)
"""A standard queue that behaves like a list."""
