import shutil
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project directory of the test's own: its stacks and runs are in nobody's way."""
    shutil.copy(CHECKOUT / "Pulumi.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PULUMI_STACK", "test")
    return tmp_path
