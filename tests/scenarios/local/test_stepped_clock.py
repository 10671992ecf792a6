"""A wall clock that is stepped during a real run: of every process, by a clock that the test moves.

The library beside this file is preloaded into the lab, its endpoint and its services, as libfaketime would be.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = [pytest.mark.processes, pytest.mark.thorough]

SOURCE = Path(__file__).with_name("stepped_clock.c")
COMPILER = shutil.which("cc")
HOW_TO_INSTALL = "there is no C compiler on PATH; on Debian: apt-get install -y gcc libc6-dev"
#: Seconds for a run to come so far, on a busy machine.
PATIENCE = 90


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    if COMPILER is None or sys.platform != "linux":
        assert not os.environ.get("CI"), HOW_TO_INSTALL
        pytest.skip(HOW_TO_INSTALL)
    made = tmp_path_factory.mktemp("clock") / "stepped_clock.so"
    subprocess.run([COMPILER, "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", made, SOURCE, "-ldl"], check=True)
    return made


@pytest.fixture
def run(project, library):
    """Run a scenario and step the clock once its slow consumer is at work; return the verdict."""

    def do(seconds):
        step = project / "step"
        step.write_text("0")
        program = (
            "import sys; from scenarios.commands.scenario import scenario; "
            "sys.exit(scenario('duplicates', seed=5, json=True))"
        )
        environment = {**os.environ, "LD_PRELOAD": str(library), "CLOCK_STEP_FILE": str(step)}
        with (
            (project / "said").open("wb") as said,
            subprocess.Popen(
                [sys.executable, "-c", program], cwd=project, env=environment, stdout=subprocess.PIPE, stderr=said
            ) as process,
        ):
            try:
                wait_until(lambda: is_at_work(project), process)
                step.write_text(str(seconds))
                out, _ = process.communicate(timeout=PATIENCE)
            finally:
                process.kill()
        verdict = json.loads(out)
        assert process.returncode == verdict["exit_code"]
        return verdict

    return do


def is_at_work(project):
    """Tell whether the slow consumer is in the middle of its side effect."""
    return any("PerformSideEffect" in path.read_text() for path in project.glob("runs/*/processes/slow*.jsonl"))


def wait_until(condition, process):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert process.poll() is None, "the run ended before its consumer was at work"
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_run_under_a_steady_clock_passes(run):
    verdict = run(0)
    assert (verdict["verdict"], verdict["clock_step_seconds"]) == ("pass", 0.0)


def test_a_step_that_ends_a_lease_too_early_convicts_no_consumer(run):
    verdict = run(60)
    assert verdict["verdict"] == "inconclusive", verdict["reason"]
    assert verdict["clock_step_seconds"] == pytest.approx(60, abs=0.5)
    assert "The wall clock of this machine was stepped by 60" in verdict["reason"]
    broken = [item["name"] for item in verdict["invariants"] if not item["holds"]]
    assert "duplicated-side-effect" in broken, "by the step the quick consumer took the claim for over"


def test_a_step_back_is_seen_as_well(run):
    verdict = run(-1)
    assert verdict["verdict"] == "inconclusive", verdict["reason"]
    assert verdict["clock_step_seconds"] == pytest.approx(1, abs=0.1)
