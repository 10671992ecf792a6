"""The provider's notes of what it begins to create."""

import pytest

from infra.errors import EndpointError, ProviderError
from infra.provider.creations import Creation, CreationLog
from infra.provider.schema import DEFAULTS_KEY

URN = "urn:pulumi:dev::p::aws:sqs/queue:Queue::q"


def chosen(name):
    return {"name": name, DEFAULTS_KEY: ["name"]}


@pytest.fixture
def log(tmp_path):
    return CreationLog(tmp_path / "stack" / "creations.jsonl")


def test_a_create_is_noted_before_it_begins_and_until_the_log_is_cleared(log):
    assert log.read() == []
    with log.noted(URN, "us-west-1", chosen("q-1")):
        assert log.read() == [Creation(URN, "us-west-1", "q-1")]
    assert log.read() == [Creation(URN, "us-west-1", "q-1")]
    log.clear()
    log.clear()
    assert log.read() == []


def test_a_create_that_was_refused_is_forgotten_and_one_of_unknown_outcome_is_not(log):
    for name, error in (("refused", ProviderError), ("unknown", EndpointError)):
        with pytest.raises(error), log.noted(URN, "us-west-1", chosen(name)):
            raise error("no")
    assert [creation.name for creation in log.read()] == ["unknown"]


def test_a_given_name_may_be_another_owners_and_is_not_noted(log):
    with log.noted(URN, "us-west-1", {"name": "given"}), log.noted(URN, "us-west-1", {"queueUrl": "http://q"}):
        assert log.read() == []


def test_a_note_that_was_cut_is_passed_over(log, tmp_path):
    with log.noted(URN, "us-west-1", chosen("q-1")):
        pass
    path = tmp_path / "stack" / "creations.jsonl"
    path.write_text(path.read_text() + '{"begun": {"urn"')
    assert [creation.name for creation in log.read()] == ["q-1"]
