"""``invoke bench``: measure, then print one table."""

from __future__ import annotations

import json as json_module
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from scenarios.bench.commands import time_menu, time_scenarios, time_stacks
from scenarios.bench.endpoint import measure_endpoint
from scenarios.bench.figures import Benchmark, Figure, describe_machine
from scenarios.bench.functions import measure_functions
from scenarios.bench.peers import measure_peers
from scenarios.bench.search import BOUND, measure_search, p90
from scenarios.bench.simulation import measure_simulation
from scenarios.commands.options import whole
from scenarios.mutants.catalogue import HARD

MOST_RUNS = 100
DEFAULT_RUNS = 5

BENCHMARKS = (
    Benchmark("the menu", time_menu),
    Benchmark("up, second up, down, with each engine", time_stacks),
    Benchmark("the embedded endpoint", measure_endpoint),
    Benchmark("Lambda functions", measure_functions),
    Benchmark("the simulated tier", measure_simulation),
    Benchmark("scenarios from keypress to verdict", time_scenarios),
)


PEERS = (Benchmark("the embedded endpoint beside others", measure_peers),)


def bench(*, runs: str | int = DEFAULT_RUNS, peers: bool = False, search: bool = False, json: bool = False) -> int:
    """Measure everything and print it; return the exit code.

    Args:
        runs: how often each quantity is measured, 1 to 100.
        peers: measure the endpoint beside others of its kind, and nothing else.
        search: measure what campaigns take to kill the hard mutants, with twice as many seeds, and nothing else.
        json: print one JSON object on standard output, and the progress on standard error.

    Raises:
        RequestError: the number of runs is none.
        BenchmarkError: something that was to be measured failed.
    """
    times = whole("--runs", runs, 1, MOST_RUNS) or DEFAULT_RUNS
    machine = describe_machine()
    progress = Console(stderr=True, highlight=False)
    if search:
        return _search(2 * times, machine, progress, json=json)
    figures: list[Figure] = []
    for benchmark in PEERS if peers else BENCHMARKS:
        progress.print(f"measuring {benchmark.title} ...")
        figures += benchmark.measure(times)
    if json:
        print(json_module.dumps({"machine": machine, "figures": [figure.as_json() for figure in figures]}))
    else:
        _print(machine, figures)
    return 0


def _search(seeds: int, machine: dict[str, Any], progress: Console, *, json: bool) -> int:
    figures = list(measure_search(HARD, seeds, watch=progress.print))
    if json:
        print(json_module.dumps({"machine": machine, "search": [figure.as_json() for figure in figures]}))
        return 0
    console = Console(highlight=False)
    console.print(", ".join(f"{name} {value}" for name, value in machine.items()), soft_wrap=True)
    table = Table(box=None, pad_edge=False)
    table.add_column("mutant")
    for heading in ("histories, median", "p90", "CPU s, median", "p90", "survived"):
        table.add_column(heading, justify="right")
    for figure in figures:
        counts, seconds = figure.histories, figure.seconds
        numbers = (median(counts), p90(counts), median(seconds), p90(seconds))
        survived = f"{figure.survived} of {len(counts)}" if figure.survived else ""
        table.add_row(figure.mutant.name, *map(_number, numbers), survived)
    console.print(table)
    total = sum(sum(figure.seconds) for figure in figures)
    console.print(f"{len(figures)} mutants, {seeds} seeds each, {BOUND:,} histories at most: {total:,.0f} CPU s in all")
    return 0


def _print(machine: dict[str, Any], figures: list[Figure]) -> None:
    console = Console(highlight=False)
    console.print(", ".join(f"{name} {value}" for name, value in machine.items()), soft_wrap=True)
    table = Table(box=None, pad_edge=False)
    table.add_column("figure")
    for heading in ("median", "least", "most"):
        table.add_column(heading, justify="right")
    table.add_column("unit")
    for figure in figures:
        numbers = (figure.median, min(figure.values), max(figure.values))
        table.add_row(figure.name, *(_number(value) for value in numbers), figure.unit)
    console.print(table)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"  # noqa: PLR2004 - three digits say enough
