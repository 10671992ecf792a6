"""The same first violation and the same counts, however a campaign is shared out, and whoever dies meanwhile."""

import json
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import BrokenExecutor, Executor, Future
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from types import SimpleNamespace

import pytest

from scenarios.catalog import all_scenarios
from scenarios.checks.functions import Handler
from scenarios.commands.explore import explore as explore_command
from scenarios.commands.explore import merge as merge_command
from scenarios.commands.options import BAD_REQUEST
from scenarios.errors import LabError, RequestError
from scenarios.exploration.campaign import CHUNK, Campaign, Chunk, Shard, explore, run_chunk
from scenarios.exploration.executors import Died, Processes, Workers, cluster, handed_over, in_order, pool_of
from scenarios.exploration.rotation import Rotation, every_name
from scenarios.exploration.shards import SHARD, merge, write_shard
from scenarios.exploration.targets import make_target
from scenarios.verdict import Outcome

BREAKS = frozenset({"duplicated-side-effect"})


def campaign(histories=600, seed=0, mutant="releases-anothers-claim", **rest):
    return Campaign(make_target("orders", mutant=mutant), histories, seed, looking_for=BREAKS, **rest)


class Backwards(Executor):
    """Tasks are done when they are waited for, the last one first; some of them die at their first try."""

    def __init__(self, *deaths):
        self.deaths = Counter(deaths)
        self.submitted = []

    def submit(self, fn, /, *args):
        future = Future()
        if self.deaths[args[0]] > 0:
            self.deaths[args[0]] -= 1
            future.set_exception(BrokenExecutor("it is gone"))
        else:
            self.submitted.append(args[0])
            future.set_result(fn(*args))
        return future


@contextmanager
def given(executor, slots):
    yield Workers(executor, slots)


class TestOrder:
    def test_results_come_in_the_order_of_the_tasks_and_no_more_are_taken_than_there_are_slots(self):
        taken = []

        def tasks():
            for number in range(20):
                taken.append(number)
                yield number

        results = in_order(Workers(Backwards(), 3), lambda number: number * number, tasks())
        assert next(results) == (0, 0)
        assert len(taken) <= 6
        assert [result for _, result in results] == [number * number for number in range(1, 20)]

    def test_a_task_whose_process_dies_is_tried_again_and_then_given_up_alone(self):
        told = dict(in_order(Workers(Backwards(1, 3, 3), 2), str, range(5)))
        assert {number: told[number] for number in (0, 1, 2, 4)} == {0: "0", 1: "1", 2: "2", 4: "4"}
        assert isinstance(told[3], Died)

    def test_any_other_error_is_an_error(self):
        with pytest.raises(ZeroDivisionError):
            list(in_order(Workers(_Failing(), 2), str, range(3)))


class _Failing(Executor):
    def submit(self, fn, /, *args):
        future = Future()
        future.set_exception(ZeroDivisionError())
        return future


@pytest.mark.thorough
class TestExactness:
    def test_any_number_of_slots_finds_the_same(self):
        alone = explore(campaign()).tally
        for slots in (2, 3, 7):
            assert explore(campaign(), pool=given(Backwards(), slots)).tally == alone
        assert alone.found is not None
        assert alone.found.index >= 2 * CHUNK, "beyond the first chunks"

    @pytest.mark.parametrize("of", [2, 3, 5])
    def test_shards_add_up_to_the_same(self, tmp_path, of):
        alone = explore(campaign()).tally
        for number in range(1, of + 1):
            directory = tmp_path / str(number)
            directory.mkdir()
            write_shard(directory, explore(campaign(shard=Shard(number, of))))
        merged = merge([tmp_path / str(number) for number in range(of, 0, -1)])
        assert merged.tally == alone
        assert merged.campaign == replace(campaign(), looking_for=frozenset())

    def test_a_clean_campaign_adds_up_too(self, tmp_path):
        clean = Campaign(make_target("poison"), 250, 4)
        for number in (1, 2):
            (tmp_path / str(number)).mkdir()
            write_shard(tmp_path / str(number), explore(replace(clean, shard=Shard(number, 2))))
        assert merge([tmp_path / "1", tmp_path / "2"]).tally == explore(clean).tally

    def test_a_lost_chunk_is_named_and_leaves_the_campaign_inconclusive(self):
        clean = Campaign(make_target("happy"), 250, 1)
        first = _dies_at(clean, 100, 2)
        explored = explore(clean, pool=given(first, 2))
        assert explored.lost == ("101 to 200",)
        assert explored.tally.histories == 150
        assert explored.outcome.exit_code == 2
        assert explore(clean, pool=given(_dies_at(clean, 100, 1), 2)).lost == ()

    def test_a_violation_counts_although_another_chunk_is_lost(self):
        broken = Campaign(make_target("duplicates", naive=True), 250, 1)
        explored = explore(broken, pool=given(_dies_at(broken, 0, 2), 2))
        assert explored.outcome.exit_code == 1

    def test_a_campaign_ends_where_process_after_process_dies(self):
        clean = Campaign(make_target("happy"), 1_000, 1)
        with pytest.raises(LabError, match="died in the histories 1 to 100; 101 to 200; 201 to 300, and so did"):
            explore(clean, pool=given(_dies_at(clean, 0, 99, 10_000), 2))


def _dies_at(of, first, times, end=None):
    class Dying(Backwards):
        def submit(self, fn, /, *args):
            chunk = args[0]
            dies = chunk.first >= first if end else chunk.first == first
            if dies and self.deaths[chunk.first] < times:
                self.deaths[chunk.first] += 1
                future = Future()
                future.set_exception(BrokenExecutor("it is gone"))
                return future
            return super().submit(fn, *args)

    assert of.histories > first
    return Dying()


@cache
def shard_of_two(number):
    return explore(Campaign(make_target("poison"), 220, 4, shard=Shard(number, 2)))


class TestMerging:
    @pytest.fixture
    def shards(self, tmp_path):
        for number in (1, 2):
            (tmp_path / str(number)).mkdir()
            write_shard(tmp_path / str(number), shard_of_two(number))
        return tmp_path

    def test_a_missing_shard_is_named(self, shards):
        with pytest.raises(RequestError, match="lacks its shard 2/2"):
            merge([shards / "1"])
        assert merge([shards / "1", shards / "2", shards / "1"]).tally.histories == 220

    def test_shards_of_two_campaigns_do_not_add_up(self, shards):
        (shards / "3").mkdir()
        write_shard(shards / "3", explore(Campaign(make_target("poison"), 220, 5, shard=Shard(2, 2))))
        with pytest.raises(RequestError, match="of another campaign"):
            merge([shards / "1", shards / "3"])

    @pytest.mark.parametrize(
        ("text", "sentence"),
        [
            ("{", "is no JSON"),
            ("{}", "holds no shard"),
            ('{"format": "queue-fundamentals shard", "form": 2}', "lacks a"),
        ],
    )
    def test_a_file_that_is_none_is_one_sentence(self, shards, text, sentence):
        (shards / "1" / SHARD).write_text(text)
        with pytest.raises(RequestError, match=sentence):
            merge([shards / "1", shards / "2"])

    def test_the_commands_find_what_one_machine_finds(self, capsys, tmp_path):
        options = {"histories": 300, "jobs": 1, "seed": 3, "mutant": "looks-up-every-second-time", "json": True}
        alone = _json(capsys, explore_command, "orders", runs=tmp_path, **options)
        parts = [
            _json(capsys, explore_command, "orders", runs=tmp_path, shard=f"{number}/2", **options)["run"]
            for number in (1, 2)
        ]
        merged = _json(capsys, merge_command, parts, json=True, runs=tmp_path)
        same = ("found_at", "history_seed", "violated", "histories", "faults", "outcomes", "story")
        assert {name: merged[name] for name in same} == {name: alone[name] for name in same}

    @pytest.mark.parametrize(
        ("options", "sentence"),
        [
            ({"shard": "3/2", "seed": 1, "histories": 10}, "--shard's I must be a whole number, from 1 to 2"),
            ({"shard": "2", "seed": 1, "histories": 10}, "--shard is I/N, such as 2/5"),
            ({"shard": "1/2", "histories": 10}, "--shard needs --seed and --histories"),
            ({"shard": "1/2", "seed": 1, "histories": 10, "seconds": 5}, "takes no --seconds"),
            ({"seconds": 0}, "--seconds must be a whole number"),
        ],
    )
    def test_a_bad_request_is_one_sentence(self, capsys, tmp_path, options, sentence):
        assert explore_command("happy", runs=tmp_path, **options) == BAD_REQUEST
        err = capsys.readouterr().err
        assert sentence in err
        assert err.count("\n") == 1


def _json(capsys, command, *arguments, **options):
    command(*arguments, **options)
    return json.loads(capsys.readouterr().out)


def test_a_campaign_ends_with_its_seconds():
    began = time.monotonic()
    explored = explore(Campaign(make_target("happy"), 10_000_000, 1, seconds=0.01))
    assert explored.tally.histories < 1_000
    assert time.monotonic() - began < 60


def test_a_class_takes_turns_in_what_it_fits_and_is_found_out_in_it():
    names = every_name("tests.scenarios.designs.broken:LoopThatNeverLooks")
    assert {"orders", "crash"} <= set(names) < set(every_name())
    assert not {"saga", "large-payload", "lambda-fifo"} & set(names), (
        "these ask for a pattern or a function of their own"
    )
    who = {"consumer": "tests.scenarios.designs.broken:LoopThatNeverLooks"}
    found = [each.tally.found for each in Rotation(("orders", "crash"), 60, None, 3, 1, **who).run(lambda _: None)]
    assert all(each is not None and "duplicated-side-effect" in each.invariants for each in found)
    who = {"consumer": "tests.scenarios.designs.correct:CallsAnIdempotentApi"}
    results = Rotation(("orders", "crash"), 60, None, 3, 1, **who).run(lambda _: None)
    assert [each.tally.found for each in results] == [None, None]


def test_a_handler_takes_turns_in_the_scenarios_that_take_one():
    names = every_name(handler=Handler("app.handler", None, Path(), {}))
    assert {"lambda-timeout", "lambda-fifo"} <= set(names) < set(all_scenarios())


def test_all_scenarios_take_turns_and_each_history_is_that_of_a_campaign_of_its_own():
    names = ("orders", "poison", "happy")
    results = Rotation(names, 60, None, 3, 1).run(lambda _: None)
    assert [explored.campaign.target.name for explored in results] == list(names)
    for explored in results:
        assert explored.tally == explore(Campaign(explored.campaign.target, 60, 3)).tally


def test_turns_end_with_their_seconds_and_what_had_none_is_inconclusive():
    results = Rotation(("happy", "poison"), 1_000_000, 0.0, 3, 1).run(lambda _: None)
    assert [explored.tally.histories for explored in results] == [0, 0]
    assert {explored.outcome for explored in results} == {Outcome.INCONCLUSIVE}


@pytest.mark.processes
def test_each_process_does_something_before_its_first_task_and_workers_may_be_handed_over():
    nicer = min(os.nice(0) + 3, 19)
    with ExitStack() as stack:
        workers = stack.enter_context(pool_of(2, partial(os.nice, 3)))
        with handed_over(stack, workers) as handed:
            assert [told for _, told in in_order(handed, os.nice, [0, 0])] == [nicer, nicer]
        at_work = {child.pid for child in multiprocessing.active_children()}
        assert not at_work & {lane.pid.value for lane in workers.executor._busy.values()}


@pytest.mark.thorough
@pytest.mark.processes
def test_processes_find_the_same_as_one():
    alone, shared = (explore(campaign(jobs=jobs)).tally for jobs in (1, 2))
    assert alone == shared


# --- a real cluster -------------------------------------------------------------------------------------------------


@pytest.fixture
def dask(tmp_path):
    """A Dask scheduler and two workers of one thread, as processes; yields its address and the workers' processes."""
    distributed = pytest.importorskip("distributed")
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(sys.path),
        "DASK_DISTRIBUTED__WORKER__DAEMON": "False",
        "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "60s",
    }
    started = []

    def start(module, *arguments):
        command = [sys.executable, "-m", f"distributed.cli.{module}", *arguments]
        process = subprocess.Popen(
            command, env=environment, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        started.append(process)
        return process

    file = tmp_path / "scheduler.json"
    start("dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(file))
    _until(file.exists)
    local = ("--no-dashboard", "--no-nanny", "--nthreads", "1", "--host", "127.0.0.1", "--scheduler-file", str(file))
    workers = [start("dask_worker", *local, "--name", f"w{number}") for number in range(2)]
    try:
        with distributed.Client(scheduler_file=str(file), set_as_default=False) as client:
            client.wait_for_workers(2, timeout=120)
            address = client.scheduler.address
        yield address, workers
    finally:
        for process in reversed(started):
            process.kill()
            process.wait()


def _until(condition, seconds=120):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.processes
@pytest.mark.thorough
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_cluster_finds_the_same_although_a_worker_is_killed(dask):
    address, workers = dask
    wanted = campaign(histories=4_000)
    alone = explore(wanted).tally
    killed = []

    def watch(tally, _seconds):
        if not killed:
            workers[0].send_signal(signal.SIGKILL)
            killed.append(tally.histories)

    shared = explore(wanted, watch, cluster(address))
    assert killed
    assert workers[0].wait() == -signal.SIGKILL
    assert shared.tally == alone
    assert shared.lost == ()
    assert alone.found is not None
    assert killed[0] < alone.histories  # it died while there was work to do


@pytest.mark.processes
@pytest.mark.thorough
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_the_command_uses_a_cluster_and_names_what_is_wrong_with_one(dask, capsys, tmp_path):
    address, workers = dask
    options = {"histories": 300, "seed": 1, "json": True, "runs": tmp_path}
    here = _json(capsys, explore_command, "happy", jobs=1, **options)
    there = _json(capsys, explore_command, "happy", cluster=address, **options)
    assert (here["faults"], here["outcomes"]) == (there["faults"], there["outcomes"])
    for worker in workers:
        worker.kill()
        worker.wait()
    with pytest.importorskip("distributed").Client(address, set_as_default=False) as client:
        _until(lambda: not client.ncores())
    assert explore_command("happy", cluster=address, runs=tmp_path) == BAD_REQUEST
    assert "has no workers" in capsys.readouterr().err


def test_no_scheduler_is_one_sentence(capsys, tmp_path, monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr("scenarios.exploration.executors.CONNECT_SECONDS", 0.5)
    assert explore_command("happy", cluster="tcp://127.0.0.1:1", runs=tmp_path) == BAD_REQUEST
    err = capsys.readouterr().err
    assert "No Dask scheduler answers at tcp://127.0.0.1:1" in err
    assert err.count("\n") == 1


def test_chunks_travel_as_numbers():
    chunk_bytes = len(pickle.dumps(run_chunk(_first_chunk(campaign()))))
    assert chunk_bytes < 10_000


def _first_chunk(of):
    return Chunk(of, 0, 100)


@pytest.mark.processes
def test_the_seconds_of_a_campaign_begin_when_its_processes_are_ready(monkeypatch):
    passed = [0.0]
    get_ready = Processes.get_ready

    def slowly(*given):
        get_ready(*given)
        passed[0] += 100.0

    monkeypatch.setattr(Processes, "get_ready", slowly)
    monkeypatch.setattr("scenarios.exploration.campaign.time", SimpleNamespace(monotonic=lambda: passed[0]))
    explored = explore(Campaign(make_target("deliveries"), 120, seed=1, jobs=2, seconds=60.0, bounded=False))
    assert (explored.tally.histories, explored.seconds) == (120, 0.0)
