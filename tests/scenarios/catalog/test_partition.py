"""The witnesses of partition, and the consumer that asks for its claim between its work and its side effect."""

import pytest

from scenarios.catalog.partition.checks import find_let_go, find_taken_over
from scenarios.verdict import Outcome
from tests.scenarios.recorded import Told


def claim(told, process, token):
    told.do(process, "Claim", {"type": "Claimed", "fencing_token": token}, key="a", owner=process, lease_seconds=1.0)


def cut_off(*, kind="partition", seconds=1.0, by="b", works=True, first=False, asks="fail"):
    """Return a history: a is cut off with a message in hand, b takes over, a asks for its claim."""
    told = Told()
    told.send("a")
    told.receive("a", "a")
    claim(told, "a", 1)
    if first:
        told.effect("a", "a", key="a")
    asked = told.begin("a", "RenewClaim", key="a", fencing_token=1, lease_seconds=1.0)
    told.fault("a", asked, "RenewClaim", kind, "after", nth=1, seconds=seconds, reach="store")
    told.fail("a", asked, "RenewClaim")
    told.receive(by, "a", count=2)
    claim(told, by, 2)
    if works:
        told.effect(by, "a", key="a")
    if asks == "effect":
        told.effect("a", "a", 2, key="a")
    if asks in ("fail", "effect"):
        asked = told.begin("a", "RenewClaim", key="a", fencing_token=1, lease_seconds=1.0)
        told.fail("a", asked, "RenewClaim")
    elif asks in (False, True):
        told.do("a", "RenewClaim", asks, key="a", fencing_token=1, lease_seconds=1.0)
    return told.history


def test_work_that_another_does_while_its_holder_is_cut_off_is_evidence():
    found = find_taken_over(cut_off())
    assert found.summary == "once, e.g. a was cut off for 1 s with message #0 in hand; b claimed it and did the work"


@pytest.mark.parametrize(
    "near",
    [{"kind": "throttling"}, {"seconds": 0.0001}, {"by": "a"}, {"works": False}, {"first": True}],
    ids=str,
)
def test_work_that_stays_with_its_holder_is_no_evidence(near):
    assert find_taken_over(cut_off(**near)) is None
    assert find_let_go(cut_off(**near)) is None


@pytest.mark.parametrize(
    ("asks", "why"), [("fail", "could not ask for its claim"), (False, "learnt that its claim was lost")]
)
def test_a_holder_that_asks_in_vain_and_does_nothing_has_let_go(asks, why):
    assert find_let_go(cut_off(asks=asks)).summary == f"once, e.g. a {why} of message #0, and let it be"


@pytest.mark.parametrize("asks", ["effect", True, "never"])
def test_a_holder_that_acts_or_never_asks_has_not(asks):
    assert find_taken_over(cut_off(asks=asks)) is not None
    assert find_let_go(cut_off(asks=asks)) is None


@pytest.mark.parametrize("cut_off", [1.5, 2.0, 4.0])
@pytest.mark.parametrize("seed", range(4))
def test_however_long_it_is_cut_off_ours_lets_go_and_the_twin_does_not(simulated, cut_off, seed):
    ours = simulated("partition", seed, settings=[f"cut_off={cut_off}"]).verdict
    assert ours.outcome is Outcome.PASS, ours.reason
    twin = simulated("partition", seed, settings=[f"cut_off={cut_off}"], naive=True).verdict
    assert twin.twin_met, twin.reason


def test_a_fence_at_the_external_system_passes_as_well(simulated):
    verdict = simulated("partition", 1, consumer="services.consumer.fencing:FencedConsumer").verdict
    assert verdict.outcome is Outcome.PASS, verdict.reason
