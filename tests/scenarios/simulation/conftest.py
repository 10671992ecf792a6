import pytest

from scenarios.exploration.targets import make_target
from scenarios.simulation.choices import SeededChoices
from scenarios.simulation.run import simulate


@pytest.fixture(scope="session")
def simulated():
    """Simulate one history of a scenario or a workload."""

    def run_one(name, seed=0, *, choices=None, schedule=None, **options):
        target = make_target(name, **{"with_faults": False, **options})
        return simulate(target.plan(seed), choices or SeededChoices(seed), schedule and schedule.begin())

    return run_one
