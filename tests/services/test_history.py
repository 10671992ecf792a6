"""The recorder: what it writes, and what it notices of the clock."""

import json
import os
from contextlib import suppress
from pathlib import Path

import pytest

from services import operations as op
from services.history import CLOCK_STEP, Recorder, append_to
from services.records import Event, Fail, FaultRecord, Invoke, Ok, typed


class Clocks:
    def __init__(self):
        self.monotonic = 5.0
        self.offset = 1000.0
        self.stands_still = 0.0

    def read(self):
        return self.monotonic

    def read_wall(self):
        self.monotonic += self.stands_still
        return self.monotonic + self.offset


@pytest.fixture
def recorded():
    clocks, records = Clocks(), []
    recorder = Recorder(records.append, "me", clocks.read, wall_clock=clocks.read_wall)
    return recorder, clocks, records


def offsets(records):
    return [record["wall_minus_monotonic"] for record in records if record.get("event") == "clock"]


def test_the_first_record_is_of_the_clock(recorded):
    recorder, _, records = recorded
    recorder.event("started")
    assert [(record["index"], record["event"]) for record in records] == [(0, "clock"), (1, "started")]
    assert offsets(records) == [1000.0]


@pytest.mark.parametrize("step", [-60.0, -1.0, 1.0, 60.0, 2 * CLOCK_STEP])
def test_a_step_of_the_wall_clock_is_recorded_once(recorded, step):
    recorder, clocks, records = recorded
    recorder.event("started")
    clocks.offset += step
    invocation = recorder.invoke(op.CheckTables())
    recorder.ok(invocation, op.CheckTables(), None)
    assert offsets(records) == [1000.0, pytest.approx(1000.0 + step)]
    assert records[-1]["invocation"] == records[-2]["index"] == invocation


def test_time_that_passes_and_drift_are_no_step(recorded):
    recorder, clocks, records = recorded
    for _ in range(10):
        clocks.monotonic += 100.0
        clocks.offset += CLOCK_STEP / 20
        recorder.event("alive")
    assert len(offsets(records)) == 1


def test_a_process_that_stands_still_between_two_readings_is_no_step(recorded):
    recorder, clocks, records = recorded
    recorder.event("started")
    clocks.stands_still = 3.0
    recorder.event("stopped")
    clocks.stands_still = 0.0
    recorder.event("goes on")
    assert offsets(records) == [1000.0]


def test_a_line_of_which_the_disk_takes_a_part_is_written_to_its_end(tmp_path, monkeypatch):
    real = os.write
    monkeypatch.setattr("os.write", lambda descriptor, data: real(descriptor, data[:7]))
    append_to(tmp_path / "h.jsonl")({"event": "x" * 100})
    assert json.loads((tmp_path / "h.jsonl").read_text()) == {"event": "x" * 100}


def test_a_file_is_closed_once_nobody_writes_into_it(tmp_path):
    sink = append_to(tmp_path / "h.jsonl")
    file = (tmp_path / "h.jsonl").stat()
    assert is_open(file)
    del sink
    assert not is_open(file)


def is_open(file):
    found = []
    for entry in list(Path("/dev/fd").iterdir()):
        with suppress(OSError):  # the listing's own
            found.append(os.fstat(int(entry.name)))
    return any(os.path.samestat(each, file) for each in found)


def test_a_history_is_its_owners_alone(tmp_path):
    append_to(tmp_path / "h.jsonl")({})
    assert (tmp_path / "h.jsonl").stat().st_mode & 0o777 == 0o600


def every_kind():
    records = []
    recorder = Recorder(records.append, "me", lambda: 1.5, "q")
    claim = op.Claim("k", "me", 2.0)
    first = recorder.invoke(claim)
    recorder.fault(first, claim, {"kind": "delay", "seconds": 1.0})
    recorder.ok(first, claim, op.Claimed(1))
    second = recorder.invoke(claim)
    recorder.fail(second, claim, op.OperationFailed("X", "why", transient=True))
    recorder.event("handled", key="k", outcome="done")
    return records


def test_what_the_recorder_writes_is_read_by_its_type():
    kinds = [Invoke, FaultRecord, Ok, Invoke, Fail, Event]
    read = [typed(json.loads(json.dumps(record))) for record in every_kind()]
    assert [type(record) for record in read] == kinds
    assert [record.as_record() for record in read] == every_kind()
    assert read[-1].details == {"key": "k", "outcome": "done"}


@pytest.mark.parametrize(
    "spoil",
    [
        {"type": "tale"},
        {"time": "noon"},
        {"index": 1.5},
        {"process": None},
        {"arguments": []},
        {"operation": 3},
    ],
    ids=lambda spoil: next(iter(spoil)),
)
def test_a_record_of_which_a_field_is_wrong_is_none(spoil):
    record = every_kind()[0]
    typed(record)
    with pytest.raises(ValueError, match=r"Invalid value|Expected"):
        typed({**record, **spoil})


@pytest.mark.parametrize("name", ["time", "process", "index", "type", "operation", "arguments"])
def test_a_record_without_one_of_its_fields_is_none(name):
    record = every_kind()[0]
    del record[name]
    with pytest.raises(ValueError, match="missing required field"):
        typed(record)
