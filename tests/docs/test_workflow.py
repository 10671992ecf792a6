"""The workflow of docs/your-own-consumer.md: its steps are taken from the page and run, from another directory."""

import os
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import yaml

from tests.docs.pages import CHECKOUT

pytestmark = [pytest.mark.processes, pytest.mark.thorough]

PAGE = CHECKOUT / "docs" / "your-own-consumer.md"
#: Seconds for one step: an installation, or a suite on a busy machine.
LIMIT = 900
#: What the top of a checkout holds that git does not.
IGNORED = {".git", ".venv", "runs", ".queue-fundamentals", "build"}


def steps():
    """Return the steps of the page's workflow that run a command, each with its directory."""
    (block,) = re.findall(r"```yaml\n(jobs:.*?)```", PAGE.read_text(), re.DOTALL)
    (job,) = yaml.safe_load(block)["jobs"].values()
    return [(step["run"], step.get("working-directory", ".")) for step in job["steps"] if "run" in step]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    """Return what a runner has after the checkouts: the user's repository, and this one beside it."""
    directory = tmp_path_factory.mktemp("workflow")
    top = str(CHECKOUT)
    shutil.copytree(top, directory / "lab", ignore=lambda where, _: IGNORED if where == top else {"__pycache__"})
    (directory / "mine").mkdir()
    shutil.copy(CHECKOUT / "tests" / "consumers" / "node" / "consumer.mjs", directory / "mine" / "my.mjs")
    return directory


def test_the_workflow_runs_as_it_stands(workspace):
    if shutil.which("node") is None or shutil.which("uv") is None:
        pytest.skip("node and uv are what the workflow's runner has")
    tools = workspace / "tools"
    own = {"UV_TOOL_DIR": str(tools), "UV_TOOL_BIN_DIR": str(tools / "bin"), "RUNNER": str(workspace)}
    path = f"{tools / 'bin'}{os.pathsep}{os.environ['PATH']}"
    environment = {**{name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}, **own, "PATH": path}
    codes = {}
    for run, where in steps():
        done = subprocess.run(
            [shutil.which("bash") or "bash", "-eo", "pipefail", "-c", run],
            cwd=workspace / where,
            env=environment,
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=False,
        )
        codes[run.split()[1]] = done.returncode
        # The consumer has neither a heartbeat nor a freshness rule, and the suite may say so; all else passes.
        assert done.returncode in ((0, 1) if " suite " in run else (0,)), done.stdout + done.stderr
    assert list(codes) == ["tool", "scenario", "suite"]
    assert Path(shutil.which("queue-fundamentals", path=path)).is_relative_to(tools)
    cases = ET.parse(workspace / "mine" / "junit.xml").getroot().iter("testcase")  # noqa: S314 - our own file
    outcomes = {case.get("name"): [child.tag for child in case if child.tag in ("failure", "error")] for case in cases}
    # Those with the shortest timeouts may fail where a machine is busy; these two have time.
    assert (outcomes["happy"], outcomes["crash"], "side-effects" in outcomes) == ([], [], True)
