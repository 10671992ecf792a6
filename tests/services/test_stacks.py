"""Services that are told a stack, or a queue's URL alone, find the rest themselves."""

import json

import pytest

from services.consumer.settings import ConsumerSettings
from services.errors import ConfigurationError
from services.producer.settings import ProducerSettings
from services.settings import read_settings
from services.stacks import stack_variables

URL = "http://127.0.0.1:4566/000000000000/orders"
OUTPUTS = {
    "happy": {
        "QUEUE_URL": URL,
        "DLQ_ARN": "arn:aws:sqs:us-west-1:000000000000:orders-dlq",
        "AWS_REGION": "us-west-1",
        "MESSAGE_STATUS_TABLE": "status",
        "MESSAGE_SIDE_EFFECTS_TABLE": "side-effects",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:4566",
    },
    "crash": {"QUEUE_URL": f"{URL}-crash", "AWS_REGION": "eu-west-1", "AWS_ENDPOINT_URL": ""},
}


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_outputs(here, directory="dev"):
    path = here / ".queue-fundamentals" / directory / "services.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(OUTPUTS))
    return path


def test_a_stacks_outputs_replace_the_environment_and_the_env_file(here, monkeypatch):
    write_outputs(here)
    (here / ".env").write_text("QUEUE_URL=http://127.0.0.1:1/0/other\nMESSAGE_STATUS_TABLE=other\n")
    monkeypatch.setenv("AWS_REGION", "ap-south-1")
    settings = read_settings(ConsumerSettings, stack="dev")
    assert (settings.queue_url, settings.aws_region) == (URL, "us-west-1")
    assert (settings.message_status_table, settings.message_side_effects_table) == ("status", "side-effects")
    assert settings.aws_endpoint_url == "http://127.0.0.1:4566"
    (here / "deeper").mkdir()
    monkeypatch.chdir(here / "deeper")
    crash = read_settings(ConsumerSettings, stack="dev", scenario="crash")
    assert crash.queue_url == f"{URL}-crash"
    assert not crash.message_status_table


def test_an_option_counts_more_than_the_stack(here):
    write_outputs(here, "acme@dev")
    settings = read_settings(ProducerSettings, stack="acme/dev", queue_url="http://127.0.0.1:4566/0/mine")
    assert settings.queue_url == "http://127.0.0.1:4566/0/mine"


def test_a_stack_that_is_not_there_or_cannot_be_read_is_one_sentence(here):
    with pytest.raises(ConfigurationError, match="`invoke up --stack dev`"):
        stack_variables("dev")
    path = write_outputs(here)
    with pytest.raises(ConfigurationError, match="no resources for the scenario saga; it has: crash, happy"):
        stack_variables("dev", "saga")
    for text in ("cut {", "[]", '{"happy": []}', '{"happy": {"QUEUE_URL": 1}}'):
        path.write_text(text)
        with pytest.raises(ConfigurationError, match=r"services\.json"):
            stack_variables("dev")
    with pytest.raises(ConfigurationError, match="give --stack as well"):
        read_settings(ProducerSettings, scenario="crash", queue_url=URL)


@pytest.mark.parametrize(
    ("url", "region"),
    [
        ("https://sqs.eu-central-1.amazonaws.com/123456789012/orders", "eu-central-1"),
        ("https://sqs.us-gov-west-1.amazonaws.com/123456789012/orders", "us-gov-west-1"),
        ("https://sqs.cn-north-1.amazonaws.com.cn/123456789012/orders", "cn-north-1"),
        ("https://eu-west-1.queue.amazonaws.com/123456789012/orders", "eu-west-1"),
    ],
)
def test_a_queues_url_on_aws_tells_the_region(here, monkeypatch, url, region):
    settings = read_settings(ProducerSettings, queue_url=url)
    assert (settings.aws_region, settings.aws_endpoint_url) == (region, None)
    assert read_settings(ProducerSettings, queue_url=url, aws_region="us-east-2").aws_region == "us-east-2"
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    assert read_settings(ProducerSettings, queue_url=url).aws_region == "us-east-1"


def test_a_queues_url_elsewhere_takes_the_region_that_env_names_for_its_endpoint(here):
    assert read_settings(ProducerSettings, queue_url=URL).aws_region is None
    (here / ".env").write_text("QUEUE_URL=other\nAWS_REGION=us-west-1\nAWS_ENDPOINT_URL=http://127.0.0.1:4566\n")
    settings = read_settings(ProducerSettings, queue_url=URL)
    assert (settings.aws_region, settings.aws_endpoint_url) == ("us-west-1", "http://127.0.0.1:4566")
    # That file is about another endpoint.
    elsewhere = read_settings(ProducerSettings, queue_url=URL.replace("4566", "4567"))
    assert (elsewhere.aws_region, elsewhere.aws_endpoint_url) == (None, "http://127.0.0.1:4567")
