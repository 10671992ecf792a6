"""Every command of README.md and docs is typed, in a project made for it, and ends as its page says."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from scenarios.catalog import all_scenarios
from tests.docs.pages import CHECKOUT, Block, Command, blocks, blocks_of
from tests.scenarios.local.test_local_tier import processes_of

#: Seconds for one command. None of those that are run takes a quarter of it on a machine with two cores.
LIMIT = 120

#: How often a run may be inconclusive in a row: real processes on a busy machine can be too late for a witness.
TRIES = 3

BASH = shutil.which("bash") or "bash"
STACK = "docs"

#: What is not typed here, and why. Each of these stands in a page, or a test fails.
SETTING_UP = "sets the project up, which was done for this test; CI begins with it"
GOES_ON = "goes on until it is stopped"
REAL_AWS = "works in an AWS account"
NEEDS_THE_CLI = "needs the real Pulumi CLI; tests/infra/engines/pulumi has it"
FROM_ELSEWHERE = "installs from elsewhere"
NOT_RUN = {
    "python3 -m venv .venv && .venv/bin/pip install -e '.[dev]' && .venv/bin/invoke scenario --name crash": SETTING_UP,
    "python3 -m venv .venv && .venv/bin/pip install -e '.[dev]' && .venv/bin/invoke test": SETTING_UP,
    "invoke check": "runs this test",
    "invoke test --quick": "runs this test's neighbours",
    "invoke test --thorough": "runs this test",
    "invoke bench": "takes a minute, and wants a quiet machine",
    "invoke mutants": "takes minutes; tests/scenarios/exploration kills them all",
    "invoke explore --name all --seconds 600": "takes ten minutes",
    "invoke explore --name all --seconds 600 --consumer my_consumers:Mine": "likewise",
    "invoke explore --name orders --jobs 8 --seconds 3600": "takes an hour",
    "invoke explore --name orders --histories 1000000 --cluster tcp://127.0.0.1:8786": "needs a Dask scheduler",
    "invoke explore --name orders --histories 1000000 --seed 7 --shard 3/20": "takes minutes",
    "invoke merge --shards runs/one --shards runs/two": "needs shards; tests/scenarios/exploration merges some",
    "invoke scenarios-fast": "takes half a minute; tests/scenarios runs the same set",
    "invoke scenarios-slow": "takes a minute; what it runs stands in the pages of the slow scenarios",
    "invoke report --open": "opens a browser",
    "python -m infra.localaws": GOES_ON,
    "python -m infra.localaws --lambda app.handler --queue orders": GOES_ON,
    "export PULUMI_CONFIG_PASSPHRASE=...": "holds a secret of the reader's",
    "invoke up --engine pulumi": NEEDS_THE_CLI,
    "pulumi stack init dev": NEEDS_THE_CLI,
    "pulumi install": NEEDS_THE_CLI,
    "pulumi up": NEEDS_THE_CLI,
    "invoke up --endpoint http://127.0.0.1:5000": "needs an endpoint of another make, which the reader starts",
    "invoke up --tier aws": REAL_AWS,
    ".ci/pulumi/build": FROM_ELSEWHERE,
    "pip install 'moto[server]'": FROM_ELSEWHERE,
    "moto_server -p 5000 &": GOES_ON,
}

#: Blocks with something to run.
RUN = [block for block in blocks() if any(command.text not in NOT_RUN for command in block.commands)]
#: What looks like a command where only output may stand.
_COMMAND = re.compile(r"(\$ )?(invoke|python3?|pip|npm|node|\.venv/bin/\w+) [\w-]")


class Project:
    """A directory in which a reader types: runs, stacks and .env are its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        for name in ("Pulumi.yaml", "tasks.py"):
            shutil.copy(CHECKOUT / name, directory)
        # Pages run programs that the tests bring along; nothing is written there.
        (directory / "tests").symlink_to(CHECKOUT / "tests")

    def type(self, text: str) -> tuple[int, str]:
        """Return the exit code of a command and what it printed."""
        said = self.directory / "said.txt"
        # A file, and no pipe: the endpoint that `invoke up` leaves in the background would hold it open.
        with said.open("wb") as out:
            process = subprocess.Popen(
                [BASH, "-c", text],
                cwd=self.directory,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            code = process.wait(timeout=LIMIT)
        except BaseException as error:  # too late, or interrupted: nothing outlives its test
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if isinstance(error, subprocess.TimeoutExpired):
                pytest.fail(f"`{text}` had not ended after {LIMIT} s:\n{said.read_text()}")
            raise
        return code, said.read_text()

    def show(self, page: str) -> None:
        """Write the files that a page shows."""
        for block in blocks():
            if block.page == page and block.file:
                (self.directory / block.file).write_text("\n".join(block.lines) + "\n")

    def leave(self) -> None:
        """Take down what is up."""
        if (self.directory / ".queue-fundamentals" / STACK).exists():
            code, said = self.type("invoke down")
            assert code == 0, said
        wait_until_gone(self.directory)

    def _environment(self) -> dict[str, str]:
        foreign = re.compile(r"AWS_|PULUMI_|QUEUE_URL$|MESSAGE_|DLQ_|COLUMNS$")
        ours = {name: value for name, value in os.environ.items() if not foreign.match(name)}
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        # Each process says by its environment whose it is, so that those that are left over can be told.
        return {**ours, "PATH": path, "PULUMI_STACK": STACK, "DOCS_PROJECT": str(self.directory)}


def wants_no_stack(block: Block) -> bool:
    """Return whether a block brings a stack up itself, or asks for one that is not like the one that is up."""
    # A slow scenario has a clock of its own.
    slow = "|".join(name for name, scenario in all_scenarios().items() if scenario.pace == "slow")
    wish = re.compile(rf"^invoke (up|down)|--(speed|endpoint|engine)\b|--name ({slow})\b")
    return any(wish.search(command.text) for command in block.commands)


def wait_until_gone(directory: Path) -> None:
    """Wait for the end of what has been asked to end."""
    deadline = time.monotonic() + 10
    while left := processes_of(directory):
        assert time.monotonic() < deadline, left
        time.sleep(0.05)


@pytest.fixture(scope="module")
def with_a_stack(tmp_path_factory):
    """One project with one stack, for all blocks of a worker that bring none up themselves."""
    project = Project(tmp_path_factory.mktemp("project"))
    code, said = project.type("invoke up")
    assert code == 0, said
    yield project
    project.leave()


@pytest.fixture
def with_nothing(tmp_path):
    """A project in which nothing is up."""
    project = Project(tmp_path)
    yield project
    project.leave()


@pytest.mark.processes
@pytest.mark.thorough
@pytest.mark.parametrize("block", RUN, ids=str)
def test_each_command_of_a_block_ends_as_its_page_says(block, request, record_property):
    project = request.getfixturevalue("with_nothing" if wants_no_stack(block) else "with_a_stack")
    project.show(block.page)
    for command in block.commands:
        if command.text in NOT_RUN:
            continue
        for retry in range(TRIES):
            code, said = project.type(command.as_run)
            if "INCONCLUSIVE" not in said:
                break
            record_property("retried", f"{command.as_run} ({retry + 1})")
        assert "Traceback" not in said, said
        assert code == command.exit_code, f"`{command.as_run}` ended with exit code {code}:\n{said}"


def test_what_is_not_run_stands_in_a_page():
    typed = {command.text for block in blocks() for command in block.commands}
    assert set(NOT_RUN) <= typed


def test_a_command_stands_in_a_bash_block_where_it_is_run():
    hidden = [
        f"{block.page}:{block.line + at}: {line}"
        for block in blocks()
        if block.language in {"", "text", "sh", "shell", "console"}
        for at, line in enumerate(block.lines)
        if _COMMAND.match(line)
    ]
    assert not hidden


def test_a_page_says_which_exit_code_it_promises():
    page = """
```bash
# a remark
invoke scenario --name crash          # dies
invoke scenario --name crash --naive
invoke explore \\
  --name x --histories 5000 --seed 3  # exit code 2
```
```python
# mine.py
```
""".splitlines()
    commands, shown = blocks_of("page.md", page)
    assert commands == Block("page.md", 3, "bash", tuple(page[2:7]))
    assert commands.commands == (
        Command("invoke scenario --name crash", 0),
        Command("invoke scenario --name crash --naive", 1),
        Command("invoke explore    --name x --histories 5000 --seed 3", 2),
    )
    assert [command.as_run for command in commands.commands] == [
        "invoke scenario --name crash --seed 7",
        "invoke scenario --name crash --naive --seed 7",
        "invoke explore    --name x --histories 50 --seed 3 --jobs 1",
    ]
    assert (commands.file, shown.file, shown.commands) == ("", "mine.py", ())
