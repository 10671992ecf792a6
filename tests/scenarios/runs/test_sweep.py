"""A sweep: each request of a program, struck by each fault."""

from pathlib import Path

import pytest

from scenarios.checks.effects import SqlEffect
from scenarios.checks.external_program import OtherRequest
from scenarios.checks.functions import Handler
from scenarios.checks.program_config import ProgramConfig
from scenarios.commands import sweep as command
from scenarios.errors import RequestError
from scenarios.runs.sweep import (
    HANDLER_KINDS,
    KINDS,
    SWEPT,
    Entry,
    Point,
    Sweep,
    SweepRequest,
    _runs_of,
    points_of,
    sweep,
)
from tests.consumers.small import LANGUAGES
from tests.scenarios.recorded import Told

PLAIN = Path(__file__).resolve().parents[2] / "consumers" / "plain"
WRITE = (("action", "UpdateItem"), ("resource", "status-table"), ("service", "dynamodb"))


class Silent:
    """Watches nothing."""

    def stage(self, text):
        pass

    def begins(self, points, runs):
        pass

    def ended(self, entry):
        pass


def test_the_points_are_the_programs_requests_in_order_each_with_its_number():
    told = Told()
    told.send("a", "b")
    told.do(SWEPT, "Receive", [], max_messages=1, wait_seconds=1)
    for identity in ("a", "b"):
        told.receive(SWEPT, identity)
        told.do(SWEPT, OtherRequest.__name__, None, **dict(WRITE))
        told.delete(SWEPT, identity)
    told.receive("rescuer", "b", count=2)
    points = points_of(told.history)
    assert [point.name for point in points] == [
        "Receive#1",
        "dynamodb.UpdateItem(status-table)#1",
        "Delete#1",
        "Receive#2",
        "dynamodb.UpdateItem(status-table)#2",
        "Delete#2",
    ]
    fault = points[4].fault("late-reply", 2)
    assert (fault.kind, fault.point, fault.nth, dict(fault.where)) == ("delay", "during", 2, dict(WRITE))
    assert fault.seconds > 2
    lasting = {"partition", "throttling", "brown-out", "expired-credentials"}
    assert {points[0].fault(kind, 2).kind for kind in KINDS} == {"crash", "reply-lost", "error", "delay", *lasting}
    # A partition keeps the program from what it asks at that moment; its credentials are the same everywhere.
    reach = {kind: [points[at].fault(kind, 2).reach for at in (0, 1)] for kind in sorted(lasting)}
    assert reach == {
        "brown-out": ["queue", "store"],
        "expired-credentials": ["", ""],
        "partition": ["queue", "store"],
        "throttling": ["queue", "store"],
    }


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({}, "error: Which program? Give --consumer, such as"),
        ({"consumer": "my.module:Class"}, "error: sweep takes a program, such as"),
        ({"consumer": "no-such-program x"}, "error: --consumer is neither module:Class nor a program"),
        (
            {"consumer": "true", "faults": "kill-before,flood"},
            "error: --faults knows no 'flood'; it takes kill-before,",
        ),
        ({"consumer": "true", "count": "0"}, "error: --count must be a whole number, from 1 to 50, and is 0."),
    ],
)
def test_what_cannot_be_swept_is_one_sentence(project, capsys, options, sentence):
    assert command.sweep(**options) != 0
    assert capsys.readouterr().err.splitlines()[-1].startswith(sentence)
    assert not (project / "runs").exists()


def test_no_verdict_is_worse_than_a_pass(tmp_path):
    entry = Entry(Point("Delete", (), 1), "kill-before", None, "It broke.")
    assert Sweep(SweepRequest("x"), [entry], tmp_path, 1.0).exit_code == 2
    assert Sweep(SweepRequest("x"), [entry], tmp_path, 1.0).as_json()["runs"][0]["error"] == "It broke."


def test_one_run_of_a_sweep_is_repeated_by_its_own_command():
    request = SweepRequest("node my.js", seed=7, kinds=("kill-after", "reply-lost"))
    assert request.command("Delete#1", "kill-after") == (
        "invoke sweep --consumer 'node my.js' --seed 7 --count 2 --faults kill-after --only 'Delete#1'"
    )


def test_a_side_effect_that_is_only_watched_is_struck_by_what_can_be_carried_out_there():
    points = [Point("Delete", (), 1), Point("PerformSideEffect", (), 1)]
    rows = ProgramConfig(effect=SqlEffect("sqlite:///{run}/payments.db", "payments", "order_id"))
    of_rows = _runs_of(points, SweepRequest("x", program=rows))
    assert [kind for point, kind in of_rows if point.operation == "Delete"] == list(KINDS)
    struck = [kind for point, kind in of_rows if point.operation == "PerformSideEffect"]
    assert struck == ["kill-before", "kill-after", "expired-credentials"]
    assert len(_runs_of(points, SweepRequest("x"))) == 2 * len(KINDS)


HANDLER = Handler("handler.mark_first", code=PLAIN, settings={"report_batch_item_failures": True})


def test_of_a_handler_the_invocations_are_struck_and_of_its_mapping_the_deletes():
    kinds = {name: tuple(Point(name, (), 1).kinds(handler=True)) for name in ("InvokeFunction", "Delete", "Receive")}
    assert kinds == {
        "InvokeFunction": ("kill-before", "kill-after", "reply-lost", "throttled", "timed-out", "cold-start"),
        "Delete": ("throttled",),
        "Receive": (),
    }
    assert tuple(Point("PerformSideEffect", (), 1).kinds(handler=True)) == tuple(KINDS)
    fault = Point("InvokeFunction", (), 2).fault("throttled", 2.0, handler=True)
    assert (fault.kind, fault.nth, fault.seconds) == ("throttle", 2, 0.5)
    assert Point("Delete", (), 1).fault("throttled", 2.0, handler=True).kind == "error"


def test_the_command_of_a_sweep_names_the_handler():
    command = SweepRequest("", kinds=HANDLER_KINDS, seed=7, handler=HANDLER).command()
    assert command.endswith(
        f"sweep --handler handler.mark_first --code {PLAIN} --report-batch-item-failures --seed 7 --count 2"
    )


@pytest.mark.processes
@pytest.mark.thorough
def test_a_sweep_of_a_handler_finds_that_marking_first_loses_a_message(project):
    kinds = ("kill-before", "kill-after", "timed-out")
    found = sweep(SweepRequest("", kinds=kinds, count=1, seed=1, jobs=2, handler=HANDLER), Silent())
    failed = {(entry.point.name, entry.kind) for entry in found.entries if entry.outcome == "fail"}
    assert ("dynamodb.UpdateItem(status-table)#2", "kill-after") in failed
    assert not any(entry.outcome == "none" for entry in found.entries)
    assert all("lost" in entry.as_json()["violated"] for entry in found.entries if entry.outcome == "fail")


@pytest.mark.processes
@pytest.mark.thorough
def test_a_sweep_finds_that_marking_first_loses_a_message_and_acquits_the_careful(project, small_consumer, capsys):
    one = {"faults": "kill-before,reply-lost", "only": "PerformSideEffect", "count": 1, "seed": 3}
    assert command.sweep(consumer=small_consumer("python", "--mark-first"), **one) == 1
    said = capsys.readouterr().out
    assert "first violation: kill-before at PerformSideEffect#1: Violated: lost (1)" in said
    assert command.sweep(consumer=small_consumer("python", "--careful"), **one) == 0
    assert "PASS  3 runs: 3 pass, 0 fail, 0 show nothing" in capsys.readouterr().out
    lasting = {**one, "faults": "partition,throttling,brown-out,expired-credentials"}
    assert command.sweep(consumer=small_consumer("python", "--careful"), **lasting) == 0
    assert "PASS  5 runs: 5 pass, 0 fail, 0 show nothing" in capsys.readouterr().out
    assert command.sweep(consumer=small_consumer("python", "--mark-first"), **lasting) == 1
    assert "first violation: partition at PerformSideEffect#1: Violated: " in capsys.readouterr().out


@pytest.mark.processes
@pytest.mark.thorough
def test_a_program_that_fails_without_any_fault_is_not_swept(project, small_consumer):
    request = SweepRequest(small_consumer("python", "--delete-first"), seed=3, count=1, kinds=("kill-before",))
    found = sweep(request, Silent())
    assert [entry.outcome for entry in found.entries] == ["fail"]
    assert found.first_violation.point is None
    assert found.exit_code == 1


@pytest.mark.processes
@pytest.mark.thorough
def test_a_request_that_the_program_does_not_make_is_named(project, small_consumer):
    request = SweepRequest(small_consumer("python", "--naive"), seed=3, count=1, only="S3")
    with pytest.raises(RequestError, match="makes no request whose name holds 'S3'"):
        sweep(request, Silent())


@pytest.mark.thorough
@pytest.mark.processes
@pytest.mark.thorough
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_careful_program_is_acquitted_by_a_whole_sweep(project, small_consumer, language):
    found = sweep(SweepRequest(small_consumer(language, "--careful"), seed=3, count=1), Silent())
    assert [entry.as_json() for entry in found.entries if entry.outcome != "pass"] == []
