"""Clients of an endpoint on loopback: quick to make, and the same whatever the environment holds."""

from types import SimpleNamespace
from typing import ClassVar

import pytest
from botocore.loaders import JSONFileLoader

from infra.clients import Clients, Login, Role, aws_client, login_variables
from infra.stack.stacks import Stack

URL = "http://127.0.0.1:9"


def test_only_the_first_client_of_a_service_reads_its_description(monkeypatch):
    aws_client("sqs", endpoint_url=URL, region="us-west-1")
    read = []
    load = JSONFileLoader.load_file
    monkeypatch.setattr(JSONFileLoader, "load_file", lambda self, path: (read.append(path), load(self, path))[1])
    other = aws_client("sqs", endpoint_url="http://127.0.0.1:10", region="us-west-1", read_timeout=7)
    assert read == []
    # What is shared is what AWS is like, and not where or how it is asked.
    assert (other.meta.endpoint_url, other.meta.config.read_timeout) == ("http://127.0.0.1:10", 7)


def test_a_profile_that_does_not_exist_is_not_looked_for(monkeypatch):
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    assert aws_client("sts", endpoint_url=URL, region="eu-west-1").meta.region_name == "eu-west-1"


def test_clients_are_made_once_and_anew_after_they_were_closed():
    made = []
    clients = Clients(
        lambda service, region: made.append(service) or aws_client(service, endpoint_url=URL, region=region)
    )
    assert clients.get("sqs", "us-west-1") is clients.get("sqs", "us-west-1")
    clients.close()
    clients.get("sqs", "us-west-1")
    assert made == ["sqs", "sqs"]


# --- whose credentials a run's processes have ----------------------------------------------------------------------


class FakeSession:
    """A session whose STS gives each role credentials of its own name; it notes what it was asked."""

    asked: ClassVar = []

    def __init__(self, *keys, region_name=None, profile_name=None):
        self.keys, self.profile = keys, profile_name

    def client(self, service):
        assert service == "sts"
        return self

    def assume_role(self, **request):
        FakeSession.asked.append((self.keys or self.profile, request))
        name = request["RoleArn"].rpartition("/")[2]
        return {"Credentials": {"AccessKeyId": name, "SecretAccessKey": f"{name}-key", "SessionToken": f"{name}-token"}}

    def close(self):
        pass

    def get_credentials(self):
        return self

    def get_frozen_credentials(self):
        return SimpleNamespace(access_key=self.keys[0], secret_key=self.keys[1], token=self.keys[2])


def test_roles_are_assumed_one_after_the_other_and_their_credentials_handed_on(monkeypatch):
    FakeSession.asked.clear()
    monkeypatch.setattr("boto3.session.Session", FakeSession)
    roles = tuple(Role(f"arn:aws:iam::1:role/{name}", external_id=name) for name in ("first", "second"))
    assert login_variables(Login("mine", roles), "us-west-1") == {
        "AWS_ACCESS_KEY_ID": "second",
        "AWS_SECRET_ACCESS_KEY": "second-key",
        "AWS_SESSION_TOKEN": "second-token",
    }
    assert [who for who, _ in FakeSession.asked] == ["mine", ("first", "first-key", "first-token")]
    assert [request["ExternalId"] for _, request in FakeSession.asked] == ["first", "second"]


def test_a_profile_is_named_and_without_a_login_the_environment_decides():
    assert login_variables(Login("mine"), "us-west-1") == {"AWS_PROFILE": "mine"}
    assert login_variables(Login(), "us-west-1") == {}


@pytest.mark.parametrize(
    ("url", "variables"),
    [(None, {"AWS_PROFILE": "mine"}), ("https://sqs.example.com", {"AWS_PROFILE": "mine"}), (URL, {})],
    ids=["aws", "far away", "loopback"],
)
def test_a_stacks_processes_and_the_lab_itself_have_its_login(monkeypatch, url, variables):
    stack = Stack("dev", "us-west-1", url, None, {}, Login("mine"))
    assert stack.login_variables == variables
    made = []
    monkeypatch.setattr("infra.stack.stacks.aws_client", lambda service, **options: made.append(options["login"]))
    stack.clients.get("sqs", "us-west-1")
    assert made == [Login("mine")]
