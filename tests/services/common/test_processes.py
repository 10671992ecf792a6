import os
import subprocess
import sys
import time

import pytest

from services.common.processes import is_running

pytestmark = pytest.mark.processes


def test_a_process_runs_until_it_has_ended_also_before_it_is_reaped():
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        assert is_running(process.pid)
        process.stdin.close()
        deadline = time.monotonic() + 20
        while is_running(process.pid):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert process.returncode is None
        os.kill(process.pid, 0)  # it waits to be reaped
    assert not is_running(process.pid)


def test_no_process_has_a_number_beyond_the_systems_range():
    assert not is_running(10**30)
