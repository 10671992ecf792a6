"""What development installs: the lock file is in step with pyproject.toml, and audit and bill of materials cover it."""

import json
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest
from invoke.exceptions import Exit
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import tasks

ROOT = Path(tasks.__file__).parent
NAME = "queue-fundamentals"
HASH = "0" * 64


def locked(text):
    """Return the version, the hashes and the reasons of each package in a lock file, by its name."""
    packages = {}
    for entry in re.split(r"\n(?=[a-z0-9])", text.strip()):
        name, version = re.match(r"([a-z0-9-]+)==(\S+)", entry).groups()
        _, _, reasons = entry.partition("# via")
        hashes = set(re.findall(r"--hash=sha256:([0-9a-f]{64})\b", entry))
        packages[name] = SimpleNamespace(version=version, hashes=hashes, via=re.sub(r"[ #\n]+", " ", reasons).strip())
    return packages


def declared(project):
    """Return what development needs, by name: the dependencies, and those of the extra ``dev`` and its extras."""
    extras = project["optional-dependencies"]
    texts, asked = [*project["dependencies"]], ["dev"]
    while asked:
        for text in extras[asked.pop()]:
            needed = Requirement(text)
            if needed.name == NAME:
                asked += needed.extras
            else:
                texts.append(text)
    return {canonicalize_name(needed.name): needed for needed in map(Requirement, texts)}


def out_of_step(project, lock):
    """Return what differs between a project's dependencies and a lock file, one sentence each."""
    packages, needs = locked(lock), declared(project)
    for name, needed in needs.items():
        if name not in packages:
            yield f"{name} is not locked"
        elif not needed.specifier.contains(packages[name].version, prereleases=True):
            yield f"{name} {packages[name].version} is not {needed.specifier}"
    for name, package in packages.items():
        if not package.hashes:
            yield f"{name} has no hash"
        if f"{NAME} (pyproject.toml)" in package.via and name not in needs:
            yield f"{name} is locked for {NAME}, which does not ask for it"


def test_the_lock_file_is_in_step_with_the_dependencies():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert list(out_of_step(project, (ROOT / tasks.LOCK).read_text())) == [], "`invoke lock` writes the lock file"


LOCKED = {
    "alpha": f"alpha==1.5 \\\n    --hash=sha256:{HASH}\n    # via\n    #   {NAME} (pyproject.toml)\n    #   beta\n",
    "beta": f"beta==2.0 ; sys_platform == 'linux' \\\n    --hash=sha256:{HASH}\n    # via {NAME} (pyproject.toml)\n",
    "gamma": f"gamma==3.0 \\\n    --hash=sha256:{HASH}\n    # via beta\n",
}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, []),
        ({"beta": ""}, ["beta is not locked"]),
        ({"alpha": LOCKED["alpha"].replace("1.5", "0.9")}, ["alpha 0.9 is not >=1"]),
        ({"gamma": "gamma==3.0\n    # via beta\n"}, ["gamma has no hash"]),
        (
            {"gamma": LOCKED["gamma"].replace("beta", f"{NAME} (pyproject.toml)")},
            [f"gamma is locked for {NAME}, which does not ask for it"],
        ),
    ],
    ids=["in step", "missing", "too old", "no hash", "not asked for"],
)
def test_a_lock_file_that_is_out_of_step_is_found(change, said):
    extras = {"own": ["Beta>=2"], "dev": [f"{NAME}[own]"], "other": ["delta>=1"]}
    project = {"dependencies": ["alpha>=1"], "optional-dependencies": extras}
    assert list(out_of_step(project, "".join((LOCKED | change).values()))) == said


def run(command, **_options):
    """Run a command line as Invoke does, without its threads."""
    ran = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)  # noqa: S602 - a task's own
    return SimpleNamespace(exited=ran.returncode, stdout=ran.stdout, stderr=ran.stderr)


# The audit


def audit(stdout, stderr=""):
    """Audit with what pip-audit says."""
    tasks.audit.body(SimpleNamespace(run=lambda *_, **__: SimpleNamespace(stdout=stdout, stderr=stderr)))


UNREACHED = "The database of vulnerabilities cannot be reached from here; nothing was audited.\n"


@pytest.mark.parametrize(
    ("stdout", "stderr"),
    [
        ("", "Traceback (most recent call last):\n  ...\nrequests.exceptions.ProxyError: unable to connect\n"),
        (json.dumps({"dependencies": [{"name": "alpha", "skip_reason": "Dependency not found on PyPI"}]}), ""),
    ],
    ids=["no connection", "a mirror without the database"],
)
def test_an_audit_without_its_database_says_so_in_one_sentence(capsys, stdout, stderr):
    audit(stdout, stderr)
    assert capsys.readouterr() == (UNREACHED, "")


def test_an_audit_names_what_is_vulnerable_and_fails(capsys):
    sound = {"name": "alpha", "version": "1", "vulns": []}
    audit(json.dumps({"dependencies": [sound, {"name": "gamma", "skip_reason": "none"}]}))
    assert capsys.readouterr().out == "1 of 2 packages audited, 0 known vulnerabilities\n"
    flawed = {"name": "beta", "version": "2", "vulns": [{"id": "CVE-1"}]}
    with pytest.raises(Exit) as ended:
        audit(json.dumps({"dependencies": [sound, flawed]}))
    assert ended.value.code == 1
    assert capsys.readouterr().out == "beta 2: CVE-1\n2 of 2 packages audited, 1 known vulnerabilities\n"


def test_an_audit_that_fails_by_itself_is_not_taken_for_one_without_a_database():
    with pytest.raises(Exit, match=r"^pip-audit failed: ERROR: invalid requirements input$"):
        audit("", "Warning\nERROR: invalid requirements input\n")


@pytest.mark.processes
@pytest.mark.thorough
def test_the_real_audit_says_one_sentence_where_nothing_can_be_reached(monkeypatch, capsys):
    for variable in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    for variable in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.chdir(ROOT)
    tasks.audit.body(SimpleNamespace(run=run))
    assert capsys.readouterr() == (UNREACHED, "")


# The bill of materials


@pytest.mark.processes
@pytest.mark.thorough
def test_the_bill_of_materials_has_every_locked_package_with_its_hashes(monkeypatch, tmp_path):
    (tmp_path / tasks.LOCK).parent.mkdir()
    for name in (tasks.LOCK, "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    tasks.sbom.body(SimpleNamespace(run=run))
    bill = json.loads((tmp_path / tasks.SBOM).read_text())
    assert bill["metadata"]["component"]["name"] == NAME
    listed = {
        component["name"]: (
            component["version"],
            {each["content"] for link in component["externalReferences"] for each in link["hashes"]},
        )
        for component in bill["components"]
    }
    packages = locked((tmp_path / tasks.LOCK).read_text())
    assert listed == {name: (package.version, package.hashes) for name, package in packages.items()}
