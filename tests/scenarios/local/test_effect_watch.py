"""The watch over side effects: whose each is, between which two requests it was caused, and where faults strike."""

import re
import socket
from types import SimpleNamespace

import pytest

from scenarios.checks.effects import LogEffect
from scenarios.checks.program_config import ProgramConfig
from scenarios.errors import LabError, RequestError, UnsuitableError
from scenarios.local.effect_watch import EffectWatch, passes_by
from scenarios.local.observed_exchange import GoneError, Request
from scenarios.local.programs import Programs, Start
from scenarios.local.recording_proxy import _Shared
from services.faults import Fault, FaultPlan
from services.history import Recorder
from services.operations import Message, PerformSideEffect


class Source:
    """Side effects that a test causes."""

    words = "the table payments"

    def __init__(self, before=()):
        self.caused, self.before, self.error = [], frozenset(before), None

    def begin(self):
        pass

    def new(self, keys):
        if self.error:
            raise self.error
        found = [key for key in self.caused if keys is None or key in keys]
        self.caused = [key for key in self.caused if key not in found]
        return found

    def hold(self, _key):
        return None

    def check(self):
        pass

    def close(self):
        pass


class Keys:
    def key_of(self, message):
        return message.message_id

    def effect(self, key):
        return PerformSideEffect(key, key, group="g")


class World:
    def __init__(self, before=()):
        self.time, self.records, self.killed = 10.0, [], []
        self.source = Source(before)
        self.watch = EffectWatch(self.source, lambda: self.time)

    def program(self, name, *faults):
        recorder = Recorder(self.records.append, name, lambda: self.time)
        return self.watch.program(Keys(), recorder, _Shared(FaultPlan(faults)), lambda _: self.killed.append(name))

    @property
    def told(self):
        return [(record["process"], record["type"], record.get("result")) for record in self.records]


@pytest.fixture
def world():
    return World()


@pytest.fixture
def request_():
    client, other = socket.socketpair()
    with client, other:
        yield Request("POST", "/", {}, b"", client)


def hand(program, *keys):
    program.received([Message(key, f"handle-{key}", "{}") for key in keys])


def test_a_side_effect_lies_between_the_look_that_did_not_see_it_and_the_one_that_did(world, request_):
    program = world.program("one")
    hand(program, "a")
    world.time = 12.0
    program.begins(request_)
    world.source.caused.append("a")
    world.time = 15.0
    program.begins(request_)
    invoke, ok = world.records
    assert (invoke["time"], ok["time"], ok["result"]) == (12.0, 15.0, 1)


def test_a_side_effect_is_of_the_program_that_tells_of_it_and_never_of_one_that_has_not_seen_the_message(
    world, request_
):
    one, two = world.program("one"), world.program("two")
    hand(one, "a")
    one.ends(request_)
    hand(two, "a")
    world.source.caused.append("a")
    world.watch.look(two)  # it is about to be answered, and has not seen the message
    two.ends(request_)
    world.source.caused.append("a")
    world.watch.look(two)
    assert world.told == [("one", "invoke", None), ("one", "ok", 1), ("two", "invoke", None), ("two", "ok", 2)]


def test_a_crash_after_the_side_effect_strikes_before_the_next_request_is_sent_on(world, request_):
    program = world.program("one", Fault("crash", "PerformSideEffect", "after"))
    hand(program, "a")
    program.begins(request_)
    assert world.killed == []
    world.source.caused.append("a")
    with pytest.raises(GoneError):
        program.begins(request_)
    assert world.killed == ["one"]


def test_a_crash_before_it_strikes_at_the_request_that_another_program_showed(world, request_):
    one = world.program("one")
    hand(one, "a")
    one.ends(request_)
    one.begins(request_)  # its mark
    one.ends(request_)
    world.source.caused.append("a")
    one.begins(request_)  # its delete
    victim = world.program("victim", Fault("crash", "PerformSideEffect", "before"))
    hand(victim, "b")
    victim.ends(request_)
    victim.begins(request_)  # its mark is done
    assert world.killed == []
    with pytest.raises(GoneError):
        victim.ends(request_)
    assert (world.killed, world.told[-1][1]) == (["victim"], "fault")


def test_what_was_held_back_and_then_not_done_has_failed(world, request_):
    program = world.program("one", Fault("delay", "PerformSideEffect", seconds=0.001))
    hand(program, "a")
    program.ends(request_)
    assert program.is_at_work
    program.deletes([Message("a", "handle-a", "{}")])
    assert [kind for _, kind, _ in world.told] == ["invoke", "fault", "fail"]
    assert not program.is_at_work


@pytest.mark.parametrize(
    ("fault", "struck"),
    [
        (Fault("partition", "PerformSideEffect", "during", seconds=60.0, reach="world"), []),
        (Fault("throttling", "PerformSideEffect", seconds=60.0, reach="world"), []),
        (Fault("expired-credentials", "PerformSideEffect", seconds=60.0), ["expired-credentials"]),
    ],
)
def test_what_lasts_reaches_no_side_effect_that_does_not_pass_the_proxy(world, request_, fault, struck):
    program = world.program("one", fault)
    hand(program, "a")
    program.ends(request_)  # it would take a minute, were it taken for a delay
    world.source.caused.append("a")
    world.watch.look(program)
    assert [record["fault"]["kind"] for record in world.records if record["type"] == "fault"] == struck
    assert world.told[-1] == ("one", "ok", 1)


@pytest.mark.parametrize("kind", ["error", "late-request"])
def test_what_nothing_carries_out_is_not_told(world, request_, kind):
    fault = Fault(kind, "PerformSideEffect", seconds=0.001)
    program = world.program("one", fault)
    hand(program, "a")
    program.ends(request_)
    world.source.caused.append("a")
    world.watch.look(program)
    assert [record["type"] for record in world.records] == ["invoke", "ok"]
    assert passes_by(fault)


@pytest.mark.parametrize(
    ("fault", "passes"),
    [
        (Fault("crash", "PerformSideEffect", "before"), False),
        (Fault("crash", "PerformSideEffect", "after"), False),
        (Fault("crash", "PerformSideEffect", "during"), True),
        (Fault("delay", "PerformSideEffect", seconds=1.0), False),
        (Fault("delay", "PerformSideEffect", "during", seconds=1.0), True),
        (Fault("reply-lost", "PerformSideEffect"), True),
        (Fault("error", "CallApi"), True),
        (Fault("error", "Delete"), False),
        (Fault("brown-out", "PerformSideEffect", seconds=1.0, reach="world"), True),
        (Fault("brown-out", "PerformSideEffect", seconds=1.0), False),
        (Fault("partition", at=1.0, seconds=1.0, reach="world"), False),
    ],
)
def test_a_fault_that_cannot_strike_at_what_is_only_watched_is_known_beforehand(fault, passes):
    assert passes_by(fault) is passes


def test_a_program_whose_fault_cannot_be_carried_out_is_not_started(tmp_path):
    stack = SimpleNamespace(endpoint_url="http://127.0.0.1:1", name="mine")
    config = ProgramConfig(effect=LogEffect("charges.log", re.compile("charged (.*)")))
    programs = Programs(["true"], stack, None, tmp_path, config=config)
    start = Start("one", [Fault("error", "PerformSideEffect")], {}, 1, lambda: None)
    with pytest.raises(UnsuitableError, match=r"The fault error cannot strike at a row or a line"):
        programs.prepare(start, {})
    assert not list(programs)


def test_what_cannot_be_this_runs_is_refused():
    earlier = World(before=["a"])
    hand(earlier.program("one"), "a")
    with pytest.raises(RequestError, match="Before the run there were rows of its messages in the table payments"):
        earlier.watch.finish()
    others = World()
    hand(others.program("one"), "a")
    others.source.caused.append("x")
    with pytest.raises(RequestError, match="its keys were others, such as x"):
        others.watch.finish()
    broken = World()
    hand(broken.program("one"), "a")
    broken.source.error = LabError("It cannot be read.")
    broken.watch.look()
    with pytest.raises(LabError, match="It cannot be read"):
        broken.watch.finish()
    mine = World()
    hand(mine.program("one"), "a")
    mine.source.caused += ["a", "x"]
    assert mine.watch.finish() == {"a": 1, "x": 1}
