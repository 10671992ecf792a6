"""A program's clock is the simulation's, in each language whose runtime is here."""

import shutil
import subprocess
import sys
import time

import pytest

from scenarios.lockstep.clock import ProgramClock, why_not
from scenarios.lockstep.threads import Threads, Wait, end_wait

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(bool(why_not()), reason="a program's clock cannot be set here"),
]

_TELLS = {
    "python": [
        sys.executable,
        "-c",
        "import sys, time\nfor _ in sys.stdin: print(time.time(), time.monotonic(), flush=True)",
    ],
    "node": [
        "node",
        "-e",
        "process.stdin.on('data', () => console.log(Date.now() / 1000, performance.now() / 1000))",
    ],
}


@pytest.fixture
def started():
    running = []

    def start(arguments):
        if shutil.which(arguments[0]) is None:
            pytest.skip(f"{arguments[0]} is not installed")
        running.append(subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
        return running[-1]

    yield start
    for process in running:
        process.kill()
        process.communicate()


def _told(process):
    process.stdin.write("\n")
    process.stdin.flush()
    return [float(word) for word in process.stdout.readline().split()]


@pytest.mark.parametrize("language", _TELLS)
def test_a_program_reads_the_time_that_it_is_given(started, language):
    process = started(_TELLS[language])
    before = _told(process)
    _until_at_rest(process.pid)
    clock = ProgramClock(process.pid)
    readings = []
    for elapsed in (0.0, 1.5, 1.5, 3600.0):
        clock.set(elapsed, 1_700_000_000 + elapsed)
        readings.append(_told(process))
    clock.close()
    walls = [wall for wall, _ in readings]
    assert walls == [1_700_000_000, 1_700_000_001.5, 1_700_000_001.5, 1_700_003_600]
    first = readings[0][1]
    assert [round(own - first, 6) for _, own in readings] == [0, 1.5, 1.5, 3600]
    assert first > before[1], "a monotonic clock never runs backwards"


def _until_at_rest(pid):
    threads = Threads(pid)
    end = time.monotonic() + 20
    while (look := threads.look()) is None and time.monotonic() < end:
        time.sleep(0.001)
    threads.close()
    return look


def test_a_thread_that_computes_is_not_at_rest_and_one_that_waits_is(started):
    busy = started([sys.executable, "-c", "print(flush=True)\nwhile True: pass"])
    idle = started([sys.executable, "-c", "print(flush=True)\ninput()"])
    for process in (busy, idle):
        process.stdout.readline()
    assert _until_at_rest(idle.pid)
    threads = Threads(busy.pid)
    assert not any(threads.look() for _ in range(50))
    threads.close()


_SLEEPS = {
    "sleep": "time.sleep(1000)",
    "event": "threading.Event().wait(1000)",
    "select": "select.select([0], [], [], 1000)",
    "poll": "p = select.poll(); p.register(0, select.POLLIN); p.poll(1000_000)",
    "epoll": "e = select.epoll(); e.register(0, select.EPOLLIN); e.poll(1000)",
}


@pytest.mark.parametrize("kind", _SLEEPS)
def test_a_wait_for_a_time_is_seen_and_can_be_ended(started, kind):
    program = f"import select, threading, time\nprint(flush=True)\ninput()\n{_SLEEPS[kind]}\nprint('over', flush=True)"
    process = started([sys.executable, "-c", program])
    process.stdout.readline()
    _until_at_rest(process.pid)
    clock = ProgramClock(process.pid)
    process.stdin.write("\n")
    process.stdin.flush()
    threads = Threads(process.pid)
    end = time.monotonic() + 20
    waits = {}
    while not waits and time.monotonic() < end:
        look = threads.look()
        waits = threads.waits(look, clock) if look else {}
    assert [round(wait.due - clock.began, 3) for wait in waits.values()] == [1000]
    for tid, wait in waits.items():
        assert end_wait(tid, wait)
    assert process.stdout.readline() == "over\n"
    threads.close()
    clock.close()


def test_a_thread_that_has_gone_has_no_wait_to_end(started):
    process = started([sys.executable, "-c", "pass"])
    process.wait()
    assert not end_wait(process.pid, Wait(230, 0.0))
    assert process.returncode == 0
