"""A simulated process starts with the modules of a new process: nothing that another one has put into them."""

import importlib
import sys

import pytest

from scenarios.errors import RequestError
from scenarios.exploration.campaign import Campaign, explore
from scenarios.exploration.targets import make_target
from scenarios.simulation.cold_start import cold_start
from services.consumer.consumer import Consumer
from tests.scenarios.designs.correct import CallsAnIdempotentApi

#: An inbox row in the effect's transaction, and a memory of the keys that are done; the places to fill in.
REMEMBERS = """
from services.operations import Delete, GetItem, PutItem, Transact
from tests.scenarios.designs.correct import CallsAnIdempotentApi, effect_of
{memory}


class Mine(CallsAnIdempotentApi):
    {attribute}

    def take(self, message{default}):
        delivery = self.open(message, 0.0)
        if delivery.rejection:
            return
        if delivery.key not in {done}:
            {before}
            row = f"INBOX#{{delivery.key}}"
            if (yield GetItem(row)) is None:
                yield Transact((PutItem(row, "done", if_absent=True),), effect_of(delivery))
            {after}
        yield Delete((message,))
"""
#: Where a consumer may remember.
PLACES = {
    "a module": {"memory": "DONE = set()", "done": "DONE"},
    "a class": {"attribute": "DONE = set()", "done": "self.DONE"},
    "a default": {"default": ", done=set()", "done": "done"},
    "a name that is bound anew": {
        "memory": "DONE = ()\n\ndef add(key):\n    global DONE\n    DONE += (key,)",
        "done": "DONE",
    },
    "another module": {"memory": "from memory_of_mine import DONE", "done": "DONE"},
}


@pytest.fixture
def loads(tmp_path, monkeypatch):
    """Return a function that writes a module and returns how its class is named."""
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    (tmp_path / "memory_of_mine.py").write_text("DONE = set()\n")

    def load(text):
        name = f"{tmp_path.name}_of_mine"  # a class is looked for once
        (tmp_path / f"{name}.py").write_text(text)
        importlib.invalidate_caches()
        return f"{name}:Mine"

    yield load
    for name in set(sys.modules) - before:
        if name.endswith("_of_mine"):
            del sys.modules[name]


def source(place, *, late=True):
    given = {"memory": "", "attribute": "", "default": "", **PLACES[place]}
    adds = "add(delivery.key)" if "bound anew" in place else f"{given['done']}.add(delivery.key)"
    return REMEMBERS.format(**given, before="" if late else adds, after=adds if late else "")


@pytest.mark.parametrize("place", PLACES)
def test_what_a_consumer_remembers_in_its_process_convicts_nobody(loads, place):
    target = make_target("orders", consumer=loads(source(place)))
    assert explore(Campaign(target, 60, seed=1)).tally.found is None


@pytest.mark.parametrize("place", PLACES)
def test_what_is_remembered_before_it_is_done_convicts(loads, place):
    found = explore(Campaign(make_target("orders", consumer=loads(source(place, late=False))), 200, seed=1)).tally.found
    assert found is not None
    assert found.invariants & {"lost", "deleted-before-done"}


def test_each_start_loads_what_remembers_and_leaves_the_loaded_modules_alone(loads):
    module = importlib.import_module(loads(source("another module")).partition(":")[0])
    memory = sys.modules["memory_of_mine"]
    first, second = cold_start(module.Mine), cold_start(module.Mine)
    assert len({module.Mine, first, second}) == 3
    assert issubclass(first, Consumer)
    assert first.take.__globals__["DONE"] is not second.take.__globals__["DONE"]
    assert sys.modules["memory_of_mine"] is memory
    assert sys.modules[module.__name__] is module


@pytest.mark.parametrize("kind", [Consumer, CallsAnIdempotentApi], ids=["ours", "a test's"])
def test_a_class_that_remembers_nothing_is_loaded_once(kind):
    assert cold_start(kind) is kind


#: What stands beside the class, as tests do: it holds what changes, and stands no second load.
BESIDE = """
import sys
LOADS = sys.modules.setdefault("loads_of_mine", type(sys)("loads_of_mine")).__dict__.setdefault(__name__, [])
LOADS.append(1)
assert len(LOADS) == 1, "it is loaded once"
"""


def test_what_the_class_does_not_reach_is_no_memory_of_its_own(loads):
    text = source("a module").replace("DONE = set()", "DONE = frozenset()")
    module = importlib.import_module(loads(BESIDE + text).partition(":")[0])
    assert cold_start(module.Mine) is module.Mine


def test_a_module_that_cannot_be_loaded_once_more_is_refused_by_a_sentence(loads):
    module = importlib.import_module(loads(BESIDE + source("a module")).partition(":")[0])
    with pytest.raises(
        RequestError, match=r"cannot be loaded once more .*it is loaded once.*put the class into a module"
    ):
        cold_start(module.Mine)
