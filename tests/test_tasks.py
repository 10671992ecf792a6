"""The tasks hand their arguments on as they are: a checkout's path may hold spaces."""

import shlex
import sys
from types import SimpleNamespace

import pytest
from invoke.exceptions import Exit
from invoke.tasks import Task

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


def test_a_task_hands_on_its_options_by_the_names_of_its_command(monkeypatch):
    calls = []
    monkeypatch.setattr(tasks, "call", lambda *where, **options: calls.append((where, options)))
    tasks.explore.body(None, name="crash", set=["work=1", "count=2"])
    tasks.report.body(None, run="runs/latest")
    (explore, explored), (report, reported) = calls
    assert explore == ("scenarios.commands.explore", "explore")
    assert explored["settings"] == ("work=1", "count=2")
    assert (explored["name"], explored["json"], explored["mutant"]) == ("crash", False, "")
    assert (report, reported) == (("scenarios.commands.listings", "report"), {"run": "runs/latest", "browse": False})


@pytest.mark.parametrize("task", [value for value in vars(tasks).values() if isinstance(value, Task)], ids=str)
def test_every_flag_is_a_word(task):
    assert all(len(flag) > 1 and flag[0].isalnum() for option in task.get_arguments() for flag in option.names)
