"""The one source of choices: who is quick, what the queue delivers, where a fault strikes.

Whatever could go one way or another asks for a number below a bound. 0 is always the tamest answer: no fault, the
shortest way, the first in line. So a run whose numbers are made smaller is a simpler run, which is all that shrinking
needs to know.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from random import Random
from typing import TypeVar

Item = TypeVar("Item")

#: The largest bound of a single draw; a larger one is put together from several. Hypothesis draws numbers from longer
#: ranges with a bias of its own, and a recorded run could not be handed to it.
LARGEST_BOUND = 128
PERCENT = 100


class Choices(ABC):
    """Numbers, each below a bound."""

    @abstractmethod
    def draw(self, bound: int) -> int:
        """Return a whole number from 0 to ``bound`` - 1; the bound is 2 to ``LARGEST_BOUND``."""

    def below(self, bound: int) -> int:
        """Return a whole number from 0 to ``bound`` - 1, for any bound from 1."""
        if bound <= 1:
            return 0
        if bound <= LARGEST_BOUND:
            return self.draw(bound)
        high = self.below(-(-bound // LARGEST_BOUND))
        return min(high * LARGEST_BOUND + self.draw(LARGEST_BOUND), bound - 1)

    def chance(self, percent: int) -> bool:
        """Return True with this probability; False is the simplest answer."""
        return percent > 0 and self.draw(PERCENT) >= PERCENT - percent

    def pick(self, options: Sequence[Item]) -> Item:
        """Return one of the options; the first is the tamest."""
        return options[self.below(len(options))]


class SeededChoices(Choices):
    """Choices that follow from a seed: quick, and the same on every machine and every Python."""

    def __init__(self, seed: int | str) -> None:
        # Random.random is the one method whose numbers Python promises to keep between its versions.
        self._random = Random(seed).random  # noqa: S311 - chance in a lab must be reproducible, not secret

    def draw(self, bound: int) -> int:
        """See :class:`Choices`."""
        return int(self._random() * bound)


class RecordedChoices(Choices):
    """Choices of another source, kept.

    Attributes:
        taken: the numbers drawn so far.
    """

    def __init__(self, inner: Choices) -> None:
        self._inner = inner
        self.taken: list[int] = []

    def draw(self, bound: int) -> int:
        """See :class:`Choices`."""
        value = self._inner.draw(bound)
        self.taken.append(value)
        return value


class ReplayedChoices(Choices):
    """Choices that were recorded. What they do not answer is answered tamely, as is a bound that is now smaller."""

    def __init__(self, recorded: Iterable[int]) -> None:
        self._next = iter(recorded).__next__

    def draw(self, bound: int) -> int:
        """See :class:`Choices`."""
        try:
            value = self._next()
        except StopIteration:
            self._next = _nothing
            return 0
        return value if value < bound else bound - 1


def _nothing() -> int:
    return 0


class DrawnChoices(Choices):
    """Choices that another source draws, above all Hypothesis.

    Args:
        draw_below: returns a number from 0 to its argument - 1.
    """

    def __init__(self, draw_below: Callable[[int], int]) -> None:
        self._draw_below = draw_below

    def draw(self, bound: int) -> int:
        """See :class:`Choices`."""
        return self._draw_below(bound)


class ChosenRandom(Random):
    """A source of randomness for the queue's state machine, whose decisions are choices.

    The ids that the machine draws decide nothing. They come from the seed, and cost no choice.
    """

    def __init__(self, choices: Choices, seed: int) -> None:
        super().__init__(seed)
        self._choices = choices

    def __reduce__(self) -> str | tuple[object, ...]:
        """Refuse: a copy would draw the same choices again."""
        raise TypeError("a source of choices cannot be copied")

    def random(self) -> float:
        """Return a number from 0 to 1 that is compared with a probability; the simplest answer is just below 1."""
        return (PERCENT - 1 - self._choices.draw(PERCENT)) / PERCENT

    def randrange(self, start: int, stop: int | None = None, step: int = 1) -> int:
        """Return a number of a range; the simplest answer is the last one: a receive that is as full as can be."""
        options = range(start) if stop is None else range(start, stop, step)
        return options[-1 - self._choices.below(len(options))]

    def choice(self, seq: Sequence[Item]) -> Item:  # type: ignore[override]  # typeshed's own protocol is private
        """Return one of the items; the first is the tamest."""
        return self._choices.pick(seq)
