"""Damaged files and a full disk: each command says one sentence, loses nothing, and leaves no endpoint behind."""

import errno
import json
import random

import pytest

from infra.commands import stacks as commands
from infra.errors import InfraError
from infra.stack.endpoint import find_endpoint, read_endpoint, stop_endpoint, stop_unnoted_endpoints
from infra.stack.paths import stack_paths
from infra.stack.stacks import find_stack

ONE_SCENARIO = "config:\n  queue-fundamentals:scenarios: [happy]\n"
ODD = [None, True, -1, 10**30, 1e999, "", "\x00", "é" * 9, "http://[", "http://h:0", [], {}, [[]], {"a": 1}]


def damaged(text, rng):
    """A text of which a part is cut, changed or replaced: by bytes, or by another value of JSON."""
    if rng.random() < 0.5:
        document = json.loads(text)
        place = document
        while True:
            if not isinstance(place, dict | list) or not place:
                return json.dumps(rng.choice(ODD))
            key = rng.choice(list(place)) if isinstance(place, dict) else rng.randrange(len(place))
            if rng.random() < 0.4 or not isinstance(place[key], dict | list) or not place[key]:
                if isinstance(place, dict) and rng.random() < 0.3:
                    del place[key]
                else:
                    place[key] = rng.choice(ODD)
                return json.dumps(document)
            place = place[key]
    first, last = sorted(rng.randrange(len(text)) for _ in range(2))
    return text[:first] + rng.choice(["", "]", '"', "\x00", "[" * 5000, "9" * 5000]) + text[rng.choice([first, last]) :]


COMMANDS = (
    commands.status,
    commands.preview,
    commands.outputs,
    commands.refresh,
    find_stack,  # as the scenarios do
)


@pytest.fixture
def stacks(project):
    (project / "Pulumi.dev.yaml").write_text(ONE_SCENARIO)
    yield project
    stop_unnoted_endpoints(stack_paths("dev"))


@pytest.mark.processes
@pytest.mark.thorough
@pytest.mark.parametrize("name", ["state.json", "target.json", "endpoint.json"])
def test_a_damaged_file_is_one_sentence_and_the_rest_is_kept(stacks, name):
    commands.up("dev")
    path = stack_paths("dev").directory / name
    good = path.read_text()
    sentences = []
    for seed in range(60):
        path.write_text(damaged(good, random.Random(seed)))
        present = path.read_text()
        for command in COMMANDS:
            try:
                command("dev")
            except InfraError as error:
                sentences.append(str(error))
            if command is not commands.refresh:
                assert path.read_text() == present
            else:
                path.write_text(present)
    assert len(sentences) >= 60
    assert not [sentence for sentence in sentences if "\n" in sentence or "Traceback" in sentence]
    path.write_text(good)
    assert commands.down("dev") == 0


@pytest.mark.processes
@pytest.mark.thorough
@pytest.mark.parametrize("field", ["pid", "url", "history", "instance"])
def test_a_note_that_names_another_endpoint_leaves_none_behind(stacks, field):
    commands.up("dev")
    paths = stack_paths("dev")
    first = read_endpoint(paths)
    wrong = {"pid": 999_999_999, "url": "http://127.0.0.1:1", "history": "/elsewhere", "instance": "other"}
    note = json.loads(paths.endpoint.read_text())
    paths.endpoint.write_text(json.dumps(note | {field: wrong[field]}))
    commands.up("dev")
    assert find_endpoint(paths) is not None
    commands.down("dev")
    assert not stop_endpoint(first)
    assert stop_unnoted_endpoints(paths) == 0


@pytest.mark.parametrize("place", ["own", pytest.param("named", id="an endpoint that was named")])
@pytest.mark.processes
@pytest.mark.thorough
def test_down_works_on_a_full_disk(stacks, endpoint, aws, monkeypatch, place):
    commands.up("dev", endpoint=endpoint.url if place == "named" else None)

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    for module in ("engines.state", "stack.target", "stack.endpoint", "stack.dotenv", "commands.stacks"):
        monkeypatch.setattr(f"infra.{module}.write_atomically", full)
    monkeypatch.setattr("os.pwrite", full)
    monkeypatch.setattr("infra.stack.workspace.disk_is_full", lambda _: True)
    assert commands.down("dev") == 0
    assert not stack_paths("dev").directory.exists()
    assert aws.sqs.list_queues(QueueNamePrefix="sqs-demo-dev-").get("QueueUrls", []) == []
