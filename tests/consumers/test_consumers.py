"""Consumers of other makes are put through a crash; docs/your-own-consumer.md says what it shows of them.

``.ci/consumers`` installs them.
"""

import os
import shlex
import subprocess
from pathlib import Path

import pytest

from scenarios.checks.program_config import ProgramConfig
from scenarios.runs.run import RunRequest, run_scenario
from scenarios.verdict import Outcome
from tests.consumers.small import LANGUAGES

pytestmark = [pytest.mark.processes, pytest.mark.thorough]

SCRIPT = Path(__file__).resolve().parents[2] / ".ci" / "consumers"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "queue-fundamentals" / "consumers"

COMMANDS = {
    "sqs-consumer": ("node", "{directory}/consumer.mjs"),
    "powertools": ("{directory}/venv/bin/python", "{directory}/consumer.py"),
}


def installed(name):
    """Return where a consumer is; the script only says so, once it is installed."""
    if not os.environ.get("CI") and not list(CACHE.glob(f"{name}-*")):
        pytest.skip(f"{name} is not installed; run .ci/consumers to install it")
    return subprocess.run([SCRIPT, name], check=True, capture_output=True, text=True).stdout.strip()


def command_of(name, *options):
    """Return a consumer's command line."""
    directory = installed(name)
    return shlex.join([*(word.format(directory=directory) for word in COMMANDS[name]), *options])


@pytest.mark.thorough
@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    ("option", "violated"), [("--mark-first", {"lost"}), ("--naive", {"duplicated-side-effect"}), ("--careful", set())]
)
def test_a_crash_before_or_after_the_side_effect_tells_the_careful_from_the_others(
    project, small_consumer, language, option, violated
):
    verdict = run_scenario(RunRequest("crash", seed=3, consumer=small_consumer(language, option))).verdict
    assert {name for name, found in verdict.violations.items() if found} == violated, verdict.reason
    assert verdict.missing == ()


def conclusive_verdict(name, consumer, config):
    """Return what a scenario says of a consumer; a machine too busy to show anything is asked again, twice at most."""
    for seed in (3, 4, 5):
        verdict = run_scenario(RunRequest(name, seed=seed, consumer=consumer, program=config)).verdict
        if verdict.outcome is not Outcome.INCONCLUSIVE:
            break
    return verdict


@pytest.mark.parametrize("language", LANGUAGES)
def test_long_work_is_done_once_by_who_extends_the_visibility_timeout(project, small_consumer, language):
    config = ProgramConfig(follows=("heartbeat",))
    consumers = {option: small_consumer(language, option) for option in ("--heartbeat", "--look")}
    told = {option: conclusive_verdict("heartbeat", consumer, config) for option, consumer in consumers.items()}
    assert str(told["--heartbeat"].outcome) == "pass", told["--heartbeat"].reason
    assert told["--look"].violations["duplicated-side-effect"], told["--look"].reason


@pytest.mark.parametrize("language", LANGUAGES)
def test_to_mark_first_and_then_to_act_loses_a_message_where_side_effects_are_studied(
    project, small_consumer, language
):
    consumer = small_consumer(language, "--mark-first")
    verdict = run_scenario(RunRequest("side-effects", seed=3, consumer=consumer)).verdict
    assert verdict.violations["lost"], verdict.reason
    careful = run_scenario(RunRequest("side-effects", seed=3, consumer=small_consumer(language, "--careful"))).verdict
    assert str(careful.outcome) == "pass", careful.reason
    assert careful.reason.startswith("Not judged: found-in-ledger. ")


@pytest.mark.parametrize(
    ("name", "options", "paid_twice"),
    [
        # Killed after the side effect, and killed before the delete: it has no memory of either.
        ("sqs-consumer", (), 2),
        # Killed before the delete it finds its record; killed after the side effect it has none yet.
        ("powertools", (), 1),
        ("sqs-consumer", ("--look",), 0),
        ("powertools", ("--look",), 0),
    ],
)
def test_what_a_crash_shows_of_a_consumer_of_another_make(project, name, options, paid_twice):
    verdict = run_scenario(RunRequest("crash", seed=3, consumer=command_of(name, *options))).verdict
    assert len(verdict.violations["duplicated-side-effect"]) == paid_twice, verdict.reason
    assert str(verdict.outcome) == ("fail" if paid_twice else "pass"), verdict.reason
    assert [each for each, found in verdict.violations.items() if found and each != "duplicated-side-effect"] == []
    assert verdict.missing == ()
    assert list(verdict.not_judged) == ["crashed-after-claim"]
