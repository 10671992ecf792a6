"""A history is freed when it is over, so the collector of cyclic garbage can stay away while it is made."""

import gc

import pytest

from scenarios.simulation.collector import no_collection
from scenarios.simulation.lab import SimulatedLab


def left_to_collect(simulated):
    """Return how many objects a history leaves that only the collector can free."""
    simulated("crash", 1)  # what the first one makes for all others stays
    gc.collect()
    with no_collection():
        simulated("crash", 2, with_faults=True)
        return gc.collect()


def test_a_history_that_is_over_leaves_nothing_to_collect(simulated):
    assert left_to_collect(simulated) < 50


def test_a_lab_that_is_not_closed_leaves_its_world(simulated, monkeypatch):
    monkeypatch.setattr(SimulatedLab, "close", lambda _: None)
    assert left_to_collect(simulated) > 500


def test_the_collector_goes_on_after_the_block_also_after_an_error():
    def fail():
        with no_collection():
            assert not gc.isenabled()
            raise ValueError

    assert gc.isenabled()
    with pytest.raises(ValueError, match=r"^$"):
        fail()
    assert gc.isenabled()


def test_a_collector_that_was_off_stays_off():
    gc.disable()
    try:
        with no_collection(), no_collection():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
