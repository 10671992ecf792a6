"""Beyond the assumptions: one campaign within all of them, then one for each with that assumption dropped.

What is violated only in the second kind of campaign shows what a consumer needs. A campaign that finds nothing shows
that its histories did not need the assumption, and no more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from math import inf
from typing import Any

from scenarios.exploration.campaign import Campaign, Explored, Tally, explore
from services.consumer.assumptions import Assumption


@dataclass(frozen=True, slots=True)
class Beyond:
    """What a campaign without one assumption came to.

    Attributes:
        dropped: the assumption; None for the campaign within all that the consumer declares.
        declared: whether the consumer declares it.
    """

    dropped: Assumption | None
    declared: bool
    explored: Explored

    @property
    def violated(self) -> tuple[str, ...]:
        """The names of the invariants that its first conviction violates."""
        found = self.explored.tally.found
        return tuple(sorted(found.invariants)) if found is not None else ()

    def as_json(self) -> dict[str, Any]:
        """Return it as a document holds it."""
        tally = self.explored.tally
        return {
            "dropped": self.dropped,
            "declared": self.declared,
            "needed": bool(self.violated),
            "violated": list(self.violated),
            "histories": tally.histories,
            "history_seed": tally.found.seed if tally.found else None,
        }


def explore_beyond(
    campaign: Campaign, watch: Callable[[Assumption | None, Tally, float], None] = lambda *_: None
) -> Iterator[Beyond]:
    """Explore within the declared assumptions, and if nothing is violated there, once without each assumption.

    Args:
        campaign: what to explore; its target drops nothing.
        watch: is told now and then which assumption is dropped, what there is so far, and for how many seconds.
    """
    plan = campaign.target.plan(0)
    declared = plan.consumer.assumes
    # A scenario that promises no time gives this one no meaning.
    idle = {Assumption.BOUNDED_DELAY} if plan.scenario.delay_budget == inf else set()
    within = explore(campaign, lambda tally, seconds: watch(None, tally, seconds))
    yield Beyond(None, declared=True, explored=within)
    if within.tally.found is not None:
        return
    for assumption in (item for item in Assumption if item not in idle):
        without = replace(campaign, target=replace(campaign.target, dropped=(assumption.value,)))

        def told(tally: Tally, seconds: float, dropped: Assumption = assumption) -> None:
            watch(dropped, tally, seconds)

        yield Beyond(assumption, assumption in declared, explore(without, told))
