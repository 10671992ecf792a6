"""Python handlers of any make in the simulation: called in process, in virtual time, struck at each of their calls."""

import json
import os
import random
import socket
import sys
import time
from pathlib import Path

import boto3
import pytest

from scenarios.catalog import all_scenarios
from scenarios.checks.functions import Handler
from scenarios.commands.explore import explore
from scenarios.commands.scenario import scenario
from scenarios.errors import BrokenProgramError, RequestError
from scenarios.exploration.bounded import ScheduledFaults
from scenarios.exploration.campaign import Campaign
from scenarios.exploration.campaign import explore as run_campaign
from scenarios.exploration.replay import replay
from scenarios.exploration.targets import Target, make_target
from scenarios.lockstep import turns
from scenarios.simulation.choices import ReplayedChoices, SeededChoices
from scenarios.simulation.lab import NoFaults
from scenarios.simulation.random_faults import Kind, RandomFault
from scenarios.simulation.run import simulate
from scenarios.verdict import Outcome
from tests.consumers.hasty import TRUE_BUGS
from tests.scenarios.lockstep.small_handlers import written

PLAIN = Path(__file__).resolve().parents[2] / "consumers" / "plain"
ROOT = Path(__file__).resolve().parents[3]
OURS = "services.consumer.lambda_handler.handler"
REPORTS = {"report_batch_item_failures": True}


def target(handler, code, name="lambda-timeout", *, with_faults=False, settings=None, **options):
    own = all_scenarios()[name].function
    given = {**REPORTS, **(own.pattern if own else {}), **(settings or {})}
    return make_target(name, handler=Handler(handler, code=code, settings=given), with_faults=with_faults, **options)


def run(handler, code, name="lambda-timeout", *, faults=None, seed=0, **options):
    plan = target(handler, code, name, **options).plan(seed)
    return simulate(plan, ReplayedChoices(()), faults or NoFaults())


def violated(simulation):
    return {name for name, found in simulation.verdict.violations.items() if found}


def strikes(*faults):
    return ScheduledFaults(tuple(("consumer-1", fault) for fault in faults))


# --- what it finds, and whom it convicts -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name, each in all_scenarios().items() if each.any_handler])
def test_a_careful_handler_passes_every_scenario_that_takes_one(name):
    simulation = run("handler.careful", PLAIN, name, seed=3)
    assert simulation.verdict.outcome is Outcome.PASS, simulation.counterexample()


@pytest.mark.parametrize(("name", "handler", "promise"), TRUE_BUGS)
def test_each_scenario_convicts_a_handler_with_a_true_bug(name, handler, promise):
    simulation = run(handler, PLAIN, name, seed=3)
    assert promise in violated(simulation), simulation.verdict.reason


DELETES_ITSELF = """
sqs = boto3.client("sqs")

def delete(event):
    for record in event["Records"]:
        sqs.delete_message(QueueUrl=os.environ["QUEUE_URL"], ReceiptHandle=record["receiptHandle"])

def when_done(event, context):
    look_and_perform(event)
    delete(event)
    raise RuntimeError("none of it shall be deleted once more")

def too_soon(event, context):
    delete(event)
    look_and_perform(event)
"""


@pytest.mark.parametrize(("handler", "promises"), [("when_done", set()), ("too_soon", {"lost"})])
def test_a_handler_may_delete_what_it_has_done_by_itself(tmp_path, handler, promises):
    explored = run_campaign(Campaign(target(f"app.{handler}", written(tmp_path, DELETES_ITSELF), "crash"), 40, 7))
    found = set() if explored.tally.found is None else explored.tally.found.invariants
    assert promises <= found
    assert promises or not found, explored.tally.found


@pytest.mark.parametrize(("handler", "code"), [("handler.careful", PLAIN), (OURS, ROOT)], ids=["careful", "ours"])
@pytest.mark.parametrize("name", ["lambda-timeout", "lambda-partial-response", "lambda-fifo"])
def test_faults_anywhere_never_convict_a_handler_that_is_right(handler, code, name):
    explored = run_campaign(Campaign(target(handler, code, name, with_faults=True), 10, 7))
    assert explored.tally.found is None, explored.tally.found
    assert sum(explored.tally.faults.values()) > 5


def test_no_work_that_lambda_would_kill_is_asked_of_a_handler():
    # In the first of these histories the two deliveries of a message do not meet.
    assert (
        run_campaign(Campaign(target("handler.careful", PLAIN, "check-race", with_faults=True), 2, 11)).tally.found
        is None
    )


@pytest.mark.parametrize(
    ("handler", "promise"),
    [
        ("mark_first", "deleted-before-done"),
        ("never_asks", "duplicated-side-effect"),
        pytest.param("repeats_blindly", "duplicated-side-effect", marks=pytest.mark.thorough),
    ],
)
def test_a_campaign_finds_each_true_bug_and_its_counterexample_replays(tmp_path, monkeypatch, handler, promise):
    written(
        tmp_path,
        """
def mark_first(event, context):
    for key in keys(event):
        item = {"message_id": {"S": key}}
        try:
            dynamodb.put_item(TableName=STATUS, Item=item, ConditionExpression="attribute_not_exists(message_id)")
        except dynamodb.exceptions.ConditionalCheckFailedException:
            continue
        perform(key)

def never_asks(event, context):
    for key in keys(event):
        perform(key)

def repeats_blindly(event, context):
    look_and_perform(event, dynamodb)

def careful(event, context):
    look_and_perform(event)
""",
    )
    assert run_campaign(Campaign(target("app.careful", tmp_path, with_faults=True), 30, 7)).tally.found is None
    code = explore(
        "lambda-timeout", handler=f"app.{handler}", code=str(tmp_path), histories=400, jobs=1, seed=7,
        shrink_seconds=2, runs=tmp_path / "runs",
    )  # fmt: skip
    assert code == 1
    (directory,) = (tmp_path / "runs").glob("*-explore-lambda-timeout-7")
    document = json.loads((directory / "campaign.json").read_text())
    assert promise in document["violated"], document["violated"]
    assert document["replays"]["replays"] == document["replays"]["same"] > 0
    assert replay(str(directory), tmp_path / "runs").differs_at is None


#: A claim with a lease, by a conditional write; the handlers differ in how they look into the ledger after it.
CLAIMS = """
STARTED, DONE = {"S": "STARTED"}, {"S": "DONE"}

def claim(key):
    now = int(time.time())
    dynamodb.put_item(
        TableName=STATUS,
        Item={"message_id": {"S": key}, "progress": STARTED, "lease": {"N": str(now + 2)}},
        ConditionExpression="attribute_not_exists(message_id) OR (progress = :started AND lease < :now)",
        ExpressionAttributeValues={":started": STARTED, ":now": {"N": str(now)}},
    )

def look(key, **options):
    return "Item" in dynamodb.get_item(TableName=LEDGER, Key={"message_id": {"S": key}}, **options)

def pay(key, was_done):
    there = dynamodb.get_item(TableName=STATUS, Key={"message_id": {"S": key}}).get("Item", {})
    if there.get("progress") != DONE:
        claim(key)  # where the read above did not see that it is done, this fails
        if not was_done(key):
            perform(key)
        dynamodb.put_item(TableName=STATUS, Item={"message_id": {"S": key}, "progress": DONE})

def pay_each(event, was_done):
    failed = []
    for key, record in zip(keys(event), event["Records"]):
        try:
            pay(key, was_done)
        except ClientError:
            failed.append({"itemIdentifier": record["messageId"]})
    return {"batchItemFailures": failed}

def trusts(event, context):
    return pay_each(event, look)

def consistent(event, context):
    return pay_each(event, lambda key: look(key, ConsistentRead=True))

def looks_again(event, context):
    return pay_each(event, lambda key: look(key) or look(key, ConsistentRead=True))
"""


def test_who_acts_on_a_read_that_is_not_consistent_is_convicted_and_who_writes_on_condition_is_not(tmp_path):
    written(tmp_path, CLAIMS)
    tallies = {
        handler: run_campaign(Campaign(target(f"app.{handler}", tmp_path, with_faults=True), 60, 7)).tally
        for handler in ("trusts", "consistent", "looks_again")
    }
    found = tallies.pop("trusts").found
    assert found is not None
    assert found.invariants == {"duplicated-side-effect"}
    guilty = simulate(target("app.trusts", tmp_path, with_faults=True).plan(found.seed), SeededChoices(found.seed))
    (key,) = guilty.verdict.violations["duplicated-side-effect"][0].keys
    (read,) = (read for read in guilty.history.stale_reads if read.arguments.get("key") == key)
    assert (read.operation, read.result) == ("LookUpSideEffect", False)
    assert f"a read of {key} from before its last write" in guilty.counterexample()
    for tally in tallies.values():
        assert tally.found is None
        assert tally.faults["stale read"] > 10


@pytest.mark.thorough
@pytest.mark.parametrize("name", ["crash", "check-race"])
@pytest.mark.parametrize("handler", ["consistent", "looks_again"])
def test_receives_that_stale_reads_cost_are_excused(tmp_path, name, handler):
    tally = run_campaign(
        Campaign(target(f"app.{handler}", written(tmp_path, CLAIMS), name, with_faults=True), 60, 11)
    ).tally
    assert tally.found is None, tally.found
    assert tally.faults["stale read"] > 10


def test_an_answer_that_is_not_read_is_convicted():
    silent = run("handler.careful", PLAIN, "lambda-partial-response", settings={"report_batch_item_failures": False})
    assert "poison-acknowledged" in violated(silent)


# --- faults at the handler's own calls -------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 2], ids=["during", "before", "after"])
def test_a_crash_strikes_at_each_of_the_handlers_own_calls(size):
    struck = set()
    for at in range(1, 16):
        faults = strikes(RandomFault(Kind.CRASH_DURING, at, size))
        simulation = run("handler.careful", PLAIN, faults=faults, count=2)
        assert violated(simulation) == set(), simulation.counterexample()
        for fault in simulation.history.faults:
            assert fault.planned or fault.kind == "crash"
            struck |= set() if fault.planned else {fault.operation}
    assert struck == {"LookUpSideEffect", "PerformSideEffect", "OtherRequest"}


def test_an_sdk_that_repeats_a_side_effect_by_itself_does_it_twice(tmp_path):
    written(
        tmp_path,
        """
def retries(event, context):
    look_and_perform(event, dynamodb)

def fails(event, context):
    look_and_perform(event)
""",
    )
    lost = [strikes(RandomFault(Kind.PARTIAL_REPLY_LOST, at)) for at in range(3, 12)]
    assert {"duplicated-side-effect"} in [violated(run("app.retries", tmp_path, faults=it)) for it in lost]
    for each in lost:
        assert violated(run("app.fails", tmp_path, faults=each)) == set()


def test_nothing_of_a_killed_handler_reaches_the_outside(tmp_path):
    written(
        tmp_path,
        """
def handler(event, context):
    for key in keys(event):
        try:
            time.sleep(10)
        finally:
            perform(key)
""",
    )
    simulation = run("app.handler", tmp_path)
    assert {call.outcome["error"] for call in simulation.history.calls("InvokeFunction")} == {"timeout"}
    assert simulation.history.effects == []


# --- where it finds itself -------------------------------------------------------------------------------------------


def test_its_clocks_are_virtual_and_it_sleeps_in_no_time(tmp_path):
    written(
        tmp_path,
        """
def clocks(context):
    now = (time.time(), datetime.datetime.now().timestamp(), time.monotonic(), time.perf_counter())
    return [*now, -context.get_remaining_time_in_millis() / 1000]

def handler(event, context):
    before = clocks(context)
    time.sleep(0.25)
    asyncio.run(asyncio.sleep(0.25))
    for earlier, later in zip(before, clocks(context)):
        assert 0.499 < later - earlier < 0.51, (before, clocks(context))
    look_and_perform(event)
""",
    )
    began = time.monotonic()
    simulation = run("app.handler", tmp_path)
    assert simulation.verdict.outcome is Outcome.PASS, simulation.counterexample()
    assert simulation.history.records[-1]["time"] > 2.0
    assert time.monotonic() - began < 30


def test_an_environment_keeps_its_modules_and_a_cold_start_has_none(tmp_path):
    (tmp_path / "beside.py").write_text("seen = []\n")
    written(
        tmp_path,
        """
import beside, random, uuid

def handler(event, context):
    from beside import seen
    assert seen is beside.seen
    seen.append(context.aws_request_id)
    os.environ["INVOCATIONS"] = str(int(os.environ.get("INVOCATIONS", "0")) + 1)
    assert len(set(seen)) == len(seen) == int(os.environ["INVOCATIONS"])
    marks = f"{os.environ['AWS_LAMBDA_LOG_STREAM_NAME'][-1]}-{len(seen)}-{random.random()}-{uuid.uuid4()}"
    key = {"message_id": {"S": f"state/{keys(event)[0]}"}}
    print(marks)
    dynamodb.put_item(TableName=STATUS, Item={**key, "marks": {"S": marks}})
    look_and_perform(event)
""",
    )
    first, again = (run("app.handler", tmp_path, count=8) for _ in range(2))
    assert first.verdict.outcome is Outcome.PASS, first.counterexample()
    invoked = first.history.events("function-invoked")
    assert max(event["reuse"] for event in invoked) > 1
    assert sum(event["cold"] for event in invoked) == 2
    assert list(first.history.records) == list(again.history.records)


def test_each_environment_has_sessions_of_its_own_that_work_as_botocores(tmp_path):
    written(
        tmp_path,
        """
session = boto3.Session()
named = session.client("dynamodb")
asked = []
named.meta.events.register("before-call.dynamodb.GetItem", lambda params, **_: asked.append(params["url"]))

def handler(event, context):
    try:
        session.events.register("before-call", lambda params: None)
    except ValueError as error:
        assert "**kwargs" in str(error)
    else:
        raise AssertionError("a function that takes no keywords was registered")
    before = len(asked)
    for key in keys(event):
        named.get_item(TableName=LEDGER, Key={"message_id": {"S": key}})
    assert len(asked) == before + len(keys(event)), (asked, before)
    look_and_perform(event)
""",
    )
    simulation = run("app.handler", tmp_path, count=4)
    assert simulation.verdict.outcome is Outcome.PASS, simulation.counterexample()


def test_a_handler_that_ends_its_process_is_followed_by_a_cold_start(tmp_path):
    written(
        tmp_path,
        """
def handler(event, context):
    if event["Records"][0]["attributes"]["ApproximateReceiveCount"] == "1":
        (sys.exit if "c" in keys(event)[0][:1] else os._exit)(3)
    look_and_perform(event)
""",
    )
    simulation = run("app.handler", tmp_path, "happy", count=4)
    assert violated(simulation) == set(), simulation.counterexample()
    ends = [(call.outcome or {}).get("error") for call in simulation.history.calls("InvokeFunction")]
    assert "exit" in ends


def of_this_process():
    return (
        dict(os.environ),
        list(sys.path),
        time.sleep,
        socket.socket.connect,
        boto3.DEFAULT_SESSION,
        set(sys.modules),
    )


def test_it_leaves_this_process_as_it_was(tmp_path):
    written(tmp_path, "def handler(event, context):\n    os.environ['LEFT'] = '1'\n    look_and_perform(event)\n")
    run("app.handler", tmp_path)
    state, seconds = random.getstate(), time.time()
    before = of_this_process()
    run("app.handler", tmp_path)
    assert of_this_process() == before
    assert random.getstate() == state
    assert 0 <= time.time() - seconds < 60
    assert "app" not in sys.modules


# --- what cannot be simulated ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import not_there", r"app\.handler cannot be started: ModuleNotFoundError: No module named 'not_there'"),
        ("other = 1", r"cannot be started: AttributeError: the module app has no handler"),
        (
            """
def handler(event, context):
    import _thread
    _thread.start_new_thread(was_done, ('a',))
""",
            "starts a thread by the module _thread",
        ),
        ("def handler(event, context):\n    open_url('http://127.0.0.1:9/')\n", r"connects to 127\.0\.0\.1:9"),
        ("def handler(event, context):\n    boto3.client('sts', endpoint_url='http://elsewhere:1').get_caller_identity()",
         "connects to elsewhere:1"),
        ("def handler(event, context):\n    while time.time() < 1e11: pass\n", "computes for more than 0.5 s"),
    ],
    ids=["import", "name", "thread", "elsewhere", "sdk-elsewhere", "spin"],
)  # fmt: skip
def test_what_cannot_be_followed_is_said_in_a_sentence(tmp_path, monkeypatch, text, said):
    monkeypatch.setattr(turns, "COMPUTING", 0.5)
    with pytest.raises(BrokenProgramError, match=said):
        run("app.handler", written(tmp_path, text))


def test_what_no_simulation_takes_is_refused(tmp_path):
    (tmp_path / "bootstrap").write_text("")
    with pytest.raises(RequestError, match="The simulated tier calls Python handlers"):
        make_target("lambda-timeout", handler=Handler("./bootstrap", code=tmp_path))
    with pytest.raises(RequestError, match="takes no Lambda handler"):
        make_target("graceful-shutdown", handler=Handler("handler.careful", code=PLAIN))
    assert scenario("happy", tier="sim", handler="handler.careful", code=str(PLAIN), naive=True) == 64
    assert explore("happy", handler="handler.careful", code=str(PLAIN), naive=True) == 64
    assert explore("", handler="handler.careful", code=str(PLAIN)) == 64


def test_a_target_with_a_handler_travels_through_json():
    one = target("handler.careful", PLAIN, settings={"filters": ['{"body": [{"exists": true}]}']})
    assert Target.of_json(json.loads(json.dumps(one.as_json()))) == one


def test_the_same_seed_gives_the_same_history_byte_for_byte():
    plan = target("handler.careful", PLAIN, with_faults=True).plan(11)
    first, second = (simulate(plan, SeededChoices(11)) for _ in range(2))
    assert json.dumps(list(first.history.records)) == json.dumps(list(second.history.records))
