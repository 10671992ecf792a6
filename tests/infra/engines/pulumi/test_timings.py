"""The rows that ``invoke bench`` shows of the engines."""

import os

import pytest

from infra.stack.target import EngineName
from infra.timings import time_engines


@pytest.mark.processes
@pytest.mark.thorough
def test_each_command_is_timed_and_an_engine_that_is_not_installed_has_no_times(monkeypatch):
    monkeypatch.setenv("PATH", os.devnull)
    monkeypatch.setenv("XDG_CACHE_HOME", os.devnull)
    told = []
    rows = list(time_engines(1, tell=told.append))
    assert [(row.engine, row.command) for row in rows] == [
        (engine, command) for engine in EngineName for command in ("up", "second up", "down")
    ]
    assert [len(row.seconds) for row in rows] == [1] * 3 + [0] * 3
    assert told == ["embedded engine, run 1 of 1"]
