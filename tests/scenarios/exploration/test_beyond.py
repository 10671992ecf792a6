"""Beyond the assumptions: what a consumer declares that it needs is found, and what it needs not is not."""

import pytest

from scenarios.commands.explore import explore
from scenarios.exploration.beyond import explore_beyond
from scenarios.exploration.campaign import Campaign
from scenarios.exploration.targets import make_target
from services.consumer.assumptions import Assumption
from services.consumer.consumer import Consumer

KEY = "services.consumer.idempotency_key:IdempotencyKeyConsumer"


def needed(name, histories, **options):
    found = list(explore_beyond(Campaign(make_target(name, **options), histories, seed=1)))
    assert found[0].dropped is None
    return found[0].violated, {item.dropped: item.violated for item in found[1:]}


@pytest.mark.thorough
def test_our_consumer_needs_that_no_request_is_late_and_a_key_does_not():
    within, ours = needed("orders", 100)
    assert within == ()
    assert ours[Assumption.NO_LATE_REQUESTS] == ("duplicated-side-effect",)
    within, with_key = needed("orders", 100, consumer=KEY)
    assert within == ()
    assert with_key[Assumption.NO_LATE_REQUESTS] == with_key[Assumption.SHORT_PAUSES] == ()


def test_a_scenario_that_promises_no_time_does_not_drop_the_bound_on_delays():
    _, found = needed("zombies", 1)
    assert set(found) == set(Assumption) - {Assumption.BOUNDED_DELAY}
    _, timely = needed("backpressure", 1)
    assert set(timely) == set(Assumption)


class DeclaresNothing(Consumer):
    """Our consumer, which claims to need nothing."""

    assumes = frozenset()


@pytest.mark.parametrize(("consumer", "code"), [(None, 0), (f"{__name__}:DeclaresNothing", 1)])
def test_a_consumer_that_declares_too_little_fails_within_what_it_declares(project, capsys, consumer, code):
    assert explore("orders", beyond=True, histories="100", seed="1", jobs="1", consumer=consumer) == code
    said = capsys.readouterr().out
    assert ("The consumer fails within its assumptions" in said) is bool(code)
