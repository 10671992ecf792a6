"""A good message in the dead-letter queue convicts a consumer that had a fair chance, and no other."""

import pytest

from scenarios.checks.clean_receives import TOO_BUSY, acquitted
from scenarios.history import ENDPOINT
from services.consumer.patterns import Pattern
from tests.scenarios.recorded import Told

TIMEOUT = 10.0


class DeadLettered(Told):
    """A message that is received a number of times, each time by a consumer of its own, and then dead-lettered."""

    def __init__(self, **facts):
        super().__init__(visibility_timeout=TIMEOUT, **{"max_receive_count": 4, **facts})
        self.event("lab", "begin")

    def receive_at(self, seconds, process, *ids, count=1, chaos=()):
        self.now = max(self.now, seconds)
        for identity in ids:
            self.endpoint("delivered", identity, receive_count=count, chaos=list(chaos))
        self.receive(process, *ids, count=count)

    def claim(self, process, identity, fault="", **details):
        """Ask for a claim, which a fault may strike; one with ``nth`` is the scenario's own."""
        invocation = self.begin(process, "Claim", key=identity, owner=process, lease_seconds=5.0)
        if fault:
            self.fault(process, invocation, "Claim", kind=fault, **details)
        if fault == "crash":
            self.exit(process, -9)
        elif fault:
            self.fail(process, invocation, "Claim")
        else:
            self.end(process, invocation, "Claim", {"type": "HeldByAnother"})

    def dead_letter_at(self, seconds, identity):
        self.now = seconds
        self.endpoint("dead-lettered", identity, receive_count=4)

    def acquitted(self, identity="a"):
        return acquitted(self.history).get(f"m-{identity}", "")


def dead_lettered(*receives, **facts):
    """Tell of a message that came each 30 s, with what struck each time: a fault, one that was staged, or nothing."""
    told = DeadLettered(**facts)
    told.send("a", endpoint=True)
    for number, struck in enumerate(receives, 1):
        told.receive_at(30.0 * number, f"consumer-{number}", "a", count=number)
        kind, _, staged = struck.partition(" ")
        told.claim(f"consumer-{number}", "a", kind, **({"nth": 1} if staged else {}))
    told.dead_letter_at(30.0 * (len(receives) + 1), "a")
    return told


@pytest.mark.parametrize(
    "fault", ["crash", "error", "reply-lost", "late-request", "pause", "freeze", "delay", "sigterm"]
)
def test_faults_alone_convict_no_consumer(fault):
    assert "none of its 4 receives was clean" in dead_lettered(*[fault] * 4).acquitted()


def test_one_clean_receive_is_a_fair_chance():
    assert dead_lettered("crash", "crash", "", "crash").acquitted() == ""


def test_within_the_faults_of_the_scenario_every_correct_consumer_wins():
    assert dead_lettered(*["error staged"] * 4).acquitted() == ""


def test_a_fault_on_top_of_those_of_the_scenario_is_one_too_many():
    assert dead_lettered("error staged", "error staged", "crash", "error staged").acquitted()


def kept_waiting(*waits, waiter="consumer-{}", naive=False):
    """Tell of a message that came four times; each consumer waited so many seconds of two for a processor."""
    told = DeadLettered()
    told.records[0]["naive"] = naive
    told.send("a", endpoint=True)
    for number, seconds in enumerate(waits, 1):
        told.receive_at(30.0 * number, f"consumer-{number}", "a", count=number)
        for _ in range(2):
            told.now += 2.0
            told.event("lab", "waited", waiter=waiter.format(number), seconds=seconds, within=2.0)
    told.dead_letter_at(30.0 * (len(waits) + 1), "a")
    return told.acquitted()


@pytest.mark.parametrize("waiter", ["consumer-{}", ENDPOINT, "lab"])
def test_a_machine_that_keeps_a_consumer_or_what_answers_it_from_its_processors_convicts_nobody(waiter):
    assert "a machine that was too busy" in kept_waiting(1.3, 1.3, 1.3, 1.3, waiter=waiter)


@pytest.mark.parametrize("waits", [(1.3, 1.3, 0.0, 1.3), (1.2, 1.2, 1.2, 1.2)])
def test_a_consumer_that_once_had_most_of_its_time_had_a_fair_chance(waits):
    assert kept_waiting(*waits) == ""


def test_a_busy_machine_is_no_excuse_for_a_naive_twin():
    assert kept_waiting(1.3, 1.3, 1.3, 1.3, naive=True) == ""


def test_another_process_that_waits_takes_no_chance():
    assert kept_waiting(1.3, 1.3, 1.3, 1.3, waiter="producer") == ""


@pytest.mark.parametrize(("comes_again", "convicts"), [(TIMEOUT + 1.0, False), (3 * TIMEOUT, True)])
def test_a_throttled_batch_that_is_invoked_late_holds_its_message_into_the_next_delivery(comes_again, convicts):
    told = DeadLettered(max_receive_count=2)
    told.send("a", endpoint=True)
    told.receive_at(30.0, "mapping", "a")
    at = told.begin("mapping", "InvokeFunction", messages=["m-a"])
    told.fault("mapping", at, "InvokeFunction", kind="throttle", seconds=1.0)
    told.fail("mapping", at, "InvokeFunction", code="TooManyRequestsException")
    told.receive_at(30.0 + comes_again, "mapping", "a", count=2)
    told.claim("mapping", "a")
    told.dead_letter_at(120.0, "a")
    assert bool(told.acquitted()) is not convicts


@pytest.mark.parametrize("fault", ["clock-skew", "clock-jump", "clock-drift"])
def test_a_wrong_clock_takes_no_chance(fault):
    assert dead_lettered(*[fault] * 4).acquitted() == ""


def test_a_consumer_that_needs_no_spare_receives_is_convicted_all_the_same():
    told = dead_lettered(*["crash"] * 4)
    told.records[0] = {**told.records[0], "assumes": ["no-late-requests"]}
    assert told.acquitted() == ""
    told.records[0] = {**told.records[0], "assumes": ["spare-receives"]}
    assert told.acquitted()


def struck_and_then_held(operation, fault, gap, receives, follows=None, **details):
    """Tell of a message whose first consumer is struck at an operation, and which the second finds held."""
    declared = {} if follows is None else {"follows": follows}
    told = DeadLettered(max_receive_count=receives, **declared)
    told.send("a", endpoint=True)
    told.receive_at(10.0, "consumer-1", "a")
    invocation = told.begin("consumer-1", operation, key="a")
    told.fault("consumer-1", invocation, operation, kind=fault, **details)
    if fault == "crash":
        told.exit("consumer-1", -9)
    told.receive_at(10.0 + gap, "consumer-2", "a", count=2)
    told.claim("consumer-2", "a")
    told.dead_letter_at(60.0, "a")
    return told.acquitted()


@pytest.mark.parametrize(("gap", "spared"), [(TIMEOUT, True), (2.5 * TIMEOUT, False)])
def test_a_claim_of_a_dead_consumer_takes_the_next_receive_and_not_those_after_its_lease(gap, spared):
    assert bool(struck_and_then_held("Claim", "crash", gap, receives=5)) is spared


@pytest.mark.parametrize("follows", [None, [Pattern.SHORT_LEASE]])
def test_where_receives_are_few_a_crash_may_not_cost_two_of_them(follows):
    assert struck_and_then_held("Claim", "crash", TIMEOUT, receives=2, follows=follows) == ""


def test_it_may_where_the_consumer_does_not_promise_a_lease_that_ends_before_its_delivery_does():
    assert struck_and_then_held("Claim", "crash", TIMEOUT, receives=2, follows=[Pattern.CLAIMS])
    assert struck_and_then_held("Claim", "crash", 3 * TIMEOUT, receives=2, follows=[Pattern.CLAIMS]) == ""


def test_a_claim_that_came_late_may_cost_another_receive_and_late_work_may_not():
    assert struck_and_then_held("Claim", "delay", TIMEOUT, receives=2, seconds=5.0)
    assert struck_and_then_held("PerformSideEffect", "delay", TIMEOUT, receives=2, seconds=5.0) == ""


@pytest.mark.parametrize(("seconds", "spared"), [(0, False), (5, True)])
def test_a_consumer_that_returns_held_messages_at_once_spends_their_receives_itself(seconds, spared):
    told = DeadLettered(max_receive_count=5)
    told.send("a", endpoint=True)
    told.receive_at(10.0, "consumer-1", "a")
    told.claim("consumer-1", "a", "crash")
    told.receive_at(15.0, "consumer-2", "a", count=2)
    told.claim("consumer-2", "a")
    told.do("consumer-2", "ChangeVisibility", (), messages=["m-a"], timeout=seconds)
    told.dead_letter_at(22.0, "a")
    assert bool(told.acquitted()) is spared


def test_a_claim_that_the_scenario_makes_long_takes_more():
    told = DeadLettered(max_receive_count=2)
    told.event("lab", "long-lease", consumer="consumer-1", seconds=3 * TIMEOUT)
    told.send("a", endpoint=True)
    told.receive_at(10.0, "consumer-1", "a")
    told.claim("consumer-1", "a", "crash")
    told.receive_at(10.0 + 2.5 * TIMEOUT, "consumer-2", "a", count=2)
    told.claim("consumer-2", "a")
    told.dead_letter_at(60.0, "a")
    assert told.acquitted()


@pytest.mark.parametrize(
    ("chaos", "fault", "spared"),
    [
        (("duplicate",), "error", True),
        # No fault at all: the consumer that had it first let it lie.
        (("duplicate",), "", False),
        # The second receive was clean.
        (("reordered",), "error", False),
    ],
)
def test_a_second_delivery_by_the_queue_is_no_chance_where_a_fault_took_the_first(chaos, fault, spared):
    told = DeadLettered(max_receive_count=3)
    told.send("a", endpoint=True)
    told.receive_at(10.0, "consumer-1", "a")
    told.claim("consumer-1", "a", fault)
    told.receive_at(50.0, "consumer-2", "a", count=2)
    told.receive_at(51.0, "consumer-3", "a", count=3, chaos=chaos)
    told.claim("consumer-3", "a")
    told.dead_letter_at(90.0, "a")
    assert bool(told.acquitted()) is spared


@pytest.mark.parametrize("lost", [True, False])
def test_what_no_consumer_saw_is_no_chance(lost):
    told = DeadLettered(max_receive_count=1)
    told.send("a", endpoint=True)
    told.now = 10.0
    invocation = told.begin("consumer-1", "Receive", max_messages=10, wait_seconds=1)
    told.endpoint("delivered", "a", receive_count=1)
    if lost:
        told.fault("consumer-1", invocation, "Receive", kind="reply-lost")
        told.fail("consumer-1", invocation, "Receive")
    else:
        told.end("consumer-1", invocation, "Receive", [told.delivered("a")])
    told.dead_letter_at(30.0, "a")
    assert bool(told.acquitted()) is lost


@pytest.mark.parametrize(("fifo", "spared"), [(True, True), (False, False)])
def test_what_stands_behind_a_spoiled_message_of_its_group_has_no_chance(fifo, spared):
    told = DeadLettered(fifo=fifo, max_receive_count=5)
    told.send("a", "b", group="g", endpoint=True)
    told.receive_at(10.0, "consumer-1", "a")
    told.claim("consumer-1", "a", "crash")
    told.receive_at(15.0, "consumer-2", "a", "b", count=2)
    told.claim("consumer-2", "a")
    told.dead_letter_at(60.0, "b")
    assert bool(told.acquitted("b")) is spared


def test_slow_work_of_the_scenario_is_no_fault_unless_it_leaves_no_time():
    def told_of(seconds):
        told = DeadLettered(max_receive_count=2)
        told.send("a", endpoint=True)
        told.receive_at(10.0, "consumer-1", "a")
        told.claim("consumer-1", "a", "crash")
        told.receive_at(50.0, "consumer-2", "a", count=2)
        told.claim("consumer-2", "a", "delay", nth=0, seconds=seconds)
        told.dead_letter_at(90.0, "a")
        return told.acquitted()

    assert told_of(0.1 * TIMEOUT) == ""
    assert told_of(0.8 * TIMEOUT)


def test_a_consumer_that_was_killed_from_outside_had_no_chance_and_one_that_died_by_itself_had():
    def told_of(code):
        told = DeadLettered(max_receive_count=1)
        told.send("a", endpoint=True)
        told.receive_at(10.0, "consumer-1", "a")
        told.exit("consumer-1", code)
        told.dead_letter_at(60.0, "a")
        return told.acquitted()

    assert told_of(-9)
    assert told_of(1) == ""


def test_poison_is_no_matter():
    told = DeadLettered(max_receive_count=1)
    told.send("a", poison=True, endpoint=True)
    told.receive_at(10.0, "consumer-1", "a")
    told.claim("consumer-1", "a", "crash")
    told.dead_letter_at(60.0, "a")
    assert told.acquitted() == ""


# --- functions on a busy machine -------------------------------------------------------------------------------------


def timed_out(*starved, error="timeout", message="a"):
    """Tell of a message whose function ends badly each time, having waited for a processor for so many seconds of 2."""
    told = DeadLettered()
    told.send("a", "b", endpoint=True)
    for number, seconds in enumerate(starved, 1):
        told.receive_at(30.0 * number, "function", "a", count=number)
        at = told.begin("function", "InvokeFunction", messages=[f"m-{message}"], attempt=1)
        told.now += 2.0
        told.event("function", "environment-timed-out", pid=1, batch=number, starved=seconds, within=2.0)
        told.fail("function", at, "InvokeFunction", code=error, transient=False)
    told.dead_letter_at(30.0 * (len(starved) + 1), "a")
    return told


def test_a_function_that_the_machine_starved_each_time_is_convicted_of_nothing():
    assert "none of its 4 receives was clean" in timed_out(0.5, 1.0, 1.9, 0.6).acquitted()


def answered_on_a_busy_machine(error, message="a"):
    """Tell of a message whose invocations all end in one way, while the endpoint waits for a processor."""
    told = DeadLettered()
    told.send("a", "b", endpoint=True)
    for count in range(1, 5):
        told.receive_at(30.0 * count, "function", "a", count=count)
        at = told.begin("function", "InvokeFunction", messages=[f"m-{message}"], attempt=1)
        for _ in range(2):
            told.now += 2.0
            told.event("lab", "waited", waiter=ENDPOINT, seconds=1.3, within=2.0)
        told.fail("function", at, "InvokeFunction", code=error, transient=False)
    told.dead_letter_at(150.0, "a")
    return told.acquitted()


def test_a_malformed_answer_is_the_functions_own_however_busy_the_machine_is():
    assert answered_on_a_busy_machine("malformed answer") == ""


@pytest.mark.parametrize(("error", "message"), [("error", "a"), ("exit", "a"), ("malformed answer", "b")])
def test_any_other_end_on_a_busy_machine_convicts_no_function(error, message):
    assert TOO_BUSY in answered_on_a_busy_machine(error, message)


@pytest.mark.parametrize(
    "told",
    [
        timed_out(0.5, 1.0, 0.4, 0.6),
        timed_out(0.0, 0.0, 0.0, 0.0),
        timed_out(1.0, 1.0, 1.0, 1.0, error="error"),
        timed_out(1.0, 1.0, 1.0, 1.0, message="b"),
    ],
    ids=["one-fair-chance", "idle-machine", "it-raised", "another-message"],
)
def test_a_function_that_had_its_time_once_is_convicted(told):
    assert told.acquitted() == ""


@pytest.mark.parametrize("kind", ["partition", "throttling", "expired-credentials"])
@pytest.mark.parametrize(
    ("lasts", "planned", "convicts"), [(45.0, False, False), (5.0, False, True), (45.0, True, True)]
)
def test_a_fault_that_lasts_excuses_the_receives_within_it_unless_the_scenario_asked_for_it(
    kind, lasts, planned, convicts
):
    told = DeadLettered(max_receive_count=2)
    told.send("a", endpoint=True)
    told.receive_at(30.0, "consumer-1", "a")
    told.claim("consumer-1", "a", kind, seconds=lasts, **({"nth": 1} if planned else {}))
    told.receive_at(60.0, "consumer-1", "a", count=2)
    told.claim("consumer-1", "a")
    told.dead_letter_at(90.0, "a")
    assert bool(told.acquitted()) is not convicts
