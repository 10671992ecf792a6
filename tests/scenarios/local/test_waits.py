"""The machine's own word on who waited for a processor."""

import pytest

from scenarios.local.waits import WaitWatch, has_free_processors
from services.common.waits import longest_wait, waits_of
from services.history import Recorder


def processes(root, waits):
    """Write what /proc says of processes: their threads, the nanoseconds that each waited, and their children."""
    for pid, threads in waits.items():
        for thread, (nanoseconds, children) in threads.items():
            task = root / str(pid) / "task" / str(thread)
            task.mkdir(parents=True, exist_ok=True)
            (task / "schedstat").write_text(f"17 {nanoseconds} 3\n")
            (task / "children").write_text(children)


def test_what_a_process_has_started_waits_with_it(tmp_path):
    processes(tmp_path, {7: {7: (1_000_000_000, "8 "), 70: (500, "")}, 8: {8: (2_500_000_000, "")}})
    assert waits_of(7, tmp_path) == {7: 1.0, 70: 5e-7, 8: 2.5}
    assert waits_of(9, tmp_path) == {}


def test_a_process_alone_waits_without_what_it_has_started(tmp_path):
    processes(tmp_path, {7: {7: (1_000_000_000, "8 "), 70: (500, "")}, 8: {8: (2_500_000_000, "")}})
    assert waits_of(7, tmp_path, alone=True) == {7: 1.0, 70: 5e-7}


def test_the_thread_that_waited_most_counts_and_one_that_is_new_counts_from_its_start():
    assert longest_wait({1: 1.0, 2: 5.0}, {1: 3.0, 2: 5.5}) == 2.0
    assert longest_wait({1: 1.0}, {1: 1.5, 2: 0.7}) == 0.7
    assert longest_wait({1: 1.0}, {}) == 0.0


def test_a_watch_notes_who_waited_for_a_tenth_of_the_time_in_the_seconds_of_the_lab():
    waits = {"consumer-1": {7: 0.0}, "sqs": {8: 0.0}}
    records = []
    watch = WaitWatch(Recorder(records.append, "lab", lambda: 0.0))

    def waits_now():
        return {name: dict(each) for name, each in waits.items()}

    watch.look(waits_now, 100.0, 2.0)
    waits["consumer-1"][7], waits["sqs"][8] = 0.2, 0.09
    watch.look(waits_now, 100.2, 2.0)  # too soon
    watch.look(waits_now, 101.0, 2.0)
    told = [{name: record[name] for name in ("event", "waiter", "seconds", "within")} for record in records]
    assert told == [{"event": "waited", "waiter": "consumer-1", "seconds": 0.4, "within": 2.0}]


# --- processors to spare -----------------------------------------------------------------------------------------


class Machine:
    """A machine's clocks and load: while a process computes for a second, so many seconds pass."""

    def __init__(self, load, seconds):
        self.load, self.seconds, self.computed = load, seconds, 0.0

    def thread_time(self):
        self.computed += 0.001
        return self.computed

    def monotonic(self):
        return self.computed * self.seconds

    def getloadavg(self):
        return self.load, 0.0, 0.0

    def cpu_count(self):
        return 2


@pytest.mark.parametrize(
    ("load", "seconds", "free"), [(0.3, 1.0, True), (2.0, 1.05, True), (2.1, 1.0, False), (0.3, 1.2, False)]
)
def test_a_machine_has_processors_to_spare_where_it_was_idle_and_one_who_computes_does_not_wait(
    monkeypatch, load, seconds, free
):
    machine = Machine(load, seconds)
    monkeypatch.setattr("scenarios.local.waits.os", machine)
    monkeypatch.setattr("scenarios.local.waits.time", machine)
    assert has_free_processors() is free
