"""The same seed makes the same bytes, and nothing outside of the simulation has a say in it."""

import builtins
import hashlib
import os
import random
import shutil
import socket
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from importlib import metadata
from multiprocessing import get_context
from pathlib import Path

import pytest

from scenarios.exploration.replay import history_bytes
from scenarios.exploration.targets import make_target
from scenarios.simulation.choices import SeededChoices
from scenarios.simulation.run import simulate

ROOT = Path(__file__).parents[3]
#: What the simulation and this module import beside the standard library.
PACKAGES = ("jsonpath-ng", "msgspec", "pydantic-settings", "pytest")
NAMES = ("crash", "fifo-order", "orders", "long-work")
PROGRAM = """
import sys
sys.path.insert(0, "")
from tests.scenarios.simulation.test_purity import digest
print(digest(range(5)))
"""


def digest(seeds):
    """Return one digest over the histories of some seeds."""
    total = hashlib.sha256()
    for name in NAMES:
        for seed in seeds:
            simulation = simulate(make_target(name).plan(seed), SeededChoices(seed))
            total.update(history_bytes(simulation.history))
            total.update(repr(simulation.verdict.as_json()).encode())
    return total.hexdigest()


def test_the_same_seed_makes_the_same_bytes():
    assert digest(range(10)) == digest(range(10))
    assert digest(range(1)) != digest(range(1, 2))


@pytest.mark.processes
@pytest.mark.parametrize("hash_seed", ["1", "2"])
def test_the_same_bytes_come_with_another_hash_seed(hash_seed):
    assert _elsewhere(sys.executable, {"PYTHONHASHSEED": hash_seed}) == digest(range(5))


@pytest.mark.processes
@pytest.mark.thorough
@pytest.mark.parametrize("version", ["3.12", "3.13"])
def test_the_same_bytes_come_with_another_python(version, tmp_path):
    python = _find_python(version)
    if python is None:
        pytest.skip(f"there is no Python {version} here")
    subprocess.run([python, "-m", "venv", tmp_path], check=True)
    own = [f"{name}=={metadata.version(name)}" for name in PACKAGES]
    subprocess.run([tmp_path / "bin" / "pip", "install", "--quiet", *own], check=True)
    assert _elsewhere(tmp_path / "bin" / "python", {"PYTHONDONTWRITEBYTECODE": "1"}) == digest(range(5))


@pytest.mark.processes
def test_the_same_bytes_come_from_a_pool_of_processes():
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        assert list(pool.map(digest, [range(3), range(3)])) == [digest(range(3))] * 2


def _find_python(version):
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    candidates = [shutil.which(f"python{version}"), *sorted(versions.glob(f"{version}.*/bin/python{version}"))]
    for python in filter(None, candidates):
        if not subprocess.run([python, "--version"], capture_output=True, check=False).returncode:
            return python
    return None


def _elsewhere(python, variables):
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **variables}
    done = subprocess.run(
        [python, "-c", PROGRAM], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_no_clock_no_chance_no_socket_and_no_file_is_used(monkeypatch):
    target = {name: make_target(name) for name in NAMES}
    expected = {name: history_bytes(simulate(target[name].plan(3), SeededChoices(3)).history) for name in NAMES}

    def forbidden(name):
        def raise_it(*_arguments, **_options):
            raise AssertionError(f"the simulation used {name}")

        return raise_it

    for module, names in (
        (time, ("time", "monotonic", "perf_counter", "sleep", "time_ns", "monotonic_ns")),
        (os, ("urandom", "open", "write", "kill", "getpid")),
        (random, ("random", "randint", "choice", "getrandbits", "SystemRandom")),
        (socket, ("socket", "create_connection")),
        (builtins, ("open",)),
    ):
        for name in names:
            monkeypatch.setattr(module, name, forbidden(f"{module.__name__}.{name}"))
    found = {name: history_bytes(simulate(target[name].plan(3), SeededChoices(3)).history) for name in NAMES}
    monkeypatch.undo()
    assert found == expected
