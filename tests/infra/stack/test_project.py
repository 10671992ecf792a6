"""The project's files: odd ones are one sentence each, and those of another Pulumi project are left alone."""

import os

import pytest

from infra.commands import stacks as commands
from infra.engines.choice import check_engine
from infra.errors import ConfigError, StateError
from infra.stack import discovery
from infra.stack.paths import foreign_project, project_file, project_root, stack_config_path
from infra.stack.project import read_stack_config
from infra.stack.target import EngineName, Options, Target
from tests.infra.conftest import CHECKOUT

NESTED = "a: " + "[" * 3000
CIRCLE = "config: &c\n  queue-fundamentals:lambdaConsumers: *c\n"
DATE = "config:\n  queue-fundamentals:projectName: 2030-01-01\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param(NESTED, r"Pulumi\.dev\.yaml is nested too deeply\.$", marks=pytest.mark.thorough),
        (CIRCLE, r"^queue-fundamentals:lambdaConsumers holds what is no text"),
        (DATE, r"^queue-fundamentals:projectName holds what is no text, .* put a text into quotes\.$"),
        ("config: [1]\n", r"Pulumi\.dev\.yaml must be a mapping\.$"),
    ],
    ids=["nested", "circle", "date", "list"],
)
def test_an_odd_configuration_is_one_sentence(project, text, said):
    (project / "Pulumi.dev.yaml").write_text(text)
    with pytest.raises(ConfigError, match=said):
        read_stack_config("dev")
    (project / "Pulumi.dev.yaml").write_text("config:\n  queue-fundamentals:projectName: own\n")
    assert read_stack_config("dev").program().project_name == "own"


def test_a_configuration_that_is_no_file_is_not_waited_for(project):
    os.mkfifo(project / "Pulumi.dev.yaml")
    with pytest.raises(ConfigError, match=r"Pulumi\.dev\.yaml is no file\.$"):
        read_stack_config("dev")


def test_a_working_directory_that_is_gone_is_one_sentence(tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(StateError, match=r"^The working directory is not there any more; change to another one\.$"):
        commands.status("dev")


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """A directory of another Pulumi project, which has a stack ``dev`` of its own."""
    directory = tmp_path / "shop"
    (directory / "deep").mkdir(parents=True)
    (directory / "Pulumi.yaml").write_text('runtime: nodejs\nname: "my-shop" # ours\n')
    (directory / "Pulumi.dev.yaml").write_text("config:\n  my-shop:price: 5\n  aws:region: eu-west-1\n")
    monkeypatch.chdir(directory)
    return directory


def test_another_pulumi_project_is_told_from_ours_and_from_a_copy_of_ours(shop, project):
    ours = (CHECKOUT / "Pulumi.yaml").read_text()
    assert (foreign_project(shop), foreign_project(project)) == ("my-shop", None)
    for text in (ours.replace("name: queue-fundamentals", "name: our-copy", 1), "runtime: python\n", "\x00", ""):
        (project / "Pulumi.yaml").write_text(text)
        assert foreign_project(project) is None, text
    assert foreign_project(project / "none") is None


def test_nothing_of_another_pulumi_project_is_read(shop, monkeypatch):
    monkeypatch.chdir(shop / "deep")
    # This checkout's own, as with an installation that is none.
    assert project_root() == CHECKOUT
    monkeypatch.setattr("infra.stack.paths.project_root", lambda: shop)
    assert project_file() == CHECKOUT / "infra" / "Pulumi.yaml"
    assert stack_config_path("dev") == shop / ".queue-fundamentals" / "Pulumi.dev.yaml"
    config = read_stack_config("dev")
    assert (config.project, config.region) == ("queue-fundamentals", "us-west-1")


def test_a_stack_of_another_pulumi_project_is_neither_found_nor_deployed(shop, monkeypatch):
    for place in ("infra.stack.paths", "infra.stack.discovery", "infra.engines.choice"):
        monkeypatch.setattr(f"{place}.project_root", lambda: shop)
    monkeypatch.setattr(discovery, "may_hold", lambda *_: pytest.fail("the backend is asked"))
    target = discovery.choose_stack_target("dev", Options())
    assert target.engine is EngineName.EMBEDDED
    check_engine("dev", target)
    with pytest.raises(ConfigError, match=r"belongs to another Pulumi project, my-shop: work in another"):
        check_engine("dev", Target(EngineName.PULUMI))
    assert commands.status("dev") == 0
