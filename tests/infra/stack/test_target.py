"""Where a stack goes: what is said, what is noted, what the environment says, and what is refused."""

import json

import pytest

from infra.errors import ConfigError, StateError
from infra.stack.paths import StackPaths
from infra.stack.target import EngineName, Options, Target, TierName, choose_target, read_target

URL = "http://127.0.0.1:5000"


@pytest.fixture
def paths(tmp_path):
    return StackPaths(tmp_path / "ada")


def test_with_nothing_said_a_stack_is_local_and_embedded(paths):
    target = choose_target(paths, Options(), {})
    assert target == Target(EngineName.EMBEDDED, TierName.LOCAL, None, None)
    assert target.embeds_endpoint


def test_the_aws_tier_is_the_real_engines(paths):
    target = choose_target(paths, Options(tier="aws"), {})
    assert (target.engine, target.is_aws, target.embeds_endpoint) == (EngineName.PULUMI, True, False)
    with pytest.raises(ConfigError, match="deployed by the real Pulumi engine"):
        choose_target(paths, Options(tier="aws", engine="embedded"), {})


def test_the_environment_names_endpoint_and_region_and_an_option_counts_more(paths):
    environment = {"AWS_ENDPOINT_URL": URL, "AWS_REGION": "eu-west-1"}
    assert choose_target(paths, Options(), environment).endpoint_url == URL
    assert choose_target(paths, Options(), environment).region == "eu-west-1"
    assert choose_target(paths, Options(), {"AWS_DEFAULT_REGION": "eu-west-2"}).region == "eu-west-2"
    assert (
        choose_target(paths, Options(endpoint="http://127.0.0.1:1/"), environment).endpoint_url == "http://127.0.0.1:1"
    )


def test_what_is_noted_holds_and_what_contradicts_it_is_refused(paths):
    noted = Target(EngineName.PULUMI, TierName.LOCAL, URL, "eu-west-1").note(paths, "life", complete=True)
    assert read_target(paths) == noted
    assert choose_target(paths, Options(), {"AWS_ENDPOINT_URL": "http://127.0.0.1:2"}) == noted
    assert choose_target(paths, Options(engine="pulumi", tier="local", endpoint=URL), {}) == noted
    for options in (Options(engine="embedded"), Options(tier="aws"), Options(endpoint="http://127.0.0.1:2")):
        with pytest.raises(ConfigError, match=r"take it down first \(`invoke down`\)"):
            choose_target(paths, options, {})


def test_a_stack_from_before_there_were_notes_is_embedded(paths):
    paths.directory.mkdir()
    assert read_target(paths) is None
    paths.state.touch()
    assert read_target(paths) == Target()


@pytest.mark.parametrize("text", ['{"engine": "pul', "{}", "[]", '{"engine": "x", "tier": "local"}', "null"])
def test_a_note_that_is_cut_or_corrupt_is_refused_and_kept(paths, text):
    paths.directory.mkdir()
    paths.target.write_text(text)
    with pytest.raises(StateError, match="cut or corrupt"):
        read_target(paths)
    assert paths.target.read_text() == text


def test_the_sentence_about_a_corrupt_note_shows_one_that_can_be_read(paths):
    paths.directory.mkdir()
    paths.target.write_text("")
    with pytest.raises(StateError) as results:
        read_target(paths)
    example = str(results.value).split("for example ")[1].rstrip(".")
    assert json.loads(example)["engine"] == "pulumi"
    paths.target.write_text(example)
    assert read_target(paths).engine is EngineName.PULUMI


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (Options(engine="terraform"), "--engine is embedded or pulumi, not 'terraform'"),
        (Options(tier="moon"), "--tier is local or aws, not 'moon'"),
        (Options(endpoint="localhost:5000"), "--endpoint must be the URL"),
        (Options(endpoint="http://h:99999"), "--endpoint must be the URL"),
        (Options(endpoint=""), "--endpoint must be the URL"),
    ],
)
def test_an_option_that_cannot_be_used_is_one_sentence(paths, options, sentence):
    with pytest.raises(ConfigError, match=sentence):
        choose_target(paths, options, {})


def test_an_option_for_the_region_counts_more_than_the_environment(tmp_path):
    paths = StackPaths(tmp_path)
    environment = {"AWS_REGION": "eu-west-1"}
    assert choose_target(paths, Options(), environment).region == "eu-west-1"
    assert choose_target(paths, Options(region="us-east-2"), environment).region == "us-east-2"
    with pytest.raises(ConfigError, match="--region must be a region such as us-west-1, and is 'here'"):
        choose_target(paths, Options(region="here"), environment)
