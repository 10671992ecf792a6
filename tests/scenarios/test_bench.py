import json

import pytest

from scenarios.bench import functions, peers
from scenarios.bench.endpoint import START_SECONDS, measure_endpoint
from scenarios.bench.figures import Benchmark, Figure, describe_machine
from scenarios.bench.search import measure_search, p90
from scenarios.commands import bench as command
from scenarios.errors import RequestError
from scenarios.mutants.catalogue import HARD


@pytest.mark.parametrize("runs", ["0", "-1", "many", "101", "1.5"])
def test_a_number_of_runs_that_is_none_is_one_sentence(runs):
    with pytest.raises(RequestError, match="--runs must be a whole number, from 1 to 100"):
        command.bench(runs=runs)


def test_a_figure_is_the_median_of_its_runs():
    figure = Figure("x", "s", (3.0, 1.0, 2.0))
    assert figure.as_json() == {"name": "x", "unit": "s", "median": 2.0, "least": 1.0, "most": 3.0, "runs": 3}


def test_the_machine_is_named():
    machine = describe_machine()
    assert machine["cores"] >= 1
    assert machine["processor"]


def test_json_is_all_that_stands_on_standard_output(monkeypatch, capsys):
    asked = []

    def measure(runs):
        asked.append(runs)
        return [Figure("x", "s", (1.0,))]

    monkeypatch.setattr(command, "BENCHMARKS", (Benchmark("something", measure),))
    assert command.bench(runs="3", json=True) == 0
    assert [figure["name"] for figure in json.loads(capsys.readouterr().out)["figures"]] == ["x"]
    assert command.bench(runs=2) == 0
    assert "1.00" in capsys.readouterr().out
    assert asked == [3, 2]


@pytest.mark.thorough
def test_the_search_is_measured_in_histories_that_depend_on_seeds_alone(monkeypatch, capsys):
    few = [mutant for mutant in HARD if mutant.name in ("has-a-short-lease", "skips-by-receive-count")]
    first, again = (list(measure_search(few, seeds=3, bound=400)) for _ in range(2))
    assert [figure.histories for figure in first] == [figure.histories for figure in again]
    assert {figure.survived for figure in first} == {0}
    (survivor,) = measure_search(few[:1], seeds=2, bound=1)
    assert (survivor.survived, survivor.histories) == (2, (1, 1))
    monkeypatch.setattr(command, "HARD", few[:1])
    assert command.bench(runs=1, search=True, json=True) == 0
    (row,) = json.loads(capsys.readouterr().out)["search"]
    assert (row["mutant"], row["survived"], row["seeds"]) == ("has-a-short-lease", 0, 2)
    assert command.bench(runs=1, search=True) == 0
    assert "has-a-short-lease" in capsys.readouterr().out


def test_nine_of_ten_values_are_within_p90():
    assert p90(range(1, 11)) == 9
    assert p90([5.0]) == 5.0


@pytest.mark.processes
@pytest.mark.thorough
def test_the_endpoint_is_measured_for_real(monkeypatch):
    monkeypatch.setattr("scenarios.bench.endpoint.MESSAGES", 100)
    figures = {(figure.name, figure.unit): figure.median for figure in measure_endpoint(1)}
    # What is measured must be possible: a hundred messages take some time and some memory, and not for ever.
    for name in ("endpoint: sends", "endpoint: receives with deletes"):
        assert 100 / 60 < figures[name, "messages/s"] < 100 / 0.0001
    assert 0 < figures["endpoint: cold start", "s"] < START_SECONDS
    assert figures["endpoint: memory at rest", "MB"] <= figures["endpoint: memory with 100 messages", "MB"] < 1_000


@pytest.mark.processes
@pytest.mark.thorough
def test_the_endpoint_is_measured_row_by_row_as_its_peers_are(monkeypatch):
    monkeypatch.setattr(peers, "ROW_SECONDS", 0.5)  # in less, a busy machine may not answer at all
    monkeypatch.setattr(peers, "WAKE_UPS", 2)
    figures = peers.measure_peers(1, [peers.OURS])
    by_name = {(figure.name, figure.unit): figure.median for figure in figures}
    assert len(by_name) == len(figures) == 8
    # A message in a batch of ten costs less than one in a request of its own.
    assert (
        by_name[f"send batch: {peers.OURS}", "messages/CPU s"]
        > by_name[f"single send, receive, delete: {peers.OURS}", "requests/CPU s"]
    ), by_name
    assert 0 < by_name[f"wake-up of a long poll: {peers.OURS}", "ms"] < 20_000  # the poll's own 20 s


def test_beside_a_peer_stands_the_ratio_in_our_favour():
    fast = {peers.OURS: [10.0], "a": [4.0], "b": [5.0]}
    assert [figure.median for figure in peers._figures("sends|per CPU s", fast)][-1] == 2.0
    soon = {peers.OURS: [1.0], "a": [4.0], "b": [3.0]}
    assert [figure.median for figure in peers._figures("wake-up|ms", soon)][-1] == 3.0


@pytest.mark.processes
@pytest.mark.thorough
def test_functions_are_measured_alone_and_behind_the_emulation(monkeypatch):
    monkeypatch.setattr(functions, "INVOCATIONS", 20)
    monkeypatch.setattr(functions, "WARM_UP", 2)
    monkeypatch.setattr(functions, "HANDLER", "import time\ndef handler(event, context):\n    time.sleep(0.02)\n")
    alone, added, rate = functions.measure_functions(1)
    assert (alone.unit, added.unit, rate.unit) == ("ms", "ms", "invocations/s")
    # A handler that sleeps 20 ms takes no less, and two of them at once answer at most 100 times a second.
    assert alone.median >= 20
    assert alone.median + added.median >= 20
    assert 1 < rate.median <= 100
