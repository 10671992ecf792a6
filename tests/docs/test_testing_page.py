"""Each block of docs/testing.md is a test file that passes; with a broken consumer, or another policy, it fails."""

import os
import subprocess
import sys

import pytest

from tests.docs.pages import CHECKOUT
from tests.speeds import first_then_thorough

pytestmark = pytest.mark.processes

BLOCKS = [
    block.partition("```")[0] for block in (CHECKOUT / "docs" / "testing.md").read_text().split("```python\n")[1:]
]


def run(path, code):
    """Run a test file by itself; return pytest's exit code and what it prints."""
    path.write_text(code)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n0", "--rootdir", path.parent, path]
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    done = subprocess.run(command, cwd=path.parent, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_a_block_passes(tmp_path, number):
    code, said = run(tmp_path / "test_block.py", BLOCKS[number])
    assert code == 0, said


@pytest.mark.parametrize(
    ("number", "right", "wrong", "says"),
    first_then_thorough(
        1,
        [
            (
                0,
                "class Careful(Consumer):",
                "from scenarios.mutants.consumers import DeletesOnReceive as Careful\nclass X:",
                "lost",
            ),
            (
                1,
                "class Careful(Consumer):",
                "from scenarios.mutants.consumers import NeverLooksUp as Careful\nclass X:",
                "done more than once|duplicated-side-effect",
            ),
            (2, "max_receive_count=3", "max_receive_count=4", "AssertionError"),
            (
                3,
                "yield Transact((row,), PerformSideEffect(key, message.message_id))",
                "yield PerformSideEffect(key, message.message_id)",
                "done more than once|duplicated-side-effect",
            ),
        ],
    ),
)
def test_it_fails_for_what_is_broken(tmp_path, number, right, wrong, says):
    block = BLOCKS[number]
    assert right in block
    more = block.replace("max_examples=20", "max_examples=300").replace("max_examples=15", "max_examples=300")
    # One failure is enough: to shrink it takes ten times as long, and other tests look at that.
    options = "deadline=None, derandomize=True, database=None, phases=[__import__('hypothesis').Phase.generate]"
    settled = more.replace("deadline=None", options)
    code, said = run(tmp_path / "test_block.py", settled.replace(right, wrong, 1))
    assert code == 1
    assert any(word in said for word in says.split("|")), said
