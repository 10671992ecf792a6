"""Programs as the consumers of simulated histories: held still, faulted, judged, and never left behind."""

import json
import os
import socket
import time
from pathlib import Path

import pytest

from scenarios.checks.program_config import CONFIG
from scenarios.errors import BrokenProgramError, RequestError
from scenarios.exploration.bounded import ScheduledFaults
from scenarios.exploration.fault_coverage import faults_met
from scenarios.exploration.targets import make_target
from scenarios.lockstep.clock import why_not
from scenarios.lockstep.crew import close_crews
from scenarios.lockstep.orphans import MARK
from scenarios.simulation.choices import ReplayedChoices, SeededChoices
from scenarios.simulation.lab import NoFaults
from scenarios.simulation.random_faults import SIZES, Kind, RandomFault
from scenarios.simulation.run import simulate
from tests.consumers.small import small_consumer
from tests.scenarios.conftest import project
from tests.scenarios.lockstep.small_programs import LOOKS, written
from tests.speeds import first_then_thorough

__all__ = ["project", "small_consumer"]

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(bool(why_not()), reason="a program's clock cannot be set here"),
]


@pytest.fixture(autouse=True)
def nothing_left(project):
    yield
    close_crews()
    assert _marked() == []


def _marked():
    """Return the processes of programs, but for those of tests that run beside."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            environment = (entry / "environ").read_bytes()
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError):
            continue
        if f"{MARK}=".encode() in environment and parent in (1, os.getpid()):
            found.append(entry.name)
    return found


def _run(command, name="deliveries", *, seed=0, choices=None, faults=None, **options):
    plan = make_target(name, consumer=command, **options).plan(seed)
    return simulate(plan, choices or ReplayedChoices(()), faults or NoFaults())


def _violated(simulation):
    return {name for name, found in simulation.verdict.violations.items() if found}


def _schedule(*faults):
    return ScheduledFaults(tuple(faults))


# --- what it finds --------------------------------------------------------------------------------------------------


def test_to_mark_and_then_to_act_loses_a_message_and_to_act_and_then_to_mark_does_not(small_consumer):
    # Its operations: GetQueueAttributes, Receive, the claim, the mark, the side effect, the delete.
    dies_marked = _schedule(("consumer-1", RandomFault(Kind.CRASH_AFTER, 4)))
    broken = _run(small_consumer("python", "--mark-first"), faults=dies_marked, count=2)
    assert _violated(broken) == {"lost"}, broken.verdict.reason
    for at in range(2, 8):
        dies = _schedule(("consumer-1", RandomFault(Kind.CRASH_AFTER, at)))
        careful = _run(small_consumer("python", "--careful"), faults=dies, count=2)
        assert str(careful.verdict.outcome) == "pass", careful.verdict.reason
        assert len(careful.history.faults) == 1, "the fault has struck"


#: Puts each message off once, by a copy that comes in a second; a batch's ``Failed`` is read, or is not.
PUTS_OFF = """
while True:
    for message in receive():
        body = json.loads(message["Body"])
        if body.get("again"):
            if not was_done(key_of(message)):
                perform(key_of(message))
        else:
            copy = json.dumps({**body, "again": True})
            sent = sqs("SendMessageBatch", Entries=[{"Id": "0", "MessageBody": copy, "DelaySeconds": 1}])
            if CAREFUL and sent.get("Failed"):
                continue
        delete(message)
"""


@pytest.mark.parametrize(("careful", "violated"), [(False, {"lost"}), (True, set())])
def test_a_copy_that_a_batch_of_one_does_not_take_is_lost_with_its_original(tmp_path, careful, violated):
    # Its operations: the receive, then for each message the batch and the delete.
    fails = _schedule(("consumer-1", RandomFault(Kind.PARTIAL_FAILURE, 2)))
    command = written(tmp_path, f"CAREFUL = {careful}\n" + PUTS_OFF)
    run = _run(command, faults=fails, count=2)
    (send,) = [strike.call for strike in run.history.faults]
    assert faults_met(run.history)["partial failure of a send"] == 1
    assert [failure["code"] for failure in send.result["failed"]] == ["InternalError"]
    assert not send.result["sent"]
    assert _violated(run) == violated, run.verdict.reason


def test_a_request_for_one_message_does_not_fail_in_part(tmp_path):
    fails = _schedule(("consumer-1", RandomFault(Kind.PARTIAL_FAILURE, 1)))
    run = _run(written(tmp_path, LOOKS), faults=fails, count=2)
    assert not run.history.faults
    assert not _violated(run)


#: Pays by an API that knows a call again by its key, and asks nobody before.
CALLS_WITH_KEY = """
import uuid
while True:
    for message in receive():
        order = key_of(message)
        key = uuid.uuid4().hex if NEW_EACH_TIME else order
        ask(ENV["PAYMENTS_URL"], json.dumps({"order": order}).encode(), **{"Idempotency-Key": key})
        delete(message)
"""


@pytest.mark.parametrize(
    ("new_each_time", "setting", "violated"),
    [
        (False, "idempotency-key = 'Idempotency-Key'", set()),
        (True, "idempotency-key = 'Idempotency-Key'", {"duplicated-side-effect"}),
        (False, "", {"duplicated-side-effect"}),
    ],
    ids=["one key", "a new key for each attempt", "an API that knows none"],
)
def test_an_api_may_know_a_call_again_by_its_idempotency_key(tmp_path, project, new_each_time, setting, violated):
    (project / CONFIG).write_text(
        f"[env]\nPAYMENTS_URL = '{{url}}/v1/charges'\n[effect]\nhttp = '/v1/charges'\nkey = 'order'\n{setting}\n"
    )
    # Its operations: the receive, then for each message the call and the delete.
    loses = _schedule(("consumer-1", RandomFault(Kind.CRASH_AFTER, 2)))
    run = _run(written(tmp_path, f"NEW_EACH_TIME = {new_each_time}\n" + CALLS_WITH_KEY), faults=loses, count=2)
    assert _violated(run) == violated, run.verdict.reason
    assert any(effect.recognised for effect in run.history.effects) == (not violated)


def test_one_idempotency_key_for_all_calls_leaves_orders_unpaid(tmp_path, project):
    (project / CONFIG).write_text(
        "[env]\nPAYMENTS_URL = '{url}/v1/charges'\n"
        "[effect]\nhttp = '/v1/charges'\nkey = 'order'\nidempotency-key = 'Idempotency-Key'\n"
    )
    one_key = """
        while True:
            for message in receive():
                order = json.dumps({"order": key_of(message)}).encode()
                try:
                    ask(ENV["PAYMENTS_URL"], order, **{"Idempotency-Key": "k"})
                except urllib.error.HTTPError:
                    pass
                delete(message)
    """
    assert _violated(_run(written(tmp_path, one_key), count=2)) == {"lost"}


def test_a_lease_ends_by_virtual_time(small_consumer):
    # Its claim outlives the crash, and is taken over when the lease of 1.8 seconds is over.
    dies = _schedule(("consumer-1", RandomFault(Kind.CRASH_AFTER, 3)))
    began = time.monotonic()
    simulation = _run(small_consumer("python", "--careful"), faults=dies, count=2)
    assert str(simulation.verdict.outcome) == "pass", simulation.verdict.reason
    assert simulation.history.records[-1]["time"] > 2.0
    assert simulation.history.exits["consumer-1"].code == -9
    assert time.monotonic() - began < 60


@pytest.mark.parametrize("language", first_then_thorough(1, ["node", "go"]))
def test_a_program_of_another_language_is_held_still_as_well(small_consumer, language):
    dies = _schedule(("consumer-1", RandomFault(Kind.CRASH_AFTER, 4)))
    assert _violated(_run(small_consumer(language, "--mark-first"), faults=dies, count=2)) == {"lost"}
    assert _violated(_run(small_consumer(language, "--careful"), faults=dies, count=2)) == set()


def test_a_staged_scenario_passes_with_a_careful_program(small_consumer):
    simulation = _run(small_consumer("python", "--careful"), "crash")
    assert str(simulation.verdict.outcome) == "pass", simulation.verdict.reason
    assert simulation.verdict.reason.startswith("Not judged: crashed-after-claim.")


@pytest.mark.parametrize(("consistent", "violated"), [(False, {"duplicated-side-effect"}), (True, set())])
def test_a_look_that_is_not_consistent_may_not_see_what_was_done(tmp_path, monkeypatch, consistent, violated):
    monkeypatch.setattr("scenarios.simulation.run.STALENESS", 100)
    ledger = 'TableName=ENV["MESSAGE_SIDE_EFFECTS_TABLE"], Key={"message_id": {"S": key}}'
    look = (
        f'def was_done(key): return "Item" in aws("DynamoDB_20120810.GetItem", {ledger}, ConsistentRead={consistent})'
    )
    # Its operations: Receive, the look, the side effect, the delete.
    dies = _schedule(("consumer-1", RandomFault(Kind.CRASH_AFTER, 3)))
    simulation = _run(written(tmp_path, f"{look}\n{LOOKS}"), faults=dies, count=2)
    assert _violated(simulation) == violated, simulation.counterexample()
    assert bool(simulation.history.stale_reads) is not consistent
    assert faults_met(simulation.history)["stale read"] == len(simulation.history.stale_reads)


# --- the same again -------------------------------------------------------------------------------------------------


def _bytes(simulation):
    return json.dumps(list(simulation.history.records))


@pytest.mark.parametrize("seed", [3, 4])
def test_the_same_choices_give_the_same_history_byte_for_byte(small_consumer, seed):
    command = small_consumer("python", "--careful")
    plan = make_target("deliveries", consumer=command).plan(seed)
    first, second = (_bytes(simulate(plan, SeededChoices(seed))) for _ in range(2))
    assert first == second


def test_requests_at_once_go_on_in_an_order_that_the_choices_decide(tmp_path):
    command = written(
        tmp_path,
        """
        def work(message):
            if not was_done(key_of(message)):
                perform(key_of(message))
            delete(message)
        while True:
            threads = [threading.Thread(target=work, args=(message,)) for message in receive()]
            for thread in threads: thread.start()
            for thread in threads: thread.join()
        """,
    )
    target = make_target("deliveries", consumer=command, count=4, batch_size=4)
    orders = set()
    for seed in range(4):
        plan = target.plan(seed)
        histories = [simulate(plan, SeededChoices(seed), NoFaults()) for _ in range(2)]
        assert _bytes(histories[0]) == _bytes(histories[1])
        orders.add(tuple(effect.key for effect in histories[0].history.effects))
        begun = [call.started for call in histories[0].history.calls("LookUpSideEffect")]
        assert len(begun) >= 4
    assert len(orders) > 1, "other choices, another order"


def test_a_program_sleeps_in_virtual_time(tmp_path):
    command = written(
        tmp_path,
        """
        receive(0)
        began, wall = time.monotonic(), time.time()
        time.sleep(20)
        assert 20 <= time.monotonic() - began < 20.1 and 20 <= time.time() - wall < 20.1
        while True:
            for message in receive():
                perform(key_of(message))
                delete(message)
        """,
    )
    began = time.monotonic()
    simulation = _run(command, count=1)
    assert str(simulation.verdict.outcome) == "pass", simulation.verdict.reason
    assert simulation.history.effects[0].call.started > 20
    assert time.monotonic() - began < 20


def test_a_thread_beats_in_virtual_time_while_the_work_takes_long(tmp_path):
    command = written(
        tmp_path,
        """
        def beat(message, over):
            while not over.wait(0.5):
                sqs("ChangeMessageVisibility", ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=2)
        while True:
            for message in receive():
                over = threading.Event()
                threading.Thread(target=beat, args=(message, over), daemon=True).start()
                if not was_done(key_of(message)):
                    perform(key_of(message))
                over.set()
                delete(message)
        """,
    )
    simulation = _run(command, "heartbeat", count=4)
    assert (_violated(simulation), simulation.verdict.unprotected) == (set(), {}), simulation.verdict.reason
    assert len(simulation.history.calls("ChangeVisibility")) >= 4


def test_a_program_that_a_fault_ends_is_started_again(tmp_path):
    command = written(tmp_path, LOOKS)
    # The other consumer stands still meanwhile.
    faults = _schedule(
        ("consumer-1", RandomFault(Kind.THROTTLE, 1)), ("consumer-2", RandomFault(Kind.PAUSE, 1, SIZES - 2))
    )
    simulation = _run(command, faults=faults, count=1)
    assert simulation.history.exits["consumer-1"].code == 1
    assert str(simulation.verdict.outcome) == "pass", simulation.verdict.reason
    assert simulation.history.receives_of["consumer-1-2"]


def test_the_configuration_raises_what_its_queue_has_and_what_it_prints_is_kept(tmp_path, project):
    (project / CONFIG).write_text("visibility = 30\nreceives = 9\nwork = 10\n")
    says = 'sqs("GetQueueAttributes", AttributeNames=["All"])\nprint("begins", flush=True)\n'
    simulation = _run(written(tmp_path, says + LOOKS), count=1)
    assert str(simulation.verdict.outcome) == "pass", simulation.verdict.reason
    facts = simulation.history.facts
    assert (facts.visibility_timeout, facts.max_receive_count) == (40, 9)
    assert simulation.logs == {"consumer-1": ("begins",), "consumer-2": ("begins",)}


# --- what cannot be explored ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("sys.exit(3)", "ended by itself with exit code 3, and nothing had gone wrong"),
        ("time.sleep(600)", "has run for 2 s and never asked for anything"),
        ("receive(0)\nwhile True: pass", "computes for more than"),
        (
            """
            import socket
            s = socket.create_connection(ENV["AWS_ENDPOINT_URL"].split("//")[1].split(":"))
            s.sendall(b"garbage" * 9 + b"\\r\\n\\r\\n")
            time.sleep(600)
            """,
            "sent what is no HTTP request",
        ),
        ("if os.fork(): os._exit(0)\nos.setsid()\nwhile True: receive()", "has forked away"),
        ("sqs('DeleteMessage', Handle='x')", "sends a DeleteMessage that the lab cannot read"),
    ],
)
def test_what_a_program_does_that_cannot_be_explored_is_one_sentence(tmp_path, monkeypatch, body, said):
    monkeypatch.setattr("scenarios.lockstep.child.COMPUTING", 1.0)
    with pytest.raises(BrokenProgramError) as raised:
        _run(written(tmp_path, body), startup_timeout=2.0)
    assert said in str(raised.value)
    assert str(raised.value).count("\n") == 0


@pytest.mark.parametrize("kept", [False, True], ids=["alone", "beside a connection to the lab"])
def test_a_program_that_waits_for_another_host_is_one_sentence(tmp_path, kept):
    keeps = (
        "lab = socket.create_connection(ENV['AWS_ENDPOINT_URL'].split('//')[1].split(':'))\nreceive(0)\nreceive(0)\n"
    )
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        asks = keeps if kept else "receive(0)\n"
        body = f"import socket\n{asks}socket.create_connection(('127.0.0.1', {port})).recv(1)"
        with pytest.raises(BrokenProgramError, match=rf"waits for 127\.0\.0\.1:{port}, which cannot be held still"):
            _run(written(tmp_path, body))


@pytest.mark.thorough
def test_a_program_that_outlives_sigterm_is_killed_and_convicts_nobody(tmp_path):
    command = written(tmp_path, "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + LOOKS)
    simulation = _run(command, count=1)
    assert str(simulation.verdict.outcome) == "inconclusive"
    assert "waiting for consumer-1, consumer-2 to end" in simulation.verdict.reason


def test_what_a_program_has_started_ends_with_it(tmp_path):
    starts = 'import subprocess\nsubprocess.Popen(["sleep", "600"], start_new_session=True)\n'
    command = written(tmp_path, starts + LOOKS)
    simulation = _run(command, count=1)
    assert str(simulation.verdict.outcome) == "pass", simulation.verdict.reason


def test_a_scenario_that_no_program_can_show_is_refused(tmp_path):
    with pytest.raises(RequestError, match=r"a program can be explored in: .*crash.*deliveries"):
        make_target("saga", consumer=written(tmp_path, LOOKS))
