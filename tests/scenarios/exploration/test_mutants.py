"""Each mutant is found out, for what it breaks; and what is found is the mutant's, not the workload's."""

import json

import pytest

from scenarios.commands.mutants import mutants
from scenarios.exploration.campaign import Campaign, explore
from scenarios.exploration.mutation_testing import kill_mutants
from scenarios.exploration.targets import make_target
from scenarios.mutants.catalogue import HARD, MUTANTS, Mutant
from scenarios.mutants.workloads import ORDERS

#: Histories in which a mutant is killed with the seed below, and in which the elusive ones are.
BOUND = 400
HARD_BOUND = 2_000
ELUSIVE = {"without-fencing", "looks-up-before-it-claims", "deletes-what-is-held", *(mutant.name for mutant in HARD)}


def test_there_are_enough_and_their_names_are_their_own():
    names = [mutant.name for mutant in MUTANTS]
    assert len(names) >= 70
    assert len(HARD) >= 20
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_is_found_out(mutant):
    (catch,) = kill_mutants([mutant], HARD_BOUND if mutant.name in ELUSIVE else BOUND, seed=0, jobs=1)
    assert catch.found is not None
    assert set(catch.violated) <= mutant.breaks


def test_what_is_no_mutant_survives():
    innocent = Mutant("innocent", "nothing", ORDERS, frozenset({"lost", "duplicated-side-effect"}))
    explored = explore(Campaign(make_target("orders"), 100, 0, 1, innocent.breaks))
    assert explored.tally.found is None


def test_the_command_prints_a_table_and_fails_if_one_survives(capsys):
    assert mutants("without-guard", histories="50", jobs="1") == 0
    out = capsys.readouterr().out
    assert "without-guard" in out
    assert "FOUND OUT" in out
    assert mutants("without-fencing", histories="5", jobs="1") == 1
    assert "SURVIVED  without-fencing: not found out in 5 histories" in capsys.readouterr().out


def test_the_command_gives_json_too(capsys):
    assert mutants("fails-open", histories=200, jobs=1, json=True) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert (found["mutant"], found["violated"]) == ("fails-open", ["duplicated-side-effect"])


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"name": "nobody"}, "There is no mutant 'nobody'"),
        ({"jobs": "0"}, "--jobs"),
        ({"histories": "x"}, "--histories"),
    ],
)
def test_a_bad_request_is_one_sentence(capsys, options, sentence):
    assert mutants(options.pop("name", None), **options) == 2
    err = capsys.readouterr().err
    assert sentence in err
    assert err.count("\n") == 1
