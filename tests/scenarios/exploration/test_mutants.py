"""Each mutant is killed for what it breaks; what is found is the mutant's own, and not the workload's."""

import json
import pickle
from concurrent.futures import BrokenExecutor, Executor, Future
from contextlib import nullcontext

import pytest

from scenarios.commands.mutants import mutants
from scenarios.errors import LabError
from scenarios.exploration.campaign import Campaign, explore
from scenarios.exploration.executors import Workers
from scenarios.exploration.mutation_testing import kill_mutants
from scenarios.exploration.targets import find_mutant, make_target
from scenarios.mutants import consumers, elusive, keys, others
from scenarios.mutants.catalogue import HARD, MUTANTS, Mutant
from scenarios.mutants.workloads import ORDERS
from scenarios.simulation.tables import TableModel
from services.consumer.consumer import Consumer
from services.producer.producer import Producer

#: Histories in which a mutant is killed with the seed below, and in which the elusive ones are.
BOUND = 400
HARD_BOUND = 2_000
ELUSIVE = {
    "without-fencing",
    "looks-up-before-it-claims",
    "deletes-what-is-held",
    "stops-beating-at-sigterm",
    *(mutant.name for mutant in HARD),
}


def test_every_broken_consumer_is_in_the_catalogue_under_a_name_of_its_own():
    names = [mutant.name for mutant in MUTANTS]
    assert len(set(names)) == len(names)
    listed = {part for mutant in MUTANTS for part in (mutant.consumer, mutant.producer, mutant.tables)}
    written = {
        part
        for module in (consumers, elusive, keys, others)
        for part in vars(module).values()
        if isinstance(part, type) and part.__module__ == module.__name__ and not part.__name__.startswith("_")
    }
    assert not {part for part in written - listed if issubclass(part, (Consumer, Producer, TableModel))}


@pytest.mark.parametrize(
    "mutant",
    [pytest.param(each, id=each.name, marks=pytest.mark.thorough if each.name in ELUSIVE else ()) for each in MUTANTS],
)
def test_a_mutant_is_killed_for_what_it_breaks_and_nothing_else(mutant):
    (result,) = kill_mutants([mutant], HARD_BOUND if mutant.name in ELUSIVE else BOUND, seed=0, jobs=1)
    assert set(result.violated) & mutant.breaks
    # What is found must be the mutant's own: a violation that its change does not explain convicts wrongly.
    assert set(result.violated) <= mutant.breaks | mutant.also


def test_what_is_no_mutant_survives():
    innocent = Mutant("innocent", "nothing", ORDERS, frozenset({"lost", "duplicated-side-effect"}))
    explored = explore(Campaign(make_target("orders"), 100, 0, 1, innocent.breaks))
    assert explored.tally.found is None


def test_the_command_prints_a_table_and_fails_if_one_survives(capsys):
    assert mutants("without-guard", histories="50", jobs="1") == 0
    out = capsys.readouterr().out
    assert "without-guard" in out
    assert "KILLED" in out
    assert mutants("without-fencing", histories="5", jobs="1") == 1
    assert "SURVIVED  without-fencing: not killed in 5 histories" in capsys.readouterr().out


def test_the_command_gives_json_too(capsys):
    assert mutants("fails-open", histories=200, jobs=1, json=True) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert (found["mutant"], found["violated"]) == ("fails-open", ["duplicated-side-effect"])


class Elsewhere(Executor):
    """Does a task only after both have travelled, as on another machine; some tasks die."""

    def __init__(self, *dies):
        self.dies = dies

    def submit(self, fn, /, *args):
        future = Future()
        function, (task,) = pickle.loads(pickle.dumps((fn, args)))  # noqa: S301 - it was just made
        if task.name in self.dies:
            future.set_exception(BrokenExecutor("it is gone"))
        else:
            future.set_result(function(task))
        return future


def hunted(executor=None):
    chosen = [find_mutant(name) for name in ("fails-open", "without-guard", "claims-for-ever")]
    pool = None if executor is None else nullcontext(Workers(executor, 2))
    results = kill_mutants(chosen, 200, seed=0, jobs=1, pool=pool)
    return [(result.mutant.name, result.found, result.histories) for result in results]


def test_mutants_are_hunted_alike_wherever_that_is():
    here = hunted()
    assert [name for name, found, _ in here if found] == ["fails-open", "without-guard", "claims-for-ever"]
    assert hunted(Elsewhere()) == here


def test_a_mutant_whose_process_dies_has_not_survived():
    with pytest.raises(LabError, match="The process that hunted without-guard died"):
        hunted(Elsewhere("without-guard"))


def test_shards_share_the_catalogue_out(capsys, monkeypatch):
    monkeypatch.setattr("scenarios.commands.mutants.MUTANTS", MUTANTS[:5])
    shared = []
    for number in (1, 2):
        mutants(histories=1, jobs=1, shard=f"{number}/2", json=True)
        shared += [found["mutant"] for found in json.loads(capsys.readouterr().out)]
    assert sorted(shared) == sorted(mutant.name for mutant in MUTANTS[:5])


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"name": "nobody"}, "There is no mutant 'nobody'"),
        ({"jobs": "0"}, "--jobs"),
        ({"shard": "3/2"}, "--shard's I"),
        ({"name": "fails-open", "shard": "1/2"}, "leave out --name"),
        ({"histories": "x"}, "--histories"),
    ],
)
def test_a_bad_request_is_one_sentence(capsys, options, sentence):
    assert mutants(options.pop("name", None), **options) == 64
    err = capsys.readouterr().err
    assert sentence in err
    assert err.count("\n") == 1
