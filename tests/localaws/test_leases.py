"""A run's delivery rates are its own for as long as it lives: they go back when it ends, and when it dies."""

import os
import subprocess
import sys

import pytest

from infra.localaws.leases import DeliveryLeases
from infra.localaws.sqs.rates import STRICT, DeliveryRates
from tests.localaws.lab import get, post

CHAOS = DeliveryRates(reorder=1.0, duplicate=1.0, underfill=1.0)


@pytest.fixture
def queue(lab):
    lab.model.create_queue("q")
    lab.model.reset("q", rates=STRICT, purge_seconds=0)
    return lab.model.queue("q")


def leased(lab, *, owner=1, alive=frozenset({1, 2})):
    leases = DeliveryLeases(lab.model, alive.__contains__)
    leases.take("q", owner)
    lab.model.reset("q", rates=CHAOS, purge_seconds=60)
    return leases


def test_a_queue_delivers_as_before_when_its_lease_is_given_back(lab, queue):
    leases = leased(lab)
    assert leases.give_back("q", 1)
    assert (queue.rates, queue.purge_seconds) == (STRICT, 0)
    assert not leases.give_back("q", 1), "a second time there is nothing to give back"


def test_only_the_last_process_that_took_a_lease_can_give_it_back(lab, queue):
    leases = leased(lab)
    leases.take("q", 2)
    assert not leases.give_back("q", 1)
    assert queue.rates == CHAOS
    assert leases.give_back("q", 2)
    assert queue.rates == STRICT, "what was before the first lease"


@pytest.mark.parametrize(("alive", "rates"), [(frozenset({1}), CHAOS), (frozenset(), STRICT)], ids=["lives", "died"])
def test_the_lease_of_a_process_ends_with_the_process(lab, queue, alive, rates):
    leased(lab, alive=alive).give_back_those_of_the_dead()
    assert queue.rates == rates


def test_a_queue_that_is_gone_has_nothing_to_give_back(lab, queue):
    leases = leased(lab)
    lab.model.delete_queue("q")
    assert leases.give_back("q", 1)


def test_a_process_that_has_ended_is_known_to_be_dead(lab, queue):
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    leases = DeliveryLeases(lab.model)
    for owner, rates in ((os.getpid(), CHAOS), (child.pid, STRICT)):
        leases.take("q", owner)
        lab.model.reset("q", rates=CHAOS)
        leases.give_back_those_of_the_dead()
        assert queue.rates == rates


def test_the_route_tells_leases_and_gives_back(endpoint, new_queue):
    route = f"{endpoint.url}/_localaws/queues/{new_queue().rpartition('/')[2]}"
    before = get(f"{route}/delivery")
    post(f"{route}/reset", {"delivery": {"duplicate": 1}, "purge": 60, "owner": os.getpid()})
    assert get(f"{route}/delivery") == {"delivery": {**before["delivery"], "duplicate": 1}, "purge": 60}
    assert post(f"{route}/give-back", {"owner": os.getpid()}) == {"given_back": True}
    assert get(f"{route}/delivery") == before
