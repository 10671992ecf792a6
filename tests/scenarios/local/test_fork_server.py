"""A service that is born in the fork server is a process like any other."""

import os
import signal
import subprocess
import sys
import time

import pytest

from scenarios.errors import ServiceFailedError
from scenarios.local.processes import Command, Processes
from scenarios.local.spawner import Spawner, fork_server

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(sys.platform != "linux", reason="there is a fork server on Linux alone"),
]

TELLS = """
import os, sys, signal
print(sys.argv[1:], os.environ.get("MARK"), os.getcwd(), sorted(os.environ)[:1], __name__, os.getsid(0) == os.getpid())
print("to the error stream", file=sys.stderr)
sys.exit(int(sys.argv[1]))
"""
WAITS = "import time\nprint('here', flush=True)\ntime.sleep(60)\n"
STARTS_ANOTHER = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
print(child.pid, flush=True)
child.wait()
"""


@pytest.fixture(scope="module")
def spawner():
    with fork_server("a test's") as made:
        yield made


def command(directory, module, *arguments, **environment):
    environment = {"PYTHONPATH": str(directory), **environment}
    log = directory / f"{module}.log"
    return Command(module, [sys.executable, "-m", module, *arguments], environment, directory, log)


def run(spawner, given):
    """Start a process; return it once it has ended, with its exit code."""
    processes = Processes(spawner)
    processes.start(given)
    ((name, code),) = until(processes.ended)
    assert name == given.name
    return code


def until(condition):
    deadline = time.monotonic() + 30
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    return found


def said(log):
    """Return what a process has said so far; it makes its file itself, a moment after its birth."""
    return log.read_text() if log.exists() else ""


def gone(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:  # noqa: PTH123 - a file of the kernel's
            return file.read().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_a_profile_that_does_not_exist_does_not_stop_it(tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_PROFILE", "nope")
    with fork_server("a test's") as made:
        assert run(made, command(tmp_path, "tells", "0")) == 1  # there is no such module, and the server says so
        (tmp_path / "tells.py").write_text(TELLS)
        assert run(made, command(tmp_path, "tells", "0")) == 0


@pytest.mark.parametrize("code", [0, 3])
def test_it_has_its_arguments_environment_directory_log_and_exit_code(spawner, tmp_path, code):
    (tmp_path / "tells.py").write_text(TELLS)
    assert run(spawner, command(tmp_path, "tells", str(code), MARK="ours")) == code
    said = (tmp_path / "tells.log").read_text().splitlines()
    assert said == [
        f"['{code}'] ours {tmp_path} ['MARK'] __main__ True",
        "to the error stream",
    ]


def test_it_does_not_see_what_another_has_imported(spawner, tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "shared.py").write_text(f"WHO = {name!r}\n")
        (tmp_path / name / "asks.py").write_text("import shared\nprint(shared.WHO)\n")
        assert run(spawner, command(tmp_path / name, "asks")) == 0
        assert (tmp_path / name / "asks.log").read_text().strip() == name


def test_what_it_raises_is_in_its_log_and_its_exit_code_is_1(spawner, tmp_path):
    (tmp_path / "raises.py").write_text("raise KeyError('a bug of yours')\n")
    assert run(spawner, command(tmp_path, "raises")) == 1
    assert "KeyError: 'a bug of yours'" in (tmp_path / "raises.log").read_text()


def test_a_signal_ends_it_as_it_ends_any_process(spawner, tmp_path):
    (tmp_path / "waits.py").write_text(WAITS)
    processes = Processes(spawner)
    processes.start(command(tmp_path, "waits"))
    until(lambda: "here" in said(tmp_path / "waits.log"))
    processes.terminate(["waits"])
    assert until(processes.ended) == [("waits", -signal.SIGTERM)]


def test_to_kill_it_kills_what_it_has_started(spawner, tmp_path):
    (tmp_path / "starts.py").write_text(STARTS_ANOTHER)
    processes = Processes(spawner)
    processes.start(command(tmp_path, "starts"))
    other = int(until(lambda: said(tmp_path / "starts.log").strip()))
    processes.kill()
    assert processes.ended() == [("starts", -signal.SIGKILL)]
    until(lambda: gone(other))


@pytest.mark.parametrize("end", ["kill", "close"])
def test_one_that_has_no_session_of_its_own_yet_is_killed_like_any_other(tmp_path, end):
    slow = f"""
import os, pathlib, time
def setsid():
    pathlib.Path({str(tmp_path)!r}, "born").write_text(f"{{os.getpid()}}\\n")
    time.sleep(60)
os.setsid = setsid
"""
    (tmp_path / "sitecustomize.py").write_text(slow)
    spawner = Spawner({**os.environ, "PYTHONPATH": str(tmp_path)})
    try:
        processes = Processes(spawner)
        processes.start(command(tmp_path, "waits"))
        born = until(lambda: said(tmp_path / "born").endswith("\n") and int(said(tmp_path / "born")))
        if end == "kill":
            processes.kill()
    finally:
        spawner.close()
    until(lambda: gone(born))
    assert processes.ended() == [("waits", -signal.SIGKILL)]


def test_no_process_outlives_its_nursery(tmp_path):
    (tmp_path / "waits.py").write_text(WAITS)
    with fork_server("a test's") as spawner:
        processes = Processes(spawner)
        processes.start(command(tmp_path, "waits"))
        until(lambda: "here" in said(tmp_path / "waits.log"))
    assert processes.ended() == [("waits", -signal.SIGKILL)]


def test_no_process_outlives_a_lab_that_was_killed(tmp_path):
    (tmp_path / "waits.py").write_text("import os\nprint(os.getpid(), flush=True)\n" + WAITS)
    program = f"""
import sys, time
from pathlib import Path
from scenarios.local.spawner import Spawner, fork_server
from scenarios.local.processes import Command, Processes
here = Path({str(tmp_path)!r})
with fork_server("a test's") as spawner:
    Processes(spawner).start(
        Command("waits", [sys.executable, "-m", "waits"], {{"PYTHONPATH": str(here)}}, here, here / "waits.log")
    )
    time.sleep(60)
"""
    lab = subprocess.Popen([sys.executable, "-c", program])
    try:
        until(lambda: "here" in said(tmp_path / "waits.log"))
    finally:
        os.kill(lab.pid, signal.SIGKILL)
        lab.wait()
    born = int((tmp_path / "waits.log").read_text().split()[0])
    until(lambda: gone(born))


def test_a_nursery_that_has_ended_is_a_sentence(tmp_path):
    with fork_server("a test's") as spawner:
        pass
    with pytest.raises(ServiceFailedError, match="The process that starts the services has ended"):
        Processes(spawner).start(command(tmp_path, "waits"))
