"""Each fault of a function has a history in which its witness finds evidence, and a near one in which it finds none."""

import pytest

from scenarios.checks.function_witnesses import FUNCTION_FAULTS
from scenarios.history.mapping_events import THROTTLED
from tests.scenarios.recorded import Told

FIND = {witness.name: witness.find for witness in FUNCTION_FAULTS}


class Function(Told):
    """A function's history, told by hand."""

    def __init__(self):
        super().__init__()
        self.send("a", "b")
        self.receive("f", "a")

    def invoke(self, *ids, attempt=1, reuse=0):
        at = self.begin("f", "InvokeFunction", messages=[f"m-{it}" for it in ids], attempt=attempt)
        self.event("f", "function-invoked", batch=at, cold=not reuse, reuse=reuse)
        return at

    def ends(self, at, error=None):
        if error is None:
            self.end("f", at, "InvokeFunction", {"failed": []})
        else:
            self.fail("f", at, "InvokeFunction", code=error, transient=False)


def killed(point, *, works=False, own=False, ends="exit", again=True):
    told = Function()
    at = told.invoke("a")
    if own:
        call = told.begin("f", "LookUpSideEffect", key="a")
        told.fault("f", call, "LookUpSideEffect", point=point)
    else:
        if works:
            told.effect("f", "a")
        told.fault("f", at, "InvokeFunction", point=point)
    told.ends(at, ends)
    if again:
        told.receive("f", "a", count=2)
    return told.history


def ended(error, *, again=True):
    told = Function()
    told.ends(told.invoke("a"), error)
    if again:
        told.receive("f", "a", count=2)
    return told.history


def deleted(*, kind="partial-failure", later=True):
    told = Function()
    told.ends(told.invoke("a"))
    call = told.begin("f", "Delete", messages=["m-a"])
    told.fault("f", call, "Delete", kind=kind)
    told.end("f", call, "Delete", [{"entry": 0, "code": "X", "message": "", "sender_fault": False}])
    if later:
        told.delete("f", "a")
    return told.history


def throttled(*, error=THROTTLED, then="a"):
    told = Function()
    told.ends(told.invoke("a"), error)
    told.ends(told.invoke(then, attempt=2))
    return told.history


def cold(*, kind="cold-start", reuse=0):
    told = Function()
    at = told.begin("f", "InvokeFunction", messages=["m-a"], attempt=1)
    told.fault("f", at, "InvokeFunction", kind=kind, point="before")
    told.event("f", "function-invoked", batch=at, cold=not reuse, reuse=reuse)
    told.ends(at)
    return told.history


def reused(reuse):
    told = Function()
    told.ends(told.invoke("a", reuse=reuse))
    return told.history


def left_over(*, late=True, thaws=True, message="a"):
    told = Function()
    at = told.invoke("a")
    if not late:
        told.effect("f", "a")
    told.ends(at)
    told.receive("f", "b")
    second = told.invoke("b", reuse=1)
    if thaws:
        told.event("f", "environment-thawed", pid=1, seconds=1.0)
    if late:
        told.effect("f", message)
    told.ends(second)
    return told.history


@pytest.mark.parametrize(
    ("name", "history"),
    [
        ("killed-before-handler", killed("before")),
        ("killed-in-handler", killed("during")),
        ("killed-in-handler", killed("after", own=True)),
        ("killed-after-handler", killed("after", works=True)),
        ("function-timed-out", ended("timeout")),
        ("answer-lost", ended("lost")),
        ("delete-failed-in-part", deleted()),
        ("throttled", throttled()),
        ("cold-start", cold()),
        ("environment-reused", reused(2)),
        ("frozen-with-work", left_over()),
    ],
)
def test_evidence_is_found_of_each_fault(name, history):
    assert FIND[name](history) is not None


@pytest.mark.parametrize(
    ("name", "history"),
    [
        ("killed-before-handler", killed("before", works=True)),
        ("killed-before-handler", killed("before", again=False)),
        ("killed-before-handler", killed("during")),
        ("killed-in-handler", killed("before")),
        ("killed-in-handler", killed("during", again=False)),
        ("killed-in-handler", killed("during", ends="timeout")),
        ("killed-after-handler", killed("after")),
        ("killed-after-handler", killed("after", works=True, again=False)),
        ("function-timed-out", ended("error")),
        ("function-timed-out", ended("timeout", again=False)),
        ("answer-lost", ended("exit")),
        ("answer-lost", ended("lost", again=False)),
        ("delete-failed-in-part", deleted(kind="error")),
        ("delete-failed-in-part", deleted(later=False)),
        ("throttled", throttled(error="error")),
        ("throttled", throttled(then="b")),
        ("cold-start", cold(kind="throttle")),
        ("cold-start", cold(reuse=1)),
        ("environment-reused", reused(0)),
        ("frozen-with-work", left_over(late=False)),
        ("frozen-with-work", left_over(thaws=False)),
        ("frozen-with-work", left_over(message="b")),
    ],
)
def test_a_near_history_is_no_evidence(name, history):
    assert FIND[name](history) is None


def test_every_witness_of_a_fault_is_tried():
    assert set(FIND) == {
        *("killed-before-handler", "killed-in-handler", "killed-after-handler", "function-timed-out", "answer-lost"),
        *("delete-failed-in-part", "throttled", "cold-start", "environment-reused", "frozen-with-work"),
    }
