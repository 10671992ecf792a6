"""Keys that hardly differ or are none: our consumer keeps them apart, and what misreads them is found nowhere else."""

import pytest

from scenarios.exploration.campaign import Campaign, explore
from scenarios.exploration.targets import make_target
from scenarios.mutants import keys
from scenarios.mutants.catalogue import MUTANTS
from scenarios.simulation.message_mixes import MISSING, NO_KEYS, ODD_KEYS
from services.payload import MalformedPayload, effect_key

MISREADERS = [mutant for mutant in MUTANTS if mutant.consumer.__module__ == keys.__name__]


def payload_of(value):
    return {"id": "producer's own"} | ({} if value is MISSING else {"order_id": value})


def test_odd_keys_are_different_keys():
    assert len({effect_key(payload_of(key), "m", "order_id") for key in ODD_KEYS}) == len(ODD_KEYS)


@pytest.mark.parametrize("value", NO_KEYS, ids=lambda value: "missing" if value is MISSING else repr(value))
def test_what_is_no_key_is_malformed(value):
    with pytest.raises(MalformedPayload, match="no usable 'order_id'"):
        effect_key(payload_of(value), "m", "order_id")


def test_a_number_and_its_digits_are_one_key():
    assert effect_key({"order_id": 1}, "m", "order_id") == effect_key({"order_id": "1"}, "m", "order_id")


def test_campaigns_meet_every_odd_key_and_many_counts(simulated):
    histories = [simulated("odd-keys", seed).history for seed in range(60)]
    assert {len(history.sends) for history in histories} == set(range(10, 19))
    met = {message.key for history in histories for message in history.sends}
    assert met >= {effect_key(payload_of(key), "m", "order_id") for key in ODD_KEYS}
    assert any(message.poison for history in histories for message in history.sends)


@pytest.mark.parametrize("histories", [60, pytest.param(1_000, marks=pytest.mark.thorough)])
def test_our_consumer_keeps_odd_keys_apart_in_many_histories(histories):
    tally = explore(Campaign(make_target("odd-keys"), histories, seed=0, bounded=False)).tally
    assert tally.found is None


@pytest.mark.thorough
@pytest.mark.parametrize("mutant", MISREADERS, ids=lambda mutant: mutant.name)
def test_tidy_keys_do_not_find_what_misreads_a_key(mutant):
    tally = explore(Campaign(make_target("business-keys", mutant=mutant.name), 100, seed=0, bounded=False)).tally
    assert tally.found is None
