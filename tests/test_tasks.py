"""The tasks hand their arguments on as they are: a checkout's path may hold spaces."""

import shlex
import sys
from types import SimpleNamespace

import pytest
from invoke.exceptions import Exit

import tasks

SPACED = "a path with spaces/and 'quotes' & more"


class Ran:
    """A context that notes the command lines instead of running them."""

    def __init__(self, exited=0):
        self.commands = []
        self._exited = exited

    def run(self, command, **_options):
        self.commands.append(command)
        return SimpleNamespace(exited=self._exited, stdout="")


def test_a_path_with_spaces_stays_one_argument(monkeypatch):
    monkeypatch.setattr(sys, "executable", SPACED)
    ran = Ran()
    tasks._python(ran, "pytest", SPACED, "-k", "one or another")
    (command,) = ran.commands
    assert shlex.split(command) == [SPACED, "-m", "pytest", SPACED, "-k", "one or another"]


@pytest.mark.parametrize("task", [tasks.test, tasks.lint, tasks.types, tasks.imports], ids=lambda task: task.name)
def test_every_check_starts_what_lies_beside_this_interpreter(monkeypatch, task):
    monkeypatch.setattr(sys, "executable", SPACED)
    ran = Ran()
    task.body(ran)
    assert ran.commands
    assert all(shlex.split(command)[0].startswith("a path with spaces/") for command in ran.commands)


def test_a_check_that_fails_ends_with_its_exit_code():
    with pytest.raises(Exit) as ended:
        tasks._python(Ran(exited=5), "pytest")
    assert ended.value.code == 5
