"""How many histories the simulated tier has in a second of one core, and how that grows with messages and consumers."""

from __future__ import annotations

from collections.abc import Sequence

from scenarios.bench.figures import Figure
from scenarios.exploration.speed import measure


def measure_simulation(runs: int) -> Sequence[Figure]:
    """Measure each size as often as asked; a simulation is judged as well, and processor time is what counts."""
    measured: dict[tuple[int, int], list[float]] = {}
    for _ in range(runs):
        for figure in measure():
            measured.setdefault((figure.messages, figure.consumers), []).append(figure.histories_per_second)
    return [
        Figure(f"simulation: {messages:,} messages, {consumers} consumers", "histories/CPU s", tuple(values))
        for (messages, consumers), values in measured.items()
    ]
