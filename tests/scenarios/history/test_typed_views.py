"""What all records have is read as JSON in one place: the history. Everything above it reads typed views."""

import re
from pathlib import Path

import pytest

import scenarios
from scenarios.history import Event, History, pointer_of

HEADER = re.compile(r"""(?:\[|\.get\()"(?:time|process|index|type|invocation|fault)"[\],)]""")
#: They read each record of every history of a campaign, where a view for each would take too long.
DIGESTS = {"bounded.py", "state_coverage.py"}
ROOMS = ("catalog", "checks", "report", "runs", "exploration", "commands", "mutants")


@pytest.mark.parametrize("room", ROOMS)
def test_no_room_above_the_history_reads_the_header_of_a_record_by_name(room):
    found = [
        f"{path.name}: {line.strip()}"
        for path in (Path(scenarios.__file__).parent / room).rglob("*.py")
        if path.name not in DIGESTS
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.search(r"(record|event|outcome|invoke|strike\.record)" + HEADER.pattern, line)
    ]
    assert found == []


def test_an_event_has_its_header_by_attribute_and_its_details_by_name():
    record = {"time": 3, "process": "lab", "index": 1, "type": "event", "event": "scaled", "consumers": 2}
    [event] = History([record]).events("scaled")
    assert isinstance(event, Event)
    assert (event.time, event.process, event.name, event["consumers"]) == (3.0, "lab", "scaled", 2)
    assert event == record  # evidence holds it as JSON has it
    assert pointer_of(event) == ("lab", 1)


def test_calls_come_in_the_order_in_which_they_were_begun_and_know_their_error():
    def begin(time, index, operation):
        return {
            "time": time, "process": "p", "index": index, "type": "invoke", "operation": operation, "arguments": {}
        }  # fmt: skip

    failed = {
        "time": 4.0, "process": "p", "index": 3, "type": "fail", "invocation": 1, "operation": "Claim",
        "error": "Throttled", "message": "", "transient": True,
    }  # fmt: skip
    history = History([failed, begin(2.0, 1, "Claim"), begin(1.0, 0, "Receive"), begin(3.0, 2, "Claim")])
    assert [call.pointer for call in history.all_calls] == [("p", 0), ("p", 1), ("p", 2)]
    assert [(call.error, call.may_be_done) for call in history.calls("Claim")] == [("Throttled", True), ("", False)]
    assert (history.began, history.ended) == (1.0, 4.0)
