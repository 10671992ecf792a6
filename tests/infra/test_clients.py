"""Clients of an endpoint on loopback: quick to make, and the same whatever the environment holds."""

from botocore.loaders import JSONFileLoader

from infra.clients import Clients, aws_client

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
