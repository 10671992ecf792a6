from pathlib import Path
from types import SimpleNamespace

import pytest

from scenarios.errors import UnsuitableError
from scenarios.local.environment import service_environment
from scenarios.local.programs import Programs, Start
from services.faults import Fault

RESOURCES = SimpleNamespace(
    queue_url="http://127.0.0.1:9/000000000000/work",
    queue_name="work",
    dead_letter_queue_name="work-dlq",
    status_table="status",
    side_effects_table="ledger",
    receive_wait=10,
    bucket="",
)


def stack(endpoint_url):
    return SimpleNamespace(name="dev", endpoint_url=endpoint_url, region="us-west-1", login_variables={})


@pytest.fixture
def prepared(tmp_path, monkeypatch):
    """Prepare a program with a scenario's settings; nothing is started."""
    monkeypatch.setenv("PYTHONPATH", "/mine")
    programs = Programs(["node", "my.js"], stack("http://127.0.0.1:9"), RESOURCES, tmp_path)
    inherited = {"PATH": "/bin", "AWS_PROFILE": "prod", "AWS_SESSION_TOKEN": "x", "CRASH_RATE": "1"}
    shared = service_environment(stack("http://127.0.0.1:9"), RESOURCES, inherited)

    def prepare(*faults, **settings):
        return programs.prepare(Start("mine", faults, settings, 7, lambda: None), shared)

    yield prepare
    programs.close()


def test_a_program_is_told_its_proxys_address_and_made_up_credentials(prepared):
    command = prepared(max_messages=10, reject_payload_marker="x")
    told = command.environment
    url = told["AWS_ENDPOINT_URL"]
    assert url.startswith("http://127.0.0.1:")
    assert url != "http://127.0.0.1:9"
    assert told["QUEUE_URL"] == f"{url}/000000000000/work"
    assert told["SIDE_EFFECT_URL"] == f"{url}/side-effects/"
    assert (told["MESSAGE_SIDE_EFFECTS_TABLE"], told["MESSAGE_STATUS_TABLE"]) == ("ledger", "status")
    assert told["AWS_REGION"] == told["AWS_DEFAULT_REGION"] == "us-west-1"
    assert told["AWS_ACCESS_KEY_ID"] == told["AWS_SECRET_ACCESS_KEY"] == "loopback"
    assert (told["MAX_MESSAGES"], told["REJECT_PAYLOAD_MARKER"]) == ("10", "x")
    assert (told["PATH"], told["PYTHONPATH"], told["PROCESS_NAME"], told["SEED"]) == ("/bin", "/mine", "mine", "7")
    assert not {"AWS_PROFILE", "AWS_SESSION_TOKEN", "CRASH_RATE", "HISTORY_PATH", "CONSUMER", "FAULTS"} & told.keys()
    assert (command.arguments, command.directory, command.foreign) == (("node", "my.js"), Path.cwd(), True)


def test_what_strikes_a_program_is_the_labs_affair_and_not_told_to_it(prepared):
    command = prepared(Fault("crash", "Receive"), side_effect_delay_seconds=2.0, crash_rate=0.5)
    assert not {"FAULTS", "SIDE_EFFECT_DELAY_SECONDS", "CRASH_RATE"} & command.environment.keys()
    assert command.environment["MAX_MESSAGES"] == "1"


@pytest.mark.parametrize("endpoint", [None, "http://192.0.2.1:4566"])
def test_a_distant_stack_is_refused_since_it_would_not_accept_what_a_proxy_has_changed(tmp_path, endpoint):
    with pytest.raises(UnsuitableError, match="takes an endpoint on this machine, and the stack dev is elsewhere"):
        Programs(["node"], stack(endpoint), RESOURCES, tmp_path)
