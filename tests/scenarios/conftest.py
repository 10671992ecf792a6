import shutil
import sys
from pathlib import Path

import pytest

from scenarios.exploration.targets import make_target
from scenarios.simulation.choices import SeededChoices
from scenarios.simulation.run import simulate

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project directory of the test's own: its stacks and runs are in nobody's way."""
    shutil.copy(CHECKOUT / "Pulumi.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PULUMI_STACK", "test")
    yield tmp_path
    # Another test may have a module of the same name in a directory of its own.
    for name, module in list(sys.modules.items()):
        if Path(getattr(module, "__file__", None) or "/").is_relative_to(tmp_path):
            del sys.modules[name]


@pytest.fixture(scope="session")
def simulated():
    """Simulate one history of a scenario or a workload."""

    def run_one(name, seed=0, *, choices=None, schedule=None, **options):
        target = make_target(name, **{"with_faults": False, **options})
        return simulate(target.plan(seed), choices or SeededChoices(seed), schedule and schedule.begin())

    return run_one
