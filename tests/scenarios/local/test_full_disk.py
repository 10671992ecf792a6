"""A disk that is really full: a small one is mounted where a stack or a run keeps its files, and filled."""

import os
import re
import shutil
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace

import pytest

from infra.commands.stacks import down
from infra.stack.stacks import find_stack
from infra.stack.workspace import open_workspace
from scenarios.catalog import find_scenario
from scenarios.errors import LabError
from scenarios.lab import has_started
from scenarios.runs import plan
from scenarios.runs.plan import RunRequest
from scenarios.runs.run import run_scenario
from services.errors import MachineError
from tests.scenarios.local.test_local_tier import processes_of

pytestmark = [pytest.mark.processes, pytest.mark.thorough]

SIZE = 4_000_000
MOUNT, UNMOUNT = shutil.which("mount"), shutil.which("umount")


@contextmanager
def small_disk(directory):
    """Mount a disk of a few megabytes; yield a function that fills it but for some bytes."""
    directory.mkdir()
    if MOUNT is None or os.geteuid() != 0:
        pytest.skip("only root may mount a small disk")
    mounted = subprocess.run(
        [MOUNT, "-t", "tmpfs", "-o", f"size={SIZE},mode=0700", "tmpfs", directory], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("only root may mount a small disk")

    def fill(free=0):
        data = b"x" * 4096
        with (directory / "filler").open("ab", buffering=0) as file:
            try:
                while file.write(data) == len(data):
                    pass
            except OSError:
                pass
        left = (directory / "filler").stat().st_size - free
        os.truncate(directory / "filler", max(0, left))

    try:
        yield fill
    finally:
        subprocess.run([UNMOUNT, "--lazy", directory], check=True)


def command(project, *words):
    """Run a command of the project's as a user does; return its exit code and what it said."""
    code = (
        "import sys, tasks; from invoke.exceptions import Exit\n"
        f"try: tasks.call({', '.join(map(repr, words[:2]))}, **dict({', '.join(words[2:])}))\n"
        "except Exit as end: print(end.message, file=sys.stderr); sys.exit(end.code)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=project, capture_output=True, text=True, timeout=120, check=False
    )
    return ended.returncode, ended.stderr


def story(lab):
    consumer = lab.start_consumer()
    lab.wait_for(has_started(consumer), deadline=20, what="a consumer to be ready")
    lab.produce()
    lab.settle(deadline=2)


def test_a_run_is_not_judged_by_a_history_that_the_endpoint_could_not_write_and_down_works(project, monkeypatch):
    with small_disk(project / ".queue-fundamentals") as fill:
        with open_workspace("dev", overrides={"scenarios": ["happy"]}) as workspace:
            workspace.up()
        stack = find_stack("dev")
        fill()
        monkeypatch.setattr(plan, "find_scenario", lambda _: replace(find_scenario("happy"), run=story))
        with pytest.raises(LabError) as refused:
            run_scenario(RunRequest("happy", seed=3, stack="dev"))
        assert f"The endpoint no longer records its history {stack.endpoint_history}: No space left on" in str(
            refused.value
        )
        assert str(refused.value).endswith("Make room, take the stack down and up again, and repeat the run.")
        (directory,) = (path for path in (project / "runs").iterdir() if path.is_dir())
        assert not (directory / "verdict.json").exists()
        # Each message was accepted and done nevertheless: no history is worth a message.
        done = sum(
            "PerformSideEffect" in path.read_text() for path in (directory / "processes").glob("consumer-*.jsonl")
        )
        assert done

        assert down(stack="dev", yes=True) == 0
        assert not (project / ".queue-fundamentals" / "dev").exists()
        assert processes_of(project) == []


@pytest.mark.parametrize("free", [0, 40_000], ids=["from the start", "in the middle of the run"])
def test_a_run_whose_own_files_find_no_room_is_one_sentence_and_leaves_nothing_behind(project, free):
    with small_disk(project / "runs") as fill:
        fill(free)
        code, said = command(
            project, "scenarios.commands.scenario", "scenario", "name='happy'", "count='200'", "seed='1'"
        )
        assert code == MachineError.exit_code, said
        sentences = [line for line in said.splitlines() if "error: " in line]
        assert len(sentences) == 1, said
        assert re.search("No space left on device", sentences[0])
        assert "Traceback" not in said
        assert processes_of(project) == []
        assert not list((project / ".queue-fundamentals").glob("tmp-*"))


def test_an_up_that_finds_no_room_is_one_sentence_and_leaves_no_endpoint(project):
    with small_disk(project / ".queue-fundamentals") as fill:
        fill()
        code, said = command(project, "infra.commands.stacks", "up", "stack='dev'")
        assert code in (2, MachineError.exit_code), said
        assert "No space left on device" in said
        assert "Traceback" not in said
        assert processes_of(project) == []
