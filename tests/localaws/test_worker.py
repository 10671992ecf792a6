"""DynamoDB and S3 in a thread of their own: SQS goes on, deadlines hold, and moto loads once for both."""

import http.client
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from infra.localaws import moto_loader, server, worker
from infra.localaws.config import EndpointConfig
from infra.localaws.http import text_response
from infra.localaws.lambda_ import moto_services
from infra.localaws.server import running_endpoint
from tests.localaws.lab import client_of, endpoint_process
from tests.localaws.test_s3 import SIGNED

PATIENCE = 20
DYNAMODB = {"X-Amz-Target": "DynamoDB_20120810.ListTables"}
S3 = {"Authorization": SIGNED}


def _ask(endpoint, headers, method="POST"):
    connection = http.client.HTTPConnection(endpoint.url.removeprefix("http://"), timeout=PATIENCE)
    connection.request(method, "/", b"{}" if method == "POST" else None, headers)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, body


class Busy:
    """A DynamoDB that works until it is let go; ``began`` tells that it does."""

    def __init__(self):
        self.began = threading.Event()
        self.let_go = threading.Event()
        self.served = 0

    def answer(self, _request):
        self.began.set()
        assert self.let_go.wait(PATIENCE)
        self.served += 1
        return text_response(200, "done")


@pytest.fixture
def busy(monkeypatch):
    work = Busy()
    monkeypatch.setattr(moto_loader.MotoServices, "dynamodb", work)
    yield work
    work.let_go.set()


def test_sqs_answers_while_dynamodb_works(busy):
    with running_endpoint(EndpointConfig()) as endpoint, ThreadPoolExecutor() as pool:
        asked = pool.submit(_ask, endpoint, DYNAMODB)
        assert busy.began.wait(PATIENCE)
        sqs = client_of(endpoint, "sqs")
        url = sqs.create_queue(QueueName="q")["QueueUrl"]
        sqs.send_message(QueueUrl=url, MessageBody="x")
        assert len(sqs.receive_message(QueueUrl=url)["Messages"]) == 1
        assert not asked.done()
        busy.let_go.set()
        assert asked.result(PATIENCE) == (200, b"done\n")
        sqs.close()


def test_work_beyond_its_deadline_is_answered_and_what_waited_so_long_is_not_begun(busy, monkeypatch):
    monkeypatch.setattr(server, "Worker", lambda: worker.Worker(0.2))
    with running_endpoint(EndpointConfig()) as endpoint, ThreadPoolExecutor() as pool:
        first = pool.submit(_ask, endpoint, DYNAMODB)
        assert busy.began.wait(PATIENCE)
        second = pool.submit(_ask, endpoint, DYNAMODB)
        for asked in (first, second):
            status, body = asked.result(PATIENCE)
            assert status == 400
            assert b"RequestTimeout" in body
        busy.let_go.set()
        third = pool.submit(_ask, endpoint, DYNAMODB)
        assert third.result(PATIENCE)[0] == 200
        assert busy.served == 2  # the first, to its end, and the third


def test_a_request_whose_client_has_gone_is_performed(busy):
    with running_endpoint(EndpointConfig()) as endpoint:
        connection = http.client.HTTPConnection(endpoint.url.removeprefix("http://"), timeout=PATIENCE)
        connection.request("POST", "/", b"{}", DYNAMODB)
        assert busy.began.wait(PATIENCE)
        connection.close()
        busy.let_go.set()
        deadline = time.monotonic() + PATIENCE
        while not busy.served:
            assert time.monotonic() < deadline
            time.sleep(0.005)


def test_a_load_that_fails_is_tried_again(monkeypatch):
    failures = [ImportError("half a module")]
    load = moto_loader.MotoServices._load

    def failing(self):
        if failures:
            raise failures.pop()
        return load(self)

    monkeypatch.setattr(moto_loader.MotoServices, "_load", failing)
    with running_endpoint(EndpointConfig()) as endpoint:
        assert _ask(endpoint, DYNAMODB)[0] == 500
        assert _ask(endpoint, DYNAMODB)[0] == 200
        assert _ask(endpoint, S3, "GET")[0] == 200


@pytest.mark.processes
def test_s3_and_dynamodb_at_once_in_the_first_moments_are_both_served():
    """Six clients ask for both from the first moment on, while moto is still loading."""
    for _ in range(2):
        with endpoint_process() as endpoint, ThreadPoolExecutor(6) as pool:
            asked = [pool.submit(_ask, endpoint, *kind) for kind in ((S3, "GET"), (DYNAMODB, "POST")) * 3]
            assert [each.result(PATIENCE)[0] for each in asked] == [200] * 6


def test_garbage_in_circles_is_collected_after_so_many_bytes(monkeypatch):
    collected = []
    monkeypatch.setattr(worker.gc, "collect", lambda: collected.append(True))
    one = worker.Worker()
    for _ in range(10):
        one._collect(worker.COLLECT_BYTES // 4)
    assert len(collected) == 2


# --- IAM and CloudWatch Logs --------------------------------------------------------------------------------------

IAM = {"Authorization": SIGNED.replace("/s3/", "/iam/")}
LOGS = {"X-Amz-Target": "Logs_20140328.DescribeLogGroups"}


@pytest.mark.parametrize("headers", [IAM, LOGS], ids=["iam", "logs"])
def test_sqs_answers_while_a_service_of_lambdas_works(monkeypatch, headers):
    work = Busy()
    monkeypatch.setattr(moto_services.Iam, "answer", lambda _self, request: work.answer(request))
    monkeypatch.setattr(moto_services.Logs, "answering", lambda _self, request: lambda: work.answer(request))
    with running_endpoint(EndpointConfig()) as endpoint, ThreadPoolExecutor() as pool:
        asked = pool.submit(_ask, endpoint, headers)
        assert work.began.wait(PATIENCE)
        client_of(endpoint, "sqs").create_queue(QueueName="q")
        assert not asked.done()
        work.let_go.set()
        assert asked.result(PATIENCE) == (200, b"done\n")


@pytest.mark.parametrize("headers", [IAM, LOGS], ids=["iam", "logs"])
def test_a_service_of_lambdas_that_works_too_long_is_answered_at_the_deadline(monkeypatch, headers):
    work = Busy()
    monkeypatch.setattr(moto_services.Iam, "answer", lambda _self, request: work.answer(request))
    monkeypatch.setattr(moto_services.Logs, "answering", lambda _self, request: lambda: work.answer(request))
    monkeypatch.setattr(server, "Worker", lambda: worker.Worker(0.05))
    with running_endpoint(EndpointConfig()) as endpoint:
        try:
            status, body = _ask(endpoint, headers)
        finally:
            work.let_go.set()
    assert status == 400
    assert b"gave up waiting" in body
    # Each client reads it: IAM's answers are XML, the logs' JSON.
    assert body.startswith(b"<ErrorResponse>" if headers is IAM else b'{"__type": "ServiceUnavailableException"')


@pytest.mark.parametrize(
    ("headers", "body", "said"),
    [
        (IAM, b"Action=NoSuchAction&Version=2010-05-08", b"<Code>InvalidAction</Code>"),
        (IAM, b"Action=CreateVirtualMFADevice&Version=2010-05-08", b"<Code>"),
        (LOGS, b"[1]", b"__type"),
        ({"X-Amz-Target": "Logs_20140328.NoSuchAction"}, b"{}", b"UnknownOperationException"),
    ],
)
def test_an_odd_request_to_a_service_of_lambdas_is_refused_and_no_fault(headers, body, said):
    with running_endpoint(EndpointConfig()) as endpoint:
        connection = http.client.HTTPConnection(endpoint.url.removeprefix("http://"), timeout=PATIENCE)
        connection.request("POST", "/", body, {"Content-Type": "application/x-www-form-urlencoded", **headers})
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
    assert answer.status == 400, text
    assert said in text
