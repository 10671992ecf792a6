"""Where services make their clients: what is read of AWS's descriptions, and when."""

import shutil
from pathlib import Path

import botocore
import pytest
from botocore.loaders import JSONFileLoader

from services.clients import Access, Clients

ACCESS = Access(region="us-west-1", endpoint_url="http://127.0.0.1:9")


@pytest.fixture
def read(monkeypatch):
    paths = []
    load = JSONFileLoader.load_file
    monkeypatch.setattr(JSONFileLoader, "load_file", lambda self, path: (paths.append(path), load(self, path))[1])
    return paths


def test_a_process_reads_a_description_once_however_many_sessions_it_has(read):
    Clients(ACCESS).client("sqs")
    read.clear()
    Clients(ACCESS).client("sqs")
    assert read == []


def test_descriptions_of_the_users_own_are_taken(read, monkeypatch, tmp_path):
    Clients(ACCESS).client("sqs")
    shutil.copytree(Path(botocore.__file__).parent / "data" / "sqs", tmp_path / "sqs")
    monkeypatch.setenv("AWS_DATA_PATH", str(tmp_path))
    read.clear()
    Clients(ACCESS).client("sqs")
    assert any(path.startswith(str(tmp_path)) for path in read)
