"""Programs that know nothing of the lab, put through its scenarios on real processes."""

import json
import shlex
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from infra.stack.stacks import temporary_stack
from scenarios.checks.program_config import CONFIG, ProgramConfig, read_config
from scenarios.errors import RequestError, ServiceFailedError, UnsuitableError
from scenarios.local import lab as lab_module
from scenarios.local.lab import SubprocessLab
from scenarios.local.observer import NoObserver
from scenarios.runs.plan import RunRequest, plan_run
from scenarios.runs.run import RunEnvironment, run_on, run_scenario
from scenarios.verdict import Outcome
from services.consumer.patterns import Pattern
from tests.scenarios.local.test_local_tier import processes_of

pytestmark = [pytest.mark.processes, pytest.mark.thorough]

PLAIN = shlex.join([sys.executable, str(Path(__file__).resolve().parents[2] / "consumers" / "plain" / "consumer.py")])

#: It sets the count, where it should add to it, and ends by the refusal.
PUTS = """
import json, os, urllib.request
item = {"message_id": {"S": "x"}, "executions": {"N": "1"}}
body = json.dumps({"TableName": os.environ["MESSAGE_SIDE_EFFECTS_TABLE"], "Item": item}).encode()
request = urllib.request.Request(os.environ["AWS_ENDPOINT_URL"], body, {"X-Amz-Target": "DynamoDB_20120810.PutItem"})
urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request)
"""


def test_a_careful_program_passes_what_programs_must_be_able_to_pass(project):
    names = ["happy", "crash", "duplicates", "poison", "fifo-order"]
    with temporary_stack(names) as stack, ThreadPoolExecutor(2) as pool:
        ground = RunEnvironment(stack, fresh=True)
        requests = [RunRequest(name, seed=3, consumer=PLAIN) for name in names]
        results = list(pool.map(lambda request: run_on(ground, plan_run(request), NoObserver()), requests))
    for result in results:
        assert result.verdict.outcome is Outcome.PASS, result.verdict.reason
    assert {name: list(result.verdict.not_judged) for name, result in zip(names, results, strict=True)} == {
        "happy": [],
        "crash": ["crashed-after-claim"],
        "duplicates": [],
        "poison": [],
        "fifo-order": [],
    }
    assert processes_of(project) == []


def test_a_program_that_deletes_first_is_convicted_although_it_records_nothing(project):
    result = run_scenario(RunRequest("happy", seed=3, consumer=f"{PLAIN} --delete-first"))
    assert result.verdict.outcome is Outcome.FAIL
    assert {name for name, found in result.verdict.violations.items() if found} == {
        "deleted-before-done",
        "duplicated-side-effect",
    }


#: What the plain consumer declares.
FOLLOWS = (Pattern.GRACEFUL_SHUTDOWN, Pattern.RETRIED_ENTRIES, Pattern.FRESHNESS, Pattern.PAYLOAD_REMOVAL)


@pytest.mark.parametrize(
    ("name", "option", "violated"),
    [
        ("graceful-shutdown", "--careful", set()),
        ("graceful-shutdown", "--drop-at-sigterm", {"abandoned-at-shutdown"}),
        ("partial-batch", "--batch-delete", set()),
        ("dlq-redrive", "--careful", set()),
        ("dlq-redrive", "--naive", {"paid-twice"}),
        ("backlog-drain", "--careful", set()),
        ("backpressure", "--careful", set()),
        ("out-of-order", "--updates", set()),
        ("out-of-order", "--last-write-wins", {"stale-state"}),
        ("large-payload", "--careful", set()),
        ("large-payload", "--keeps-payloads", {"payload-forgotten"}),
    ],
)
def test_what_can_be_seen_at_the_proxy_is_judged(project, name, option, violated):
    request = RunRequest(name, seed=7, consumer=f"{PLAIN} {option}", program=ProgramConfig(follows=FOLLOWS))
    verdict = run_scenario(request).verdict
    assert {each for each, found in verdict.violations.items() if found} == violated, verdict.reason
    if not violated:
        assert verdict.outcome is Outcome.PASS, verdict.reason
    assert set(verdict.not_judged) <= {"begun-after-sigterm"}


#: It pays by an HTTP call, as its configuration says, and otherwise is the plain consumer.
PAYS = """
import json, os, runpy, sys, urllib.request
def pays(key, method):
    body = json.dumps({"order": {"id": key}}).encode() if method == "POST" else None
    url = os.environ["PAYMENTS_URL"] + ("" if body else "/" + key)
    return consumer["ask"](urllib.request.Request(url, body, method=method))["executions"]
consumer = runpy.run_path(sys.argv[-1])
consumer["handle"].__globals__["side_effect"] = pays
consumer["main"]()
"""


@pytest.mark.parametrize(("option", "outcome"), [("--careful", Outcome.PASS), ("--mark-first", Outcome.FAIL)])
def test_a_side_effect_may_be_an_http_call_that_the_lab_answers_and_faults(project, option, outcome):
    (project / CONFIG).write_text(
        "[env]\nPAYMENTS_URL = '{url}/v1/charges'\n[effect]\nhttp = '/v1/charges'\nkey = 'order.id'\n"
        "[messages]\nfile = 'orders.jsonl'\nkey = 'id'\n"
    )
    (project / "orders.jsonl").write_text('{"id": 0, "amount": 12}\n{"id": 0, "currency": "EUR"}\n')
    consumer = shlex.join([sys.executable, "-c", PAYS, option, shlex.split(PLAIN)[-1]])
    request = RunRequest("side-effects", seed=3, consumer=consumer, program=read_config(project))
    verdict = run_scenario(request).verdict
    assert verdict.outcome is outcome, verdict.reason
    assert bool(verdict.violations["lost"]) is (outcome is Outcome.FAIL)


#: It is slow to start, like a large framework; then it is the plain consumer.
SLOW = "import runpy, sys, time; time.sleep(2.0); runpy.run_path(sys.argv.pop())['main']()"


def test_how_long_a_program_takes_to_start_is_no_lateness(project, monkeypatch):
    consumer = shlex.join([sys.executable, "-c", SLOW, shlex.split(PLAIN)[-1]])
    # Seconds that a story gives its consumers: less than this one takes to start.
    monkeypatch.setattr(SubprocessLab, "_real", lambda _lab, deadline: deadline / 20)
    verdict = run_scenario(RunRequest("check-race", seed=3, count=1, consumer=consumer)).verdict
    assert "ready" not in verdict.conditions.missed
    assert [found for found in verdict.violations.values() if found] == []


#: Its work takes most of a visibility timeout; otherwise it is the plain consumer.
WORKS = """
import runpy, sys, time
consumer = runpy.run_path(sys.argv.pop())
handle = consumer["handle"]
def slowly(message, lease):
    time.sleep(0.8)
    return handle(message, lease)
consumer["handle_batch"].__globals__["handle"] = slowly
consumer["main"]()
"""


def test_the_configurations_work_time_sets_the_queue_and_the_deadlines(project):
    (project / CONFIG).write_text("work = 0.8\nreceives = 3\n")
    consumer = shlex.join([sys.executable, "-c", WORKS, "--look", shlex.split(PLAIN)[-1]])
    request = RunRequest("poison", seed=3, count=6, batch_size=2, consumer=consumer, program=read_config(project))
    result = run_scenario(request)
    assert result.verdict.outcome is Outcome.PASS, result.verdict.reason
    assert (result.history.facts.visibility_timeout, result.history.facts.max_receive_count) == (4, 3)


def test_a_stack_of_ones_own_keeps_its_queues(project):
    (project / CONFIG).write_text("visibility = 60\n")
    with temporary_stack(["happy"]) as stack:
        plan = plan_run(RunRequest("happy", seed=3, consumer=PLAIN, program=read_config(project)))
        with pytest.raises(RequestError, match="those of the stack mine stay as they are; leave --stack"):
            run_on(RunEnvironment(replace(stack, name="mine"), fresh=True), plan, NoObserver())


#: It has the plain consumer's side effect be something else.
WRITES = """
import json, os, runpy, sys, urllib.request
def writes(key, _method):
    update = {"TableName": os.environ["MESSAGE_SIDE_EFFECTS_TABLE"], "Key": {"message_id": {"S": key}}}
    update |= {"UpdateExpression": sys.argv[1], "ExpressionAttributeValues": {":x": json.loads(sys.argv[2])}}
    consumer["aws"]("DynamoDB_20120810.UpdateItem", **update)
    return 1
consumer = runpy.run_path(sys.argv.pop())
consumer["handle"].__globals__["side_effect"] = writes
consumer["main"]()
"""


def writing(expression, value):
    plain = shlex.split(PLAIN)[-1]
    return shlex.join([sys.executable, "-c", WRITES, expression, json.dumps(value), plain])


def test_a_count_in_another_spelling_is_a_count(project):
    result = run_scenario(RunRequest("happy", seed=3, count=2, consumer=writing("ADD executions :x", {"N": "1.0"})))
    assert result.verdict.outcome is not Outcome.FAIL, result.verdict.reason
    assert set(result.history.ledger.values()) == {1}


def test_what_is_no_count_in_the_ledger_is_one_sentence_and_no_verdict(project):
    consumer = writing("SET executions = :x", {"S": "once"})
    with pytest.raises(
        UnsuitableError, match=r"has executions {'S': 'once'} for .*, which is no count, so nothing can"
    ):
        run_scenario(RunRequest("happy", seed=3, count=2, consumer=consumer))


#: It leaves its session, and its parent ends.
FORKS_AWAY = """
import os, subprocess, sys, time
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
"""
#: It speaks no HTTP, then nothing.
NO_HTTP = """
import os, socket, time
from urllib.parse import urlsplit
url = urlsplit(os.environ["AWS_ENDPOINT_URL"])
socket.create_connection((url.hostname, url.port)).sendall(b"\\x00\\xff garbage \\r\\n\\r\\n")
time.sleep(600)
"""
#: It asks its queue for what is no list.
GARBAGE = """
import json, os, urllib.request
body = json.dumps({"QueueUrl": os.environ["QUEUE_URL"], "Entries": 7}).encode()
headers = {"X-Amz-Target": "AmazonSQS.DeleteMessageBatch", "Content-Type": "application/x-amz-json-1.0"}
urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
    urllib.request.Request(os.environ["AWS_ENDPOINT_URL"], body, headers))
"""
#: It takes the lab for a proxy to another host.
OTHER_HOST = """
import os, urllib.request
ask = urllib.request.build_opener(urllib.request.ProxyHandler({"http": os.environ["AWS_ENDPOINT_URL"]}))
ask.open("http://queue.example.com/orders")
"""


@pytest.mark.parametrize(
    ("program", "sentence"),
    [
        (FORKS_AWAY, r"consumer-1 ended with exit code 0 unasked: it said nothing \(its log: "),
        (NO_HTTP, r"consumer-1 has run for 0.5 s and never asked for a message; it has to call ReceiveMessage"),
        (GARBAGE, r"consumer-1 sends a DeleteMessageBatch that the lab cannot read \("),
        (OTHER_HOST, r"consumer-1 takes the lab's address for a proxy, and asks for http://queue.example.com/orders"),
        ("raise SystemExit('no such order')", r"consumer-1 ended with exit code 1: no such order \(its log: "),
        ("pass", r"consumer-1 ended with exit code 0 unasked: it said nothing \(its log: "),
        ("import time; time.sleep(600)", r"consumer-1 has run for 0.5 s and never asked for a message; it has to call"),
        (PUTS, r"consumer-1 changes the side-effects table by PutItem; .*; see docs/your-own-consumer.md\."),
    ],
    ids=["forks", "no-http", "garbage", "other-host", "fails", "ends", "never-receives", "writes-to-the-ledger"],
)
def test_a_program_that_is_no_consumer_is_one_sentence_and_no_verdict(project, monkeypatch, program, sentence):
    monkeypatch.setenv("INHERITED", str(project))  # by which whatever it leaves behind is found
    consumer = shlex.join([sys.executable, "-c", program])
    # What ends by itself has to do so before the lab gives it up.
    timeout = 0.5 if "time.sleep(600)" in program.splitlines()[-1] else 60.0
    with pytest.raises(ServiceFailedError, match=sentence):
        run_scenario(RunRequest("poison", seed=3, consumer=consumer, startup_timeout=timeout))
    (directory,) = (project / "runs").iterdir()
    assert not (directory / "verdict.json").exists()
    assert processes_of(project) == []


#: It does not listen to SIGTERM, has a child of its own, and otherwise is the plain consumer.
OUTLIVES = """
import runpy, signal, subprocess, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
signal.signal = lambda *_: None
runpy.run_path(sys.argv.pop())["main"]()
"""


def test_a_program_that_outlives_sigterm_is_one_sentence_and_leaves_nothing_behind(project, monkeypatch):
    monkeypatch.setattr(lab_module, "STOP_DEADLINE", 1.0)
    consumer = shlex.join([sys.executable, "-c", OUTLIVES, shlex.split(PLAIN)[-1]])
    verdict = run_scenario(RunRequest("poison", seed=3, consumer=consumer)).verdict
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "waiting for consumer-1 to end" in verdict.reason
    assert processes_of(project) == []
