"""A scenario on stacks of the real engine, and on an endpoint that was named."""

import pytest

from infra.errors import ConfigError
from infra.stack.paths import state_directory
from infra.stack.stacks import temporary_stack
from infra.stack.target import Options
from scenarios.runs.run import RunRequest, run_scenario
from scenarios.verdict import Outcome

pytestmark = pytest.mark.processes


def queues(endpoint):
    return endpoint.sqs.list_queues().get("QueueUrls", [])


@pytest.mark.pulumi_cli
def test_a_scenario_runs_on_a_temporary_stack_of_the_real_engine_and_leaves_nothing(project):
    result = run_scenario(RunRequest("happy", seed=3, engine="pulumi"))
    assert result.verdict.outcome is Outcome.PASS, result.verdict.reason
    assert not list(project.glob("Pulumi.*.yaml"))
    assert not list(state_directory().glob("tmp-*"))
    assert not list(state_directory().glob(".pulumi/stacks/*/*.json"))


def test_a_scenario_runs_on_another_endpoint_and_deletes_what_it_made_there(project, endpoints):
    before = queues(endpoints[0])
    result = run_scenario(RunRequest("poison", seed=3, endpoint=endpoints[0].url))
    assert result.verdict.outcome is Outcome.PASS, result.verdict.reason
    assert queues(endpoints[0]) == before
    assert not list(state_directory().glob("tmp-*"))


def test_a_temporary_stack_on_another_endpoint_is_deleted_even_when_its_user_fails(project, endpoints):
    before = queues(endpoints[0])

    def use():
        with temporary_stack(["happy"], Options(endpoint=endpoints[0].url)) as stack:
            assert len(queues(endpoints[0])) == len(before) + 2
            assert stack.endpoint_url == endpoints[0].url
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        use()
    assert queues(endpoints[0]) == before


def test_an_engine_that_is_none_is_one_sentence(project):
    with pytest.raises(ConfigError, match="--engine is embedded or pulumi, not 'steam'"):
        run_scenario(RunRequest("happy", engine="steam"))
