import json
import random
from collections import Counter, deque

import pytest

from services import operations as op
from services.drivers.recorded import RecordedDriver
from services.errors import ConfigurationError
from services.faults import PATH_LENGTH, Fault, FaultPlan, parse_faults
from services.history import Recorder
from tests.services.world import World, message


class Killed(BaseException):
    """Stands for SIGKILL: nothing of the process runs after it."""


class Handler:
    def __init__(self):
        self.delays = []
        self.later_on = []

    def crash(self):
        raise Killed

    def delay(self, seconds):
        self.delays.append(seconds)

    def later(self, seconds, act):
        self.later_on.append((seconds, act))


class Recorded:
    """A world behind a recorded driver, and what it recorded."""

    def __init__(self, *faults, world=None, **chance):
        self.records = []
        self.handler = Handler()
        self.world = world or World()
        recorder = Recorder(self.records.append, "me", lambda: 1.5, "q")
        self.driver = RecordedDriver(self.world, recorder, FaultPlan(faults, **chance), self.handler)

    def perform(self, operation):
        return self.driver.perform(operation)

    def types(self):
        return [record["type"] for record in self.records]


def effect(number):
    return op.PerformSideEffect(f"key-{number}", f"m-{number}", number, "g")


def test_an_operation_leaves_a_record_before_and_one_after():
    recorded = Recorded()
    assert recorded.perform(effect(1)) == 1
    invoke, ok = recorded.records
    assert invoke == {
        "time": 1.5, "process": "me", "index": 0, "type": "invoke", "operation": "PerformSideEffect",
        "arguments": {"key": "key-1", "message_id": "m-1", "sequence": 1, "group": "g"}, "queue": "q",
    }  # fmt: skip
    assert (ok["type"], ok["invocation"], ok["result"]) == ("ok", 0, 1)


def test_a_failure_is_recorded_with_its_code():
    recorded = Recorded()
    recorded.world.answer(op.PerformSideEffect, op.OperationFailed("Throttling", "slow down", transient=True))
    with pytest.raises(op.OperationFailed):
        recorded.perform(effect(1))
    assert recorded.types() == ["invoke", "fail"]
    assert recorded.records[1]["error"] == "Throttling"


def test_clocks_and_sleeps_are_not_recorded_and_a_note_is_an_event():
    recorded = Recorded()
    for operation in (op.ReadClock(), op.Sleep(1.0), op.Note("started", {"fifo": True})):
        recorded.perform(operation)
    assert [(record["type"], record["event"], record["fifo"]) for record in recorded.records] == [
        ("event", "started", True)
    ]


def test_a_crash_before_leaves_the_operation_undone():
    recorded = Recorded(Fault("crash", "PerformSideEffect", point="before"))
    with pytest.raises(Killed):
        recorded.perform(effect(1))
    assert recorded.types() == ["invoke", "fault"]
    assert recorded.world.ledger == {}


def test_a_crash_during_leaves_it_done_and_unknown():
    recorded = Recorded(Fault("crash", "PerformSideEffect", point="during"))
    with pytest.raises(Killed):
        recorded.perform(effect(1))
    assert recorded.types() == ["invoke", "fault"]
    assert recorded.world.ledger == {"key-1": 1}


def test_a_crash_after_leaves_it_done_and_known():
    recorded = Recorded(Fault("crash", "PerformSideEffect", point="after"))
    with pytest.raises(Killed):
        recorded.perform(effect(1))
    assert recorded.types() == ["invoke", "ok", "fault"]
    assert recorded.world.ledger == {"key-1": 1}


def test_a_lost_reply_leaves_it_done_and_unknown():
    recorded = Recorded(Fault("reply-lost", "PerformSideEffect"))
    with pytest.raises(op.OperationFailed, match="ReadTimeoutError"):
        recorded.perform(effect(1))
    assert recorded.types() == ["invoke", "fault", "fail"]
    assert recorded.world.ledger == {"key-1": 1}
    recorded.perform(effect(2))
    assert recorded.world.ledger == {"key-1": 1, "key-2": 1}


def test_the_reply_of_a_receive_that_brings_nothing_is_not_lost():
    recorded = Recorded(Fault("reply-lost", "Receive"), world=World((), [message(1)]))
    assert recorded.perform(op.Receive(1, 0)) == ()
    with pytest.raises(op.OperationFailed, match="ReadTimeoutError"):
        recorded.perform(op.Receive(1, 0))


def test_a_fault_strikes_at_the_nth_operation_of_its_kind_and_only_there():
    recorded = Recorded(Fault("error", "PerformSideEffect", nth=2, code="Throttling"))
    recorded.perform(effect(1))
    with pytest.raises(op.OperationFailed, match="Throttling"):
        recorded.perform(effect(2))
    recorded.perform(effect(3))
    assert recorded.world.ledger == {"key-1": 1, "key-3": 1}


def test_a_fault_at_the_side_effect_strikes_whatever_causes_it_and_counts_it():
    calls = [op.CallApi(f"key-{number}", f"m-{number}", f"key-{number}") for number in (1, 2)]
    for named in ("PerformSideEffect", "CallApi"):
        plan = FaultPlan([Fault("delay", named, nth=2, seconds=1.0)])
        assert all(plan.may_strike(operation) for operation in (effect(1), calls[0]))
        assert not plan.may_strike(op.LookUpSideEffect("key-1"))
        assert list(plan.before(effect(1))) == []
        assert list(plan.before(op.LookUpSideEffect("key-1"))) == []
        assert [fault.kind for fault in plan.before(calls[1])] == ["delay"]


def test_a_fault_at_the_side_effect_strikes_a_transaction_with_it_and_no_other():
    row = op.PutItem("inbox/key-1", "done", if_absent=True)
    plan = FaultPlan([Fault("error", "PerformSideEffect", where={"key": "key-1"})])
    with_it, without = op.Transact((row,), effect(1)), op.Transact((row,))
    assert plan.may_strike(with_it)
    assert list(plan.before(without)) == []
    assert [fault.kind for fault in plan.before(with_it)] == ["error"]
    assert list(FaultPlan([Fault("error", "Transact", nth=0)]).before(effect(1))) == []


def test_nth_zero_strikes_every_time():
    recorded = Recorded(Fault("delay", "PerformSideEffect", nth=0, seconds=2.5))
    for number in (1, 2):
        recorded.perform(effect(number))
    assert recorded.handler.delays == [2.5, 2.5]
    assert recorded.types() == ["invoke", "fault", "ok"] * 2


def test_faults_that_fail_count_for_those_that_are_to_strike_later():
    recorded = Recorded(*(Fault("error", "PerformSideEffect", nth=number) for number in (1, 2)))
    for number in (1, 2):
        with pytest.raises(op.OperationFailed):
            recorded.perform(effect(number))
    recorded.perform(effect(3))
    assert recorded.world.ledger == {"key-3": 1}


def test_a_batch_fails_in_part_and_the_rest_is_done():
    recorded = Recorded(Fault("partial-failure", "Delete", entries=(0, 2, 9)))
    failures = recorded.perform(op.Delete((message(0), message(1), message(2))))
    assert [(failure.entry, failure.sender_fault) for failure in failures] == [(0, False), (2, False)]
    assert recorded.world.deleted == ["m-1"]
    assert recorded.types() == ["invoke", "fault", "ok"]
    assert recorded.perform(op.Delete((message(0), message(2)))) == ()


def test_a_batch_of_which_all_fails_is_not_even_asked_for():
    recorded = Recorded(Fault("partial-failure", "Send", entries=(0,)))
    result = recorded.perform(op.Send((op.OutgoingMessage("{}"),)))
    assert (result.sent, [failure.entry for failure in result.failed]) == ((), [0])
    assert recorded.world.asked == []


def test_where_narrows_to_a_message():
    recorded = Recorded(Fault("error", "PerformSideEffect", where={"sequence": 3}))
    recorded.perform(effect(1))
    with pytest.raises(op.OperationFailed):
        recorded.perform(effect(3))


def test_where_finds_a_message_among_those_of_a_batch():
    recorded = Recorded(Fault("crash", "Delete", point="before", where={"key": "key-2"}))
    recorded.perform(op.Delete((message(1),)))
    with pytest.raises(Killed):
        recorded.perform(op.Delete((message(1), message(2))))


def test_a_receive_that_brings_nothing_is_not_counted():
    recorded = Recorded(Fault("crash", "Receive", nth=2), world=World((), [message(1)], (), [message(2)]))
    for _ in range(3):
        recorded.perform(op.Receive(1, 0))
    with pytest.raises(Killed):
        recorded.perform(op.Receive(1, 0))


def test_a_crash_rate_of_one_crashes_on_the_way_of_the_first_message_and_of_zero_never():
    points = set()
    for seed in range(40):
        recorded = Recorded(world=World([message(1)]), crash_rate=1.0, rng=random.Random(seed))
        steps = [op.Receive(1, 0), op.Claim("k", "me", 1.0), effect(1), op.Complete("k", 1), op.Delete((message(1),))]
        with pytest.raises(Killed):
            deque(map(recorded.perform, steps), maxlen=0)
        points.add(recorded.types().count("ok"))
    assert points == set(range(1, PATH_LENGTH + 1))

    calm = Recorded(world=World([message(1)]), crash_rate=0.0)
    for operation in (op.Receive(1, 0), effect(1)):
        calm.perform(operation)


def test_a_crash_rate_is_about_the_messages_and_reproducible():
    def crashes(seed):
        plan = FaultPlan(crash_rate=0.2, rng=random.Random(seed))
        hits = []
        for number in range(300):
            struck = [list(plan.after(op.Receive(1, 0), (message(number),)))]
            struck += [list(plan.after(effect(number), 1)) for _ in range(PATH_LENGTH)]
            hits.append(any(struck))
        return hits

    assert crashes(5) == crashes(5) != crashes(6)
    assert 30 < sum(crashes(5)) < 90


def test_faults_are_read_from_json():
    text = '[{"kind": "crash", "operation": "Claim", "point": "before", "nth": 2, "where": {"key": "k"}}]'
    assert parse_faults(text) == (Fault("crash", "Claim", point="before", nth=2, where={"key": "k"}),)
    assert parse_faults("") == ()
    fault = Fault("partial-failure", "Delete", entries=(0, 2))
    assert parse_faults(json.dumps([fault.as_json()])) == (fault,)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ('{"kind": "crash"}', "must be a JSON list"),
        ('[{"kind": "meteor", "operation": "Claim"}]', "needs a kind: crash, error, delay, reply-lost"),
        ('[{"kind": "crash", "operation": "Pray"}]', "needs an operation: AddToCounter, AppendToLog"),
        ('[{"kind": "crash", "operation": "Sleep"}]', "needs an operation"),
        ('[{"kind": "crash", "operation": "Claim", "when": 3}]', "knows only"),
        ('[{"kind": "crash", "operation": "Claim", "nth": 1.5}]', "nth"),
        ('[{"kind": "crash", "operation": "Claim", "nth": -1}]', "nth"),
        ('[{"kind": "crash", "operation": "Claim", "nth": true}]', "nth"),
        ('[{"kind": "delay", "operation": "Claim", "seconds": "two"}]', "seconds"),
        ('[{"kind": "delay", "operation": "Claim", "seconds": NaN}]', "seconds"),
        ('[{"kind": "late-request", "operation": "Claim"}]', "needs seconds above 0"),
        ('[{"kind": "crash", "operation": "Claim", "where": 3}]', "where"),
        ('[{"kind": "crash", "operation": "Claim", "point": "beside"}]', "needs a point: before, during or after"),
        ('[{"kind": "partial-failure", "operation": "Claim", "entries": [0]}]', "fails in part, which only"),
        ('[{"kind": "partial-failure", "operation": "Delete", "entries": [-1]}]', "entries"),
        ('[{"kind": "partial-failure", "operation": "Delete", "entries": 1}]', "entries"),
    ],
)
def test_a_wrong_fault_is_one_sentence(text, complaint):
    with pytest.raises(ConfigurationError, match="FAULTS.*" + complaint) as results:
        parse_faults(text)
    assert "\n" not in str(results.value)


def test_a_late_request_times_out_now_and_is_done_later():
    recorded = Recorded(Fault("late-request", "PerformSideEffect", seconds=3.0))
    with pytest.raises(op.OperationFailed, match="ReadTimeoutError"):
        recorded.perform(effect(1))
    assert recorded.types() == ["invoke", "fault", "fail"]
    assert recorded.world.asked == []
    ((seconds, arrive),) = recorded.handler.later_on
    assert seconds == 3.0
    arrive()
    assert recorded.world.asked == [effect(1)]
    told = recorded.records[-1]
    assert (told["event"], told["operation"], told["invocation"], told["key"]) == (
        "arrived-late", "PerformSideEffect", 0, "key-1",
    )  # fmt: skip
    assert "error" not in told


def test_a_late_request_that_is_refused_says_so():
    recorded = Recorded(Fault("late-request", "PerformSideEffect", seconds=3.0))
    with pytest.raises(op.OperationFailed):
        recorded.perform(effect(1))
    recorded.world.answer(op.PerformSideEffect, op.OperationFailed("Throttling", "slow down", transient=True))
    recorded.handler.later_on[0][1]()
    assert recorded.records[-1]["error"] == "Throttling"


def test_a_batch_that_fails_in_part_and_is_not_answered_is_a_fault_of_a_batch_alone():
    text = '[{"kind": "partial-reply-lost", "operation": "Delete", "entries": [1]}]'
    (fault,) = parse_faults(text)
    assert (fault.kind, fault.entries) == ("partial-reply-lost", (1,))
    with pytest.raises(ConfigurationError, match="which only a batch can"):
        parse_faults(text.replace("Delete", "Claim"))


def test_the_entries_that_it_spares_are_done_and_the_caller_hears_of_a_timeout():
    records, done = [], []

    class Inner:
        def perform(self, operation):
            done.extend(item.message_id for item in operation.messages)
            return ()

    plan = FaultPlan(parse_faults('[{"kind": "partial-reply-lost", "operation": "Delete", "entries": [1]}]'))
    driver = RecordedDriver(Inner(), Recorder(records.append, "c", lambda: 0.0), plan, None)
    with pytest.raises(op.OperationFailed, match="ReadTimeoutError"):
        driver.perform(op.Delete(tuple(op.Message(name, "r", "{}") for name in "abc")))
    assert done == ["a", "c"]
    assert [record["type"] for record in records] == ["invoke", "fault", "fail"]
    assert records[-1]["transient"] is True


@pytest.mark.parametrize(("code", "transient"), [("ExpiredTokenException", False), ("ServiceUnavailable", True)])
def test_an_injected_error_passes_unless_its_code_is_one_that_stays(code, transient):
    plan = FaultPlan([Fault("error", "Claim", code=code)])
    driver = RecordedDriver(None, Recorder([].append, "c", lambda: 0.0), plan, None)
    with pytest.raises(op.OperationFailed) as failed:
        driver.perform(op.Claim("k", "me", 1.0))
    assert failed.value.transient is transient


class Passing:
    """A clock that the test moves."""

    now = 0.0

    def __call__(self):
        return self.now


def code_of(recorded, operation):
    """Return the code of the error that an operation meets; empty for none."""
    try:
        recorded.perform(operation)
    except op.OperationFailed as error:
        return error.code
    return ""


@pytest.mark.parametrize(
    ("kind", "reach", "of_queue", "of_ledger"),
    [
        ("partition", "", "EndpointConnectionError", "EndpointConnectionError"),
        ("partition", "queue", "EndpointConnectionError", ""),
        ("throttling", "world", "", "ProvisionedThroughputExceededException"),
        ("throttling", "", "ThrottlingException", "ProvisionedThroughputExceededException"),
        ("expired-credentials", "", "ExpiredTokenException", "ExpiredTokenException"),
    ],
)
def test_what_lasts_strikes_all_that_it_reaches_until_its_time_is_over(kind, reach, of_queue, of_ledger):
    clock = Passing()
    fault = Fault(kind, "PerformSideEffect", nth=2, seconds=3.0, reach=reach)
    recorded = Recorded(fault, now=clock)
    assert [code_of(recorded, operation) for operation in (op.Receive(1, 0), effect(1))] == ["", ""]
    met = [code_of(recorded, operation) for operation in (effect(2), op.Receive(1, 0), op.DescribeQueue())]
    assert met == [of_ledger, of_queue, ""], "what a process does before its first message is spared"
    clock.now = 2.9
    assert code_of(recorded, effect(2)) == of_ledger
    clock.now = 3.0
    assert [code_of(recorded, operation) for operation in (op.Receive(1, 0), effect(3))] == ["", ""]
    struck = [record["fault"] for record in recorded.records if record["type"] == "fault"]
    assert struck[0] == fault.as_json()
    assert {each["during"] for each in struck[1:]} == {kind}
    assert all("nth" in each for each in struck), "a scenario has planned all of it"


def test_a_partition_may_lose_the_replies_alone():
    clock = Passing()
    recorded = Recorded(Fault("partition", "PerformSideEffect", point="during", seconds=1.0, reach="world"), now=clock)
    assert code_of(recorded, effect(1)) == code_of(recorded, effect(1)) == "ReadTimeoutError"
    clock.now = 1.5
    assert code_of(recorded, effect(1)) == ""
    assert recorded.world.ledger == {"key-1": 3}


def test_only_expired_credentials_do_not_pass():
    for kind, transient in (("partition", True), ("throttling", True), ("expired-credentials", False)):
        recorded = Recorded(Fault(kind, "PerformSideEffect", seconds=1.0), now=Passing())
        with pytest.raises(op.OperationFailed) as failed:
            recorded.perform(effect(1))
        assert failed.value.transient is transient


def test_in_a_brown_out_the_first_fails_and_of_the_others_a_share_fails_is_slow_or_hears_no_reply():
    clock = Passing()
    fault = Fault("brown-out", "PerformSideEffect", nth=2, seconds=3.0)
    recorded = Recorded(fault, now=clock)
    assert code_of(recorded, effect(1)) == ""
    assert code_of(recorded, effect(2)) == "InternalServerError"
    clock.now = 2.9
    codes = Counter(code_of(recorded, op.Receive(1, 0)) for _ in range(400))
    assert codes.keys() == {"", "InternalError", "ReadTimeoutError"}
    assert all(50 < count < 300 for count in codes.values())
    struck = [record["fault"] for record in recorded.records if record["type"] == "fault"]
    assert struck[0] == fault.as_json()
    assert {(each["kind"], each["during"]) for each in struck[1:]} == {
        (kind, "brown-out") for kind in ("error", "delay", "reply-lost")
    }
    assert set(recorded.handler.delays) == {0.3}
    clock.now = 3.0
    assert {code_of(recorded, op.Receive(1, 0)) for _ in range(100)} == {""}


def test_a_brown_out_may_reach_one_system_alone():
    recorded = Recorded(Fault("brown-out", "Receive", seconds=3.0, reach="queue"), now=Passing())
    assert code_of(recorded, op.Receive(1, 0)) == "InternalError"
    assert {code_of(recorded, effect(1)) for _ in range(100)} == {""}
    assert {code_of(recorded, op.Receive(1, 0)) for _ in range(100)} == {"", "InternalError", "ReadTimeoutError"}


@pytest.mark.parametrize(
    ("reach", "of_queue", "of_table", "operation"),
    [
        ("queue", "AWS.SimpleQueueService.NonExistentQueue", "", op.Receive(1, 0)),
        ("store", "", "ResourceNotFoundException", op.Claim("key", "me", 1.0)),
    ],
)
def test_what_is_deleted_is_refused_for_good(reach, of_queue, of_table, operation):
    clock = Passing()
    recorded = Recorded(Fault("deleted-resource", type(operation).__name__, reach=reach), now=clock)
    asked = (op.Receive(1, 0), op.Claim("key", "me", 1.0), effect(1))
    assert code_of(recorded, operation) == of_queue + of_table
    for clock.now in (1.0, 1e9):
        assert [code_of(recorded, each) for each in asked] == [of_queue, of_table, ""]
    with pytest.raises(op.OperationFailed) as failed:
        recorded.perform(operation)
    assert not failed.value.transient


def test_what_lasts_can_begin_at_a_second_of_the_process():
    clock = Passing()
    clock.now = 100.0
    fault = Fault("throttling", at=2.0, seconds=3.0, reach="queue")
    recorded = Recorded(fault, now=clock)
    assert code_of(recorded, op.DescribeQueue()) == ""  # its clock starts here
    met = []
    for clock.now in (101.9, 102.0, 104.9, 105.0):
        met.append((code_of(recorded, op.Receive(1, 0)), code_of(recorded, effect(1))))
    assert met == [("", ""), ("ThrottlingException", ""), ("ThrottlingException", ""), ("", "")]
    struck = [record["fault"] for record in recorded.records if record["type"] == "fault"]
    assert struck[0] == fault.as_json()
    assert [each["kind"] for each in struck[1:]] == ["error", "error"]


def test_what_is_over_before_the_process_asks_for_anything_is_not_told():
    clock = Passing()
    recorded = Recorded(Fault("partition", at=2.0, seconds=3.0), now=clock)
    assert code_of(recorded, op.DescribeQueue()) == ""
    clock.now = 5.0
    assert code_of(recorded, op.Receive(1, 0)) == ""
    assert not [record for record in recorded.records if record["type"] == "fault"]


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (Fault("partition", at=2.0, seconds=3.0), "ReadTimeoutError"),
        (Fault("partition", at=2.0, seconds=3.0, reach="store"), ""),
        (Fault("throttling", at=2.0, seconds=3.0), ""),
        (Fault("partition", at=4.0, seconds=3.0), ""),
    ],
)
def test_a_network_that_is_cut_while_a_reply_is_on_its_way_loses_it(fault, code):
    clock = Passing()
    plan = FaultPlan([fault], now=clock)
    list(plan.before(op.DescribeQueue()))
    assert not list(plan.before(op.Receive(1, 20)))
    clock.now = 3.0  # a long poll later
    kinds = [each.kind for each in plan.on_reply(op.Receive(1, 20), ())]
    assert ("reply-lost" in kinds) is bool(code)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('[{"kind": "partition", "operation": "Receive"}]', "needs seconds above 0: for how long"),
        ('[{"kind": "partition", "operation": "Receive", "seconds": 1, "nth": 0}]', "needs an nth from 1"),
        ('[{"kind": "partition", "operation": "Receive", "seconds": 1, "reach": "moon"}]', "needs a reach"),
        ('[{"kind": "expired-credentials", "operation": "Claim", "seconds": 1, "reach": "queue"}]', "needs a reach"),
        ('[{"kind": "error", "operation": "Receive", "reach": "queue"}]', "needs a reach"),
        ('[{"kind": "error", "operation": "Receive", "during": "partition"}]', "during"),
        ('[{"kind": "brown-out", "operation": "Receive"}]', "needs seconds above 0: for how long"),
        ('[{"kind": "deleted-resource", "operation": "Receive"}]', "needs a reach: queue or store"),
        ('[{"kind": "deleted-resource", "operation": "Receive", "reach": "world"}]', "needs a reach: queue or store"),
        (
            '[{"kind": "deleted-resource", "operation": "Receive", "reach": "queue", "seconds": 1}]',
            "needs no seconds",
        ),
        ('[{"kind": "partition", "operation": "Receive", "seconds": 1, "at": 2}]', "begins at a second"),
        ('[{"kind": "partition", "seconds": 1, "at": 2, "nth": 2}]', "begins at a second"),
        ('[{"kind": "crash", "at": 2}]', "begins at a second"),
        ('[{"kind": "partition", "seconds": 1, "at": -2}]', "needs at from 0"),
        ('[{"kind": "partition", "seconds": 1, "at": "soon"}]', "needs at from 0"),
        ('[{"kind": "partition", "seconds": 1}]', "needs an operation"),
    ],
)
def test_what_lasts_and_is_wrong_is_one_sentence(text, complaint):
    with pytest.raises(ConfigurationError, match="FAULTS.*" + complaint):
        parse_faults(text)
    for fault in (
        Fault("throttling", "Claim", nth=2, seconds=1.5, reach="store"),
        Fault("brown-out", at=2.5, seconds=1.5),
        Fault("deleted-resource", "Receive", reach="queue"),
    ):
        assert parse_faults(json.dumps([fault.as_json()])) == (fault,)
