"""A command on a machine at its end: one sentence and exit code 3, which is no verdict."""

import errno
import subprocess
import sys
from pathlib import Path

import pytest
from invoke.exceptions import Exit

import tasks

CHECKOUT = Path(tasks.__file__).parent
DEADLINE = 60


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "history.jsonl"), "make room on the disk"),
        (OSError(errno.EMFILE, "Too many open files"), "ulimit -n"),
        (MemoryError(), "memory"),
    ],
)
def test_what_a_machine_lacks_is_one_sentence_and_exit_3(monkeypatch, error, words):
    def fail():
        raise error

    monkeypatch.setattr("scenarios.commands.listings.runs", fail)
    with pytest.raises(Exit, match=words) as caught:
        tasks.call("scenarios.commands.listings", "runs")
    assert caught.value.code == 3


def test_a_bug_of_a_command_keeps_its_traceback(monkeypatch):
    def fail():
        raise KeyError("a bug")

    monkeypatch.setattr("scenarios.commands.listings.runs", fail)
    with pytest.raises(KeyError):
        tasks.call("scenarios.commands.listings", "runs")


def ended(redirected, directory):
    """Run a command through a shell; return its exit code and what it said on standard error."""
    invoke = f"{Path(sys.executable).with_name('invoke')} --search-root {CHECKOUT} scenarios"
    ran = subprocess.run(
        ["/bin/sh", "-c", redirected.replace("COMMAND", f"({invoke}; echo $? > {directory}/code)")],
        cwd=CHECKOUT, stderr=subprocess.PIPE, text=True, timeout=DEADLINE, check=False,
    )  # fmt: skip
    return (directory / "code").read_text().strip(), ran.stderr


@pytest.mark.processes
@pytest.mark.parametrize(
    ("redirected", "words"),
    [
        ("COMMAND | exec true", "keep its output open"),
        ("COMMAND > /dev/full", "make room on the disk"),
        ("COMMAND >&-", "The standard output is closed"),
    ],
)
def test_a_list_that_cannot_be_written_is_one_sentence_and_exit_3(tmp_path, redirected, words):
    code, err = ended(redirected, tmp_path)
    assert code == "3", err
    assert words in err
    assert "Traceback" not in err
