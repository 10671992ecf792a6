import json
import re

import pytest
import yaml

from infra.config import BUCKET_NAME, MAX_PROJECT_AND_STACK, ProgramConfig, check_names, parse_config
from infra.errors import ConfigError
from infra.provider.naming import choose_name
from infra.stack.project import read_stack_config
from infra.topology import SCENARIO_NAMES, TOPOLOGY
from tests.infra.conftest import CHECKOUT


def test_the_defaults_are_the_documented_ones():
    assert parse_config({}) == ProgramConfig("us-west-1", "sqs-demo", 10, 10, 2, True, ())


def test_pulumi_yaml_declares_the_same_values_with_the_same_defaults():
    declared = yaml.safe_load((CHECKOUT / "Pulumi.yaml").read_text())["config"]
    assert parse_config({key: entry["default"] for key, entry in declared.items()}) == ProgramConfig()
    assert len(declared) == len(ProgramConfig.__slots__)
    assert all(entry["type"] and entry["description"] for entry in declared.values())


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("queueVisibilityTimeout", "1"),
        ("queueVisibilityTimeout", "43200"),
        ("queueReceiveWait", "0"),
        ("queueReceiveWait", "20"),
        ("maxReceiveCount", "1"),
        ("maxReceiveCount", 1000),
    ],
)
def test_a_value_at_its_limit_is_taken(key, value):
    assert str(value) in map(str, vars_of(parse_config({key: value})))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("queueVisibilityTimeout", "0"),
        ("queueVisibilityTimeout", "-1"),
        ("queueVisibilityTimeout", "43201"),
        ("queueVisibilityTimeout", "ten"),
        ("queueVisibilityTimeout", "1.5"),
        ("queueVisibilityTimeout", True),
        ("queueVisibilityTimeout", ""),
        ("queueReceiveWait", "21"),
        ("maxReceiveCount", "0"),
        ("maxReceiveCount", "1001"),
        ("awsRegion", "the moon"),
        ("awsRegion", ""),
        ("projectName", "no spaces"),
        ("projectName", ""),
        ("scenarios", "happy"),
        ("scenarios", '{"happy": 1}'),
        ("scenarios", "[1]"),
    ],
)
def test_a_bad_value_is_one_sentence_that_names_it(key, value):
    with pytest.raises(ConfigError) as error:
        parse_config({key: value})
    assert key in str(error.value)
    assert "\n" not in str(error.value)


CONSUMER = {"code": "./handler", "handler": "app.handler"}


def test_lambda_consumers_are_read_as_json_or_as_its_text():
    given = {"happy": {**CONSUMER, "batchSize": 5, "filters": ["{}"], "environment": {"A": "1"}}}
    for value in (given, json.dumps(given)):
        (settings,) = parse_config({"lambdaConsumers": value}).lambda_consumers.values()
        assert (settings.code, settings.handler, settings.batchSize) == ("./handler", "app.handler", 5)
        assert (settings.filters, settings.environment, settings.timeout) == (("{}",), {"A": "1"}, 3)


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ("no json", "must map scenarios to functions"),
        (["happy"], "must map scenarios to functions"),
        ({"hapy": CONSUMER}, "names no scenario with 'hapy'"),
        ({"happy": "app.handler"}, "must be a mapping"),
        ({"happy": {"code": "x"}}, "lambdaConsumers of happy needs handler"),
        ({"happy": {**CONSUMER, "batchsize": 5}}, "has no setting batchsize; there are: code"),
        ({"happy": {**CONSUMER, "batchSize": "5"}}, "batchSize must be a whole number"),
        ({"happy": {**CONSUMER, "batchSize": True}}, "batchSize must be a whole number"),
        ({"happy": {**CONSUMER, "filters": "{}"}}, "filters must be a list of texts"),
        ({"happy": {**CONSUMER, "environment": {"A": 1}}}, "environment must be a mapping of texts"),
        ({"happy": {**CONSUMER, "code": ""}}, "code must be a text"),
    ],
)
def test_a_lambda_consumer_that_cannot_be_is_one_sentence(value, sentence):
    with pytest.raises(ConfigError, match=re.escape(sentence)):
        parse_config({"lambdaConsumers": value})


def test_an_unknown_scenario_suggests_the_nearest():
    with pytest.raises(ConfigError, match="did you mean crash"):
        parse_config({"scenarios": '["crahs"]'})


def test_an_unknown_value_names_those_that_there_are():
    with pytest.raises(ConfigError, match="queueVisibilityTimeout"):
        parse_config({"queueVisibility": "3"})


def test_names_that_are_too_long_together_are_refused_before_anything_is_made():
    config = ProgramConfig(project_name="p" * 10)
    check_names(config, "s" * (MAX_PROJECT_AND_STACK - 10))
    with pytest.raises(ConfigError, match="shorter"):
        check_names(config, "s" * (MAX_PROJECT_AND_STACK - 9))


def test_a_stacks_name_that_cannot_be_in_a_buckets_is_refused_where_there_is_a_bucket():
    with pytest.raises(ConfigError, match=r"large-payload has a bucket.*sqs-demo-ada_l-large-payload-.*underscores"):
        check_names(ProgramConfig(), "ada_l")
    with pytest.raises(ConfigError, match="projectName"):
        check_names(ProgramConfig(project_name="my_queues"), "ada")
    check_names(ProgramConfig(scenarios=("happy",)), "ada_l")
    check_names(ProgramConfig(), "Ada-L")


def test_every_name_of_the_longest_names_is_one_that_aws_takes():
    """Of each scenario: two queues, two tables and a bucket, with the suffix that the provider adds."""
    stack = "s" * (MAX_PROJECT_AND_STACK - len("sqs-demo"))
    check_names(ProgramConfig(), stack)
    for entry in TOPOLOGY:
        base = f"sqs-demo-{stack}-{entry.name}"
        queue = choose_name(f"{base}-dlq", b"", ".fifo" if entry.fifo else "")
        assert len(queue) <= 80
        assert re.fullmatch(r"[A-Za-z0-9_-]+(\.fifo)?", queue)
        assert 3 <= len(choose_name(f"{base}-side-effects", b"")) <= 255
        assert not entry.bucket or BUCKET_NAME.fullmatch(choose_name(base.lower(), b""))


def test_the_longest_names_leave_room_in_a_queue_name():
    longest = max(len(name) for name in SCENARIO_NAMES)
    assert MAX_PROJECT_AND_STACK + len("--") + longest + len("-dlq-0123456.fifo") <= 80


def test_a_subset_of_the_scenarios_can_be_chosen():
    assert [entry.name for entry in parse_config({"scenarios": '["poison", "happy"]'}).topology()] == [
        "happy",
        "poison",
    ]
    assert parse_config({}).topology() == TOPOLOGY


def test_a_scenario_without_a_setting_of_its_own_gets_the_configured_one():
    config = parse_config({"queueVisibilityTimeout": "33", "maxReceiveCount": "7"})
    settings = {
        entry.name: (config.visibility_timeout(entry), config.receive_count(entry), entry.fifo) for entry in TOPOLOGY
    }
    some = {"happy": (33, 7, False), "crash": (2, 5, False), "poison": (1, 7, False), "fifo-order": (1, 5, True)}
    assert settings == settings | some


def test_the_stacks_own_file_counts_more_than_the_projects_defaults(project):
    (project / "Pulumi.dev.yaml").write_text("config:\n  queue-fundamentals:maxReceiveCount: 9\n  aws:region: x\n")
    assert read_stack_config("dev").program().max_receive_count == 9
    assert read_stack_config("other").program().max_receive_count == 2
    assert read_stack_config("dev", {"maxReceiveCount": 4}).program().max_receive_count == 4


@pytest.mark.parametrize(
    "text", ["config: [", "- 1", "config: 3", "config: {queue-fundamentals:maxReceiveCount: {secure: abc}}", "\x00"]
)
def test_a_broken_stack_file_is_a_sentence_that_names_it(project, text):
    (project / "Pulumi.dev.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r"Pulumi\.dev\.yaml"):
        read_stack_config("dev")


def vars_of(config):
    return [getattr(config, name) for name in config.__slots__]
