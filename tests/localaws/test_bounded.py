"""What grows while the endpoint runs has a bound, and a disk that is full stops the records, not the queues."""

import errno
import http.client
import json
import logging
import os
import sys

import psutil
import pytest

from infra.localaws import history
from infra.localaws.config import EndpointConfig
from infra.localaws.faults import FaultLog
from infra.localaws.history import HistoryFile
from infra.localaws.server import running_endpoint
from infra.stack.endpoint import fault_of
from tests.localaws.lab import client_of, endpoint_process
from tests.localaws.test_s3 import PLACE


def _full_after(monkeypatch, count):
    """Let the disk be full after so many bytes: a write is cut short, the next one fails."""
    write, left = os.write, [count]

    def cut(descriptor, data):
        if left[0] <= 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = write(descriptor, bytes(data)[: left[0]])
        left[0] -= written
        return written

    monkeypatch.setattr(history.os, "write", cut)


def test_a_send_is_accepted_when_the_disk_is_full(tmp_path, monkeypatch, caplog):
    path = tmp_path / "history.jsonl"
    with running_endpoint(EndpointConfig(history=path)) as endpoint:
        sqs = client_of(endpoint, "sqs")
        url = sqs.create_queue(QueueName="q")["QueueUrl"]
        assert fault_of(endpoint.url) == ""
        _full_after(monkeypatch, 100)
        sent = sqs.send_message(QueueUrl=url, MessageBody="kept")
        [received] = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=5)["Messages"]
        assert received["MessageId"] == sent["MessageId"]
        assert "No space left on device" in fault_of(endpoint.url)
        sqs.close()
    lines = path.read_text().splitlines()
    assert [json.loads(line)["event"] for line in lines] == ["queue-created"]
    assert [record.message for record in caplog.records if "no longer records" in record.message] == [
        f"The endpoint no longer records its history {path}: No space left on device. The queues go on."
    ]


def test_a_history_has_a_largest_size_and_ends_with_a_whole_line(tmp_path):
    path = tmp_path / "history.jsonl"
    with HistoryFile(path, most=2_000) as file:
        for number in range(100):
            file.observe("sent", "q", {"number": number})
            file.flush()
        assert "it has reached 2,000 bytes" in file.fault
        assert not file._lines
    told = [json.loads(line)["number"] for line in path.read_text().splitlines()]
    assert told == list(range(len(told)))
    assert 1_000 < path.stat().st_size <= 2_000


def test_a_history_that_is_appended_to_counts_what_is_there(tmp_path):
    path = tmp_path / "history.jsonl"
    path.write_text("x" * 1_990 + "\n")
    with HistoryFile(path, most=2_000) as file:
        file.observe("sent", "q", {})
        file.flush()
        assert file.fault
    assert path.stat().st_size == 1_991


def test_the_log_of_faults_does_not_grow_for_ever(caplog):
    log = FaultLog(most=3)
    with caplog.at_level(logging.ERROR):
        for number in range(10):
            try:
                int("x" * 1_000_000)
            except ValueError:
                log.exception("It failed on %s.", "y" * 100_000 + str(number))
    assert log.count == 10
    assert len(caplog.records) == 4
    assert sum(len(record.getMessage()) for record in caplog.records) < 30_000
    assert "no more than 3 faults" in caplog.records[-1].getMessage()


@pytest.mark.processes
@pytest.mark.thorough
def test_overwrites_of_a_large_object_hold_no_memory():
    """Without a collection after so many bytes each overwrite would stay, for as long as nobody looks for circles."""
    size, count = 4_000_000, 120
    with endpoint_process() as endpoint:
        s3 = client_of(endpoint, "s3")
        s3.create_bucket(Bucket="payloads", CreateBucketConfiguration=PLACE)
        body = bytes(size)
        s3.put_object(Bucket="payloads", Key="a", Body=body)
        before = psutil.Process(endpoint.process.pid).memory_info().rss
        for _ in range(count):
            s3.put_object(Bucket="payloads", Key="a", Body=body)
        grown = psutil.Process(endpoint.process.pid).memory_info().rss - before
        s3.close()
    assert grown < size * count / 2


@pytest.mark.processes
@pytest.mark.thorough
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full here")  # noqa: PTH110 - a device
def test_a_standard_output_that_is_full_stops_nothing(tmp_path):
    import subprocess  # noqa: PLC0415 - here alone
    import time  # noqa: PLC0415 - likewise

    ready = tmp_path / "ready"
    with open("/dev/full", "w", encoding="utf-8") as full:  # noqa: PTH123 - a device
        process = subprocess.Popen(
            [sys.executable, "-m", "infra.localaws", "--ready-file", str(ready)],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    try:
        deadline = time.monotonic() + 20
        while not ready.exists():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        connection = http.client.HTTPConnection(ready.read_text().strip().removeprefix("http://"), timeout=20)
        connection.request("GET", "/_localaws/health")
        assert connection.getresponse().status == 200
        connection.close()
    finally:
        process.terminate()
        _, told = process.communicate(timeout=20)
    assert (process.returncode, told) == (0, "")
