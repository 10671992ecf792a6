"""Lambda handlers that know nothing of the lab, put through its scenarios on real processes."""

import shlex
from pathlib import Path

import pytest

from infra.stack.stacks import temporary_stack
from infra.topology import topology_of
from scenarios.catalog import all_scenarios
from scenarios.checks.functions import FunctionSettings, Handler, check_handler, split_faults
from scenarios.commands.options import chosen_handler
from scenarios.errors import LabError, RequestError, ServiceFailedError
from scenarios.history import History
from scenarios.history.mapping_events import MappingEvents
from scenarios.local.functions import access_key_of
from scenarios.local.observer import NoObserver
from scenarios.runs.plan import Place, RunRequest, plan_run
from scenarios.runs.run import RunEnvironment, run_on, run_scenario
from scenarios.verdict import Outcome
from services.faults import Fault
from tests.consumers.hasty import TRUE_BUGS
from tests.localaws.lambda_.functions import processes_with
from tests.scenarios.local.test_local_tier import processes_of

PLAIN = Path(__file__).resolve().parents[2] / "consumers" / "plain"
REPORTS = {"report_batch_item_failures": True}


def violated(result):
    return {name for name, found in result.verdict.violations.items() if found}


# --- on real processes -------------------------------------------------------------------------------------------


@pytest.mark.processes
def test_a_careful_handler_passes_and_one_that_answers_nothing_is_convicted(project):
    careful = Handler("handler.careful", code=PLAIN, settings=REPORTS)
    result = run_scenario(RunRequest("poison", seed=3, handler=careful))
    assert result.verdict.outcome is Outcome.PASS, result.verdict.reason
    silent = Handler("handler.answers_nothing", code=PLAIN, settings=REPORTS)
    result = run_scenario(RunRequest("poison", seed=3, handler=silent))
    assert result.verdict.outcome is Outcome.FAIL
    assert violated(result) == {"poison-acknowledged"}
    assert processes_of(project) == []


@pytest.mark.processes
@pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="only Linux tells who waited for a processor")
def test_what_a_function_waits_for_a_processor_is_told_as_its_own(project, tmp_path):
    (tmp_path / "app.py").write_text(CROWD)
    crowd = Handler("app.handler", code=tmp_path, settings=REPORTS)
    result = run_scenario(RunRequest("happy", seed=3, handler=crowd, count=1))
    waited = [event for event in result.history.events("waited") if event["waiter"].startswith("consumer-")]
    assert waited
    assert processes_of(project) == []


#: It starts more processes than there are processors, and so has to wait for one.
CROWD = """
import os, subprocess, sys
SPIN = "import time\\nuntil = time.monotonic() + 1\\nwhile time.monotonic() < until: pass"

def handler(event, context):
    works = [subprocess.Popen([sys.executable, "-S", "-c", SPIN]) for _ in range(3 * os.cpu_count())]
    for work in works:
        work.wait()
    return {"batchItemFailures": []}
"""


@pytest.mark.processes
def test_work_that_is_left_to_a_thread_is_frozen_with_its_environment_and_is_judged(project):
    leaves = Handler("background_handler.leaves", code=PLAIN, settings=REPORTS)
    result = run_scenario(RunRequest("lambda-timeout", seed=3, handler=leaves))
    assert violated(result) & {"lost", "deleted-before-done"}, result.verdict.reason
    assert result.verdict.evidence["frozen-with-work"] is not None
    assert processes_of(project) == []


@pytest.mark.processes
@pytest.mark.thorough
def test_a_handler_that_joins_its_thread_passes(project):
    joins = Handler("background_handler.joins", code=PLAIN, settings=REPORTS)
    result = run_scenario(RunRequest("lambda-timeout", seed=3, handler=joins))
    assert result.verdict.outcome is Outcome.PASS, result.verdict.reason
    assert result.verdict.evidence["frozen-with-work"] is None


@pytest.mark.processes
@pytest.mark.thorough
@pytest.mark.parametrize("name", [name for name, each in all_scenarios().items() if each.any_handler])
def test_a_careful_handler_passes_every_scenario_that_takes_one(project, name):
    # Where the mapping's settings are the pattern, the user has set them.
    function = all_scenarios()[name].function
    settings = {**REPORTS, **(function.pattern if function else {})}
    handler = Handler("handler.careful", code=PLAIN, settings=settings)
    result = run_scenario(RunRequest(name, seed=3, handler=handler))
    assert result.verdict.outcome is Outcome.PASS, result.verdict.reason
    assert processes_of(project) == []


@pytest.mark.processes
@pytest.mark.thorough
@pytest.mark.parametrize(("name", "handler", "promise"), TRUE_BUGS)
def test_each_scenario_convicts_a_handler_with_a_true_bug(project, name, handler, promise):
    result = run_scenario(RunRequest(name, seed=3, handler=Handler(handler, code=PLAIN, settings=REPORTS)))
    assert promise in violated(result), result.verdict.reason


@pytest.mark.processes
@pytest.mark.thorough
def test_a_handler_that_marks_first_and_dies_loses_messages(project):
    handler = Handler("handler.mark_first", code=PLAIN, settings=REPORTS)
    result = run_scenario(RunRequest("crash", seed=3, handler=handler))
    assert result.verdict.outcome is Outcome.FAIL
    assert "lost" in violated(result)


def bootstrap(directory):
    program = directory / "bootstrap"
    program.write_text("#!/bin/sh\nexec sleep 600\n")
    program.chmod(0o755)
    return Handler("./bootstrap", code=directory)


@pytest.mark.processes
def test_what_cannot_be_run_is_refused_by_a_sentence_and_leaves_nothing(project, tmp_path):
    (tmp_path / "app.py").write_text("import not_there\n")
    refused = [
        (bootstrap(tmp_path), ServiceFailedError, r"did not ask for its first event within 0\.3 s"),
        # AWS's own refusals, with its texts.
        *(
            (Handler("handler.careful", code=PLAIN, settings=settings), RequestError, text)
            for settings, text in (
                ({"function_timeout": 31}, "Queue visibility timeout: 10 seconds is less than Function timeout: 31"),
                ({"batch_size": 11}, "Maximum batch window in seconds must be greater than 0"),
                ({"maximum_concurrency": 1}, "Member must have value greater than or equal to 2"),
                ({"filters": ("{",)}, "Invalid filter pattern definition"),
            )
        ),
    ]
    with temporary_stack(["happy"]) as stack:
        for handler, error, text in refused:
            plan = plan_run(RunRequest("happy", seed=1, handler=handler, startup_timeout=0.3))
            with pytest.raises(error, match=text):
                run_on(RunEnvironment(stack, fresh=True), plan, NoObserver())
        broken = plan_run(RunRequest("happy", seed=1, handler=Handler("app.handler", code=tmp_path)))
        with pytest.raises(ServiceFailedError, match=r"cannot be started: .*No module named 'not_there'"):
            run_on(RunEnvironment(stack, fresh=True), broken, NoObserver())
    assert processes_of(project) == []


@pytest.mark.processes
@pytest.mark.thorough
def test_answers_that_are_too_large_and_children_that_stay_cost_only_their_own_messages(project, tmp_path):
    (tmp_path / "app.py").write_text(ODD)
    request = RunRequest("poison", seed=3, handler=Handler("app.handler", code=tmp_path, settings=REPORTS))
    result = run_scenario(request)
    assert result.verdict.outcome is Outcome.PASS, result.verdict.reason
    failed = [call.outcome["error"] for call in result.history.calls("InvokeFunction") if not call.result]
    assert failed
    assert set(failed) == {"too large"}
    assert processes_of(project) == []
    assert not processes_with("A_CHILD_THAT_STAYS=1")


#: Poison is answered by more than AWS takes, and each environment leaves a child behind in a session of its own.
ODD = """
import json, os, subprocess, urllib.request
subprocess.Popen(["sleep", "600"], env={**os.environ, "A_CHILD_THAT_STAYS": "1"}, start_new_session=True)
ask = urllib.request.build_opener(urllib.request.ProxyHandler({})).open

def handler(event, context):
    for record in event["Records"]:
        if os.environ["REJECT_PAYLOAD_MARKER"] in record["body"]:
            return "x" * (7 * 1024 * 1024)
        url = os.environ["SIDE_EFFECT_URL"] + json.loads(record["body"])["id"]
        if not json.load(ask(url))["executions"]:
            ask(urllib.request.Request(url, method="POST"))
"""


# --- what is asked for -------------------------------------------------------------------------------------------


def test_scenarios_of_the_receive_loop_take_no_handler():
    with pytest.raises(RequestError, match="graceful-shutdown takes no Lambda handler"):
        plan_run(RunRequest("graceful-shutdown", handler=Handler("handler.careful", code=PLAIN)))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"naive": True}, "--naive and --handler"),
        ({"consumer": "mine:Own"}, "--consumer and --handler"),
        ({"endpoint": "http://127.0.0.1:1"}, "--endpoint names another"),
    ],
)
def test_a_handler_excludes_another_consumer_and_another_endpoint(options, text):
    with pytest.raises(RequestError, match=text):
        plan_run(RunRequest("happy", handler=Handler("handler.careful", code=PLAIN), **options))


@pytest.mark.parametrize(
    ("handler", "text"),
    [
        (Handler("handler.careful", code=Path("/not/there")), "--code is the directory"),
        (Handler("./bootstrap", code=PLAIN), "is no file"),
        (Handler("handler", code=PLAIN), "--handler is module.function"),
    ],
)
def test_a_handler_that_is_not_there_is_refused(handler, text):
    with pytest.raises(RequestError, match=text):
        check_handler(handler)


def test_an_option_of_a_handler_without_a_handler_is_refused():
    assert chosen_handler(None, {"batch_window": ""}) is None
    with pytest.raises(RequestError, match="Give --handler"):
        chosen_handler(None, {"batch_window": "3"})
    with pytest.raises(RequestError, match="--runtime is one of"):
        chosen_handler("app.handler", {"runtime": "cobol"})


def test_the_reproduce_line_names_the_handler_with_all_its_options():
    filters = ('{"body": {"kind": ["order"]}}',)
    settings = {"batch_size": 20, "batch_window": 1, "report_batch_item_failures": True, "filters": filters}
    plan = plan_run(RunRequest("happy", seed=1, handler=Handler("handler.careful", "python", PLAIN, settings)))
    words = shlex.split(plan.command(1.0, Place()))
    assert words[words.index("--handler") :][:6] == [
        *("--handler", "handler.careful", "--runtime", "python", "--code", str(PLAIN)),
    ]
    assert words[words.index("--batch-size") :][:7] == [
        *("--batch-size", "20", "--batch-window", "1", "--report-batch-item-failures", "--filter", filters[0]),
    ]


def test_a_function_times_out_no_later_than_the_queue():
    assert FunctionSettings().timeout_at(30) == 3
    assert FunctionSettings().timeout_at(topology_of("poison").visibility_timeout) == 1
    assert FunctionSettings(function_timeout=9).timeout_at(1) == 9


# --- faults ------------------------------------------------------------------------------------------------------


def test_the_mappings_faults_are_told_from_the_handlers():
    own = Fault("crash", "PerformSideEffect", "after")
    of_mapping, of_handler = split_faults(
        [
            Fault("crash", "Receive", "after"),
            own,
            Fault("crash", "Delete", "before", nth=2),
            Fault("partial-failure", "Delete", nth=3, entries=(0, 2)),
            Fault("throttle", "InvokeFunction", seconds=2),
        ]
    )
    assert of_handler == [own]
    assert [(fault["kind"], fault["at"]) for fault in of_mapping] == [
        *(("crash-before", 1), ("crash-after", 2), ("delete-failed", 3), ("throttle", 1)),
    ]
    with pytest.raises(LabError, match="cannot be staged"):
        split_faults([Fault("delay", "Receive", seconds=1)])


def test_a_requests_signature_tells_its_environment():
    signed = {"authorization": "AWS4-HMAC-SHA256 Credential=ASIA0000/20260101/us-west-1/sqs/aws4_request, ..."}
    assert access_key_of(signed) == "ASIA0000"
    assert access_key_of({}) is None


# --- the endpoint's events as a consumer's records ---------------------------------------------------------------


def event(name, **fields):
    return {"time": 1.0, "process": "endpoint", "index": 0, "type": "event", "event": name, "function": "f", **fields}


def told(*events):
    translator = MappingEvents("orders")
    translator.add("f", "consumer-1")
    return History([record for item in events for record in translator.translate(item)])


RECEIVED = event(
    "mapping-received",
    asked=10,
    messages=[{"message_id": "m1", "receive_count": 1, "body": "{}", "group": None, "sequence_number": None}],
)
SENT = event("batch-sent", batch=7, messages=["m1"], attempt=1)


def test_a_batchs_way_is_told_as_receive_invocation_and_delete():
    history = told(
        RECEIVED,
        SENT,
        event("batch-succeeded", batch=7, messages=["m1"], failed=[]),
        event("mapping-deleted", messages=["m1"], failed=[{"entry": 0, "transient": True}]),
    )
    assert [(delivery.message_id, delivery.process) for delivery in history.deliveries] == [("m1", "consumer-1")]
    (invocation,) = history.calls("InvokeFunction")
    assert (invocation.status, invocation.result) == ("ok", {"failed": []})
    assert [(deletion.message_id, deletion.status) for deletion in history.deletions] == [("m1", "fail")]


def test_a_failed_and_a_throttled_invocation_are_told_apart():
    history = told(
        SENT,
        event("batch-throttled", batch=7, messages=["m1"], attempt=1),
        event("batch-sent", batch=7, messages=["m1"], attempt=2),
        event("batch-failed", batch=7, messages=["m1"], reason="timeout"),
    )
    throttled, failed = history.calls("InvokeFunction")
    assert throttled.outcome["error"] == "TooManyRequestsException"
    assert (failed.outcome["error"], failed.arguments["attempt"]) == ("timeout", 2)


def struck(kind, batch=7, **fields):
    return event("fault-struck", kind=kind, at=1, batch=batch, seconds=0.0, entries=[], **fields)


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        ("crash-before", ("crash", "before")),
        ("crash-during", ("crash", "during")),
        ("crash-after", ("crash", "after")),
        ("hang", ("timeout", "during")),
        ("answer-lost", ("reply-lost", "after")),
        ("throttle", ("throttle", "before")),
        ("cold-start", ("cold-start", "before")),
    ],
)
def test_each_fault_of_an_invocation_stands_in_the_history(kind, wanted):
    (fault,) = told(RECEIVED, SENT, struck(kind)).faults
    assert (fault.kind, fault.point) == wanted
    assert (fault.operation, fault.process, fault.planned) == ("InvokeFunction", "consumer-1", True)


def test_a_delete_that_fails_in_part_stands_in_the_history():
    deleted = event("mapping-deleted", messages=["m1"], failed=[{"entry": 0, "transient": True}])
    (fault,) = told(RECEIVED, struck("delete-failed", batch=None), deleted).faults
    assert (fault.kind, fault.operation, fault.call.arguments["messages"]) == ("partial-failure", "Delete", ["m1"])
