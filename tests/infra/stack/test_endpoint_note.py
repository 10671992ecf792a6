"""Whatever has become of the note of a stack's endpoint: one clear sentence, no traceback, and no process left over."""

import json
from random import Random

import psutil
import pytest

from infra.errors import EndpointError
from infra.stack.endpoint import StartingEndpoint, find_endpoint, read_endpoint, stop_endpoint
from infra.stack.paths import StackPaths, stack_paths

GOOD = {"url": "http://127.0.0.1:1", "pid": 2**31 - 2, "instance": "i", "history": "/h"}
VALUES = [None, "", "x", "http://example.com:80", "http://[", "http://127.0.0.1:99999", "http://127.0.0.1:x", 0, -1, -2]
VALUES += [2**31, 2**70, 1.5, True, [], {}, "\0", "http://127.0.0.1:1\0"]


@pytest.fixture
def paths(tmp_path, monkeypatch):
    monkeypatch.setattr("infra.stack.paths.project_root", lambda: tmp_path)
    found = stack_paths("dev")
    found.directory.mkdir(parents=True)
    return found


def _read(paths: StackPaths) -> str:
    """Read and look for the endpoint; return the sentence with which that is refused, if it is."""
    try:
        read_endpoint(paths)
        assert find_endpoint(paths) is None
    except EndpointError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("member", GOOD)
@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_a_note_with_another_value_is_read_or_refused_in_a_sentence(paths, member, value):
    paths.endpoint.write_text(json.dumps({**GOOD, member: value}))
    said = _read(paths)
    assert not said or ("is cut or corrupt" in said and len(said.splitlines()) == 1)
    if member == "pid":
        assert said, "a signal would go to a process that is no endpoint"


def test_a_note_whose_bytes_have_changed_is_read_or_refused_in_a_sentence(paths):
    rng = Random(7)
    refused = 0
    for _ in range(400):
        data = bytearray(json.dumps(GOOD).encode())
        for _ in range(rng.randint(1, 3)):
            at = rng.randrange(len(data))
            data[at : at + rng.randint(0, 8)] = rng.randbytes(rng.randint(0, 3))
        paths.endpoint.write_bytes(bytes(data))
        refused += bool(_read(paths))
    assert refused > 200


@pytest.mark.parametrize("text", ["[" * 100_000, "{" * 10, "", "null", "[]", "9" * 10_000])
def test_a_note_that_is_something_else_is_refused(paths, text):
    paths.endpoint.write_text(text)
    assert "is cut or corrupt" in _read(paths)


@pytest.mark.parametrize("ready", ["", "x", "http://example.com:80", "http://127.0.0.1:x", "http://[", "\0"])
def test_an_address_that_is_none_is_no_endpoint(paths, ready):
    paths.ready.write_text(ready)
    assert read_endpoint(paths) is None
    paths.endpoint.write_text(json.dumps({**GOOD, "url": ""}))
    assert find_endpoint(paths) is None


def _processes(paths):
    return [
        process
        for process in psutil.process_iter(["cmdline"])
        if str(paths.history) in (process.info["cmdline"] or []) and process.status() != psutil.STATUS_ZOMBIE
    ]


@pytest.mark.processes
@pytest.mark.parametrize(
    "change", [{"pid": 2**31 - 2}, {"history": "/elsewhere"}, {"url": "http://127.0.0.1:1"}, {"instance": ""}]
)
def test_no_endpoint_is_left_over_whatever_the_note_says(paths, change):
    StartingEndpoint(paths, "us-west-1").wait()
    document = json.loads(paths.endpoint.read_text())
    paths.endpoint.write_text(json.dumps({**document, **change}))
    try:
        StartingEndpoint(paths, "us-west-1").wait()
        assert len(_processes(paths)) == 1
        assert find_endpoint(paths) is not None
    finally:
        found = find_endpoint(paths)
        if found is not None:
            stop_endpoint(found)
        left = _processes(paths)
        for process in left:
            process.kill()
    assert left == []
