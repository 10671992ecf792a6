import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

DEADLINE = 20


def is_running(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


@pytest.mark.processes
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="only Linux's setpriv ties a process to its parent")
def test_a_killed_lab_leaves_no_process_behind(tmp_path):
    lab = textwrap.dedent(
        """
        import os, sys, time
        from pathlib import Path
        from scenarios.local.processes import Command, Processes
        processes = Processes()
        sleeper = [sys.executable, "-uc", "import time; print('awake'); time.sleep(600)"]
        processes.start(Command("sleeper", sleeper, os.environ, Path("."), Path("log")))
        print(processes._running["sleeper"].pid, flush=True)
        time.sleep(600)
        """
    )
    with subprocess.Popen([sys.executable, "-c", lab], cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
        child = int(process.stdout.readline())
        deadline = time.monotonic() + DEADLINE
        while "awake" not in (tmp_path / "log").read_text() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert is_running(child)
        os.kill(process.pid, signal.SIGKILL)
        deadline = time.monotonic() + DEADLINE
        while is_running(child) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not is_running(child)
