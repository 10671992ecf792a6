"""Programs in virtual time whose messages update entities, or name objects of a bucket."""

import shlex
import sys
from pathlib import Path

import pytest

from scenarios.exploration.targets import make_target
from scenarios.local.observed_exchange import Request
from scenarios.lockstep.bucket import Bucket
from scenarios.lockstep.clock import why_not
from scenarios.lockstep.crew import close_crews
from scenarios.simulation.choices import ReplayedChoices, SeededChoices
from scenarios.simulation.lab import NoFaults
from scenarios.simulation.objects import ObjectModel
from scenarios.simulation.run import simulate
from tests.scenarios.conftest import project
from tests.scenarios.lockstep.small_programs import COMPARES_VERSIONS, written

__all__ = ["project"]

PLAIN = Path(__file__).resolve().parents[2] / "consumers" / "plain" / "consumer.py"
SIGNED = {"host": "127.0.0.1:1", "authorization": "AWS4-HMAC-SHA256 Credential=x/20260101/us-west-1/s3/aws4_request"}


def run(name, *options, choices=None):
    target = make_target(name, consumer=shlex.join([sys.executable, str(PLAIN), *options]))
    try:
        return simulate(target.plan(7), choices or ReplayedChoices(()), NoFaults())
    finally:
        close_crews()


def violated(simulation):
    return {name for name, found in simulation.verdict.violations.items() if found}


@pytest.mark.processes
@pytest.mark.skipif(bool(why_not()), reason="a program's clock cannot be set here")
@pytest.mark.parametrize(
    ("name", "right", "wrong", "violation"),
    [
        ("large-payload", "--careful", "--removes-first", "wrongly-dead-lettered"),
        ("out-of-order", "--updates", "--last-write-wins", "stale-state"),
        ("out-of-order", "--updates", "--read-then-write", "stale-state"),
    ],
)
def test_a_program_with_state_is_judged_in_virtual_time(project, name, right, wrong, violation):
    # Without reordering the last write would be the newest as well.
    choices = [SeededChoices(seed) for seed in (3, 3)] if name == "out-of-order" else [None, None]
    careful = run(name, right, choices=choices[0])
    assert violated(careful) == set(), careful.verdict.reason
    assert violation in violated(run(name, wrong, choices=choices[1]))


@pytest.mark.processes
@pytest.mark.skipif(bool(why_not()), reason="a program's clock cannot be set here")
@pytest.mark.parametrize(("taken_for", "right"), [("int", True), ("str", False)])
def test_versions_are_so_many_that_texts_do_not_sort_as_numbers_do(tmp_path, taken_for, right):
    command = written(tmp_path, f"AS = {taken_for}\n" + COMPARES_VERSIONS)
    try:
        judged = simulate(make_target("out-of-order", consumer=command).plan(3), SeededChoices(3), NoFaults())
    finally:
        close_crews()
    assert ("stale-state" in violated(judged)) == (not right), judged.verdict.reason
    assert not right or not violated(judged)


@pytest.fixture
def bucket():
    objects = ObjectModel()
    objects.objects["a b"] = "text"
    asked = Bucket("us-west-1", "payloads-of-a-test", objects)

    def ask(method, path, body=b""):
        headers = {**SIGNED, "content-length": str(len(body))}
        return asked.answer(Request(method, f"/payloads-of-a-test{path}", headers, body, None))

    return objects.objects, ask


def test_an_object_is_fetched_and_removed_as_s3_does(bucket):
    objects, ask = bucket
    assert (ask("GET", "/a%20b").status, ask("GET", "/a%20b").body) == (200, b"text")
    missing = ask("GET", "/x")
    assert (missing.status, b"<Code>NoSuchKey</Code>" in missing.body) == (404, True)
    assert (ask("DELETE", "/a%20b").status, objects) == (204, {})
    assert ask("GET", "/a%20b").status == 404


def test_what_is_put_is_there_and_what_the_simulation_removes_is_gone(bucket):
    objects, ask = bucket
    assert ask("PUT", "/new", b"mine").status == 200
    assert objects == {"a b": "text", "new": "mine"}
    listed = ask("GET", "?list-type=2").body
    assert (listed.count(b"<Contents>"), b"<Key>new</Key>" in listed) == (2, True)
    objects.clear()
    assert ask("GET", "?list-type=2").body.count(b"<Contents>") == 0


def test_the_bucket_of_the_next_history_is_empty(bucket):
    _, ask = bucket
    assert ask("GET", "/a%20b").status == 200
    later = Bucket("us-west-1", "payloads-of-a-test", ObjectModel())
    assert later.answer(Request("GET", "/payloads-of-a-test/a%20b", SIGNED, b"", None)).status == 404
