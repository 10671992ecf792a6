import re
from pathlib import Path

import pytest

from scenarios.catalog.happy.naive import WithoutGuard
from services.consumer.__main__ import load_consumer
from services.consumer.__main__ import main as consumer_main
from services.consumer.consumer import Consumer
from services.consumer.options import ConsumerOptions
from services.consumer.settings import ConsumerSettings
from services.errors import ConfigurationError
from services.faults import Fault
from services.settings import ServiceSettings, read_settings
from services.tables import TABLES, with_tables

PAGE = Path(__file__).resolve().parents[2] / "docs" / "services.md"
QUEUE = "http://127.0.0.1:4566/000000000000/q"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("QUEUE_URL", QUEUE)
    return tmp_path


def consumer_settings(monkeypatch, **variables):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return read_settings(ConsumerSettings)


def test_the_defaults_are_the_documented_ones(monkeypatch):
    settings = consumer_settings(monkeypatch, MESSAGE_STATUS_TABLE="s", MESSAGE_SIDE_EFFECTS_TABLE="e")
    assert settings.options("me") == ConsumerOptions(
        owner="me", wait_time_seconds=10, max_messages=1, message_limit=0, idle_timeout_seconds=0.0,
        idempotency_cache_size=1000, reject_payload_marker="", business_idempotency_field="", claims=True, ledger=True,
        claim_lease_seconds=None, min_lease_seconds=None, heartbeat_seconds=0.0, max_age_seconds=0.0,
        timestamp_field="created_at", schema_version=0, side_effect_log_path="", side_effect_log_field="sequence",
    )  # fmt: skip
    assert settings.all_faults() == ()
    assert (settings.crash_rate, settings.log_level) == (0.0, "INFO")


@pytest.mark.parametrize(
    ("variable", "value", "option", "expected"),
    [
        ("WAIT_TIME_SECONDS", "20", "wait_time_seconds", 20),
        ("MAX_MESSAGES", "10", "max_messages", 10),
        ("MESSAGE_LIMIT", "7", "message_limit", 7),
        ("IDLE_TIMEOUT_SECONDS", "1.5", "idle_timeout_seconds", 1.5),
        ("IDEMPOTENCY_CACHE_SIZE", "0", "idempotency_cache_size", 0),
        ("REJECT_PAYLOAD_MARKER", '"poison": true', "reject_payload_marker", '"poison": true'),
        ("BUSINESS_IDEMPOTENCY_FIELD", "order_id", "business_idempotency_field", "order_id"),
        ("CLAIM_LEASE_SECONDS", "12", "claim_lease_seconds", 12.0),
        ("MIN_LEASE_SECONDS", "2", "min_lease_seconds", 2.0),
        ("HEARTBEAT_SECONDS", "0.5", "heartbeat_seconds", 0.5),
        ("SIDE_EFFECT_LOG_PATH", "out.log", "side_effect_log_path", "out.log"),
        ("SIDE_EFFECT_LOG_FIELD", "work", "side_effect_log_field", "work"),
        ("MESSAGE_STATUS_TABLE", "", "claims", False),
        ("MESSAGE_SIDE_EFFECTS_TABLE", "", "ledger", False),
    ],
)
def test_each_variable_reaches_the_consumer(monkeypatch, variable, value, option, expected):
    assert getattr(consumer_settings(monkeypatch, **{variable: value}).options("me"), option) == expected


@pytest.mark.parametrize(
    ("variable", "value", "fault"),
    [
        ("CRASH_AFTER_RECEIVE", "1", Fault("crash", "Receive", nth=1)),
        ("CRASH_AFTER_SIDE_EFFECT", "2", Fault("crash", "PerformSideEffect", nth=2)),
        ("SIDE_EFFECT_DELAY_SECONDS", "0.5", Fault("delay", "PerformSideEffect", nth=0, seconds=0.5)),
        ("FAULTS", '[{"kind": "error", "operation": "Claim"}]', Fault("error", "Claim")),
    ],
)
def test_each_failure_knob_is_a_fault(monkeypatch, variable, value, fault):
    assert consumer_settings(monkeypatch, **{variable: value}).all_faults() == (fault,)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("WAIT_TIME_SECONDS", "21"),
        ("WAIT_TIME_SECONDS", "-1"),
        ("WAIT_TIME_SECONDS", "ten"),
        ("MAX_MESSAGES", "0"),
        ("MAX_MESSAGES", "11"),
        ("CRASH_RATE", "1.1"),
        ("CRASH_RATE", "nan"),
        ("MESSAGE_LIMIT", "-3"),
        ("IDLE_TIMEOUT_SECONDS", "inf"),
        ("SIDE_EFFECT_DELAY_SECONDS", "-0.1"),
        ("CLAIM_LEASE_SECONDS", "0"),
        ("MIN_LEASE_SECONDS", "-1"),
        ("BUSINESS_IDEMPOTENCY_FIELD", "order_id,"),
        ("BUSINESS_IDEMPOTENCY_FIELD", "order_id+order_id"),
        ("CLAIM_LEASE_SECONDS", "1e308"),
        ("SIDE_EFFECT_DELAY_SECONDS", "43201"),
        ("IDEMPOTENCY_CACHE_SIZE", "many"),
        ("LOG_LEVEL", "LOUD"),
        ("SEED", "lucky"),
        ("FAULTS", "[1]"),
    ],
)
def test_a_wrong_value_is_one_sentence_that_names_the_variable(monkeypatch, variable, value):
    with pytest.raises(ConfigurationError) as results:
        consumer_settings(monkeypatch, **{variable: value})
    assert str(results.value).startswith(variable)
    assert "\n" not in str(results.value)


def test_a_missing_queue_url_says_what_to_do(monkeypatch):
    monkeypatch.delenv("QUEUE_URL")
    with pytest.raises(ConfigurationError, match=r"QUEUE_URL is not set; .*invoke up"):
        read_settings(ConsumerSettings)


def test_the_env_file_stands_in_where_no_queue_is_named(monkeypatch, elsewhere):
    (elsewhere / ".env").write_text(
        "QUEUE_URL=http://127.0.0.1:1/0/from-file\nMESSAGE_STATUS_TABLE=t\nAWS_REGION=eu-west-1\n"
    )
    assert read_settings(ConsumerSettings).message_status_table == ""
    monkeypatch.delenv("QUEUE_URL")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    settings = read_settings(ConsumerSettings)
    assert (settings.queue_url[-9:], settings.message_status_table, settings.aws_region) == (
        "from-file",
        "t",
        "us-east-1",
    )


@pytest.mark.parametrize("spoil", [lambda path: path.mkdir(), lambda path: path.write_bytes(b"QUEUE_URL=\xff\n")])
def test_an_env_file_that_cannot_be_read_is_one_sentence(monkeypatch, elsewhere, spoil):
    monkeypatch.delenv("QUEUE_URL")
    spoil(elsewhere / ".env")
    with pytest.raises(ConfigurationError, match=r"\.env cannot be read|QUEUE_URL is not set"):
        read_settings(ConsumerSettings)


def test_a_wrong_level_names_the_right_ones(monkeypatch):
    with pytest.raises(ConfigurationError, match=r"LOG_LEVEL is .*'DEBUG', 'INFO', 'WARNING' or 'ERROR'"):
        consumer_settings(monkeypatch, LOG_LEVEL="LOUD")


def test_an_option_comes_before_the_environment(monkeypatch):
    assert read_settings(ServiceSettings, queue_url="http://127.0.0.1:1/0/other").queue_url.endswith("other")
    assert read_settings(ServiceSettings, queue_url=None).queue_url == QUEUE


def test_credentials_never_show_in_the_settings(monkeypatch):
    settings = consumer_settings(monkeypatch, AWS_ACCESS_KEY_ID="AKIAEXAMPLE", AWS_SECRET_ACCESS_KEY="hush")
    assert "AKIAEXAMPLE" not in repr(settings)
    assert "hush" not in repr(settings)


def test_a_consumer_class_is_loaded_by_name():
    assert load_consumer("scenarios.catalog.happy.naive:WithoutGuard") is WithoutGuard
    assert issubclass(WithoutGuard, Consumer)


@pytest.mark.parametrize("spec", ["", "nowhere", "no.such.module:X", "services.consumer.saga:Missing", "os:path", ":X"])
def test_a_consumer_class_that_is_none_is_one_sentence(spec):
    with pytest.raises(ConfigurationError, match="CONSUMER is"):
        load_consumer(spec)


@pytest.mark.parametrize("text", ["raise OSError('no')", "import sys; sys.exit(3)", "def broken(:", "x = 1"])
def test_a_module_that_cannot_be_imported_is_one_sentence(tmp_path, monkeypatch, text):
    name = f"of_a_user_{len(text)}"
    (tmp_path / f"{name}.py").write_text(text + "\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigurationError, match=f"CONSUMER is '{name}:Mine', which cannot be loaded"):
        load_consumer(f"{name}:Mine")


def test_the_page_has_the_variables_as_they_are_declared():
    assert PAGE.read_text() == with_tables(PAGE.read_text()), "run `invoke docs`"


def test_a_page_whose_table_was_edited_is_reported():
    spoiled = PAGE.read_text().replace("the long poll, 0 to 20", "the long poll")
    assert with_tables(spoiled) != spoiled


def test_every_variable_has_a_meaning_and_stands_in_one_table():
    declared = {name.upper() for name in ConsumerSettings.model_fields}
    in_tables = [name for table in TABLES.values() for name in re.findall(r"^\| `(\w+)` \|", table, flags=re.MULTILINE)]
    assert sorted(in_tables) == sorted(declared)
    assert all(field.description for field in ConsumerSettings.model_fields.values())


def test_a_page_without_a_place_for_a_table_is_refused():
    with pytest.raises(ValueError, match="no place for the table 'fault variables'"):
        with_tables(PAGE.read_text().replace("<!-- /fault variables -->", ""))


def test_the_help_of_the_consumer_has_every_variable_with_its_meaning(capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["consumer", "--help"])
    with pytest.raises(SystemExit):
        consumer_main()
    out = capsys.readouterr().out
    assert "  QUEUE_URL                   the queue (required)\n" in out
    assert "90 % of the visibility timeout, from the receive" in out
    assert all(f"  {name.upper()} " in out for name in ConsumerSettings.model_fields)
