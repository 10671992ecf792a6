import sys

import pytest

from scenarios.catalog import all_scenarios, find_scenario
from scenarios.checks.external_program import SEEN, command_line, is_program
from scenarios.checks.invariants import LOST
from scenarios.checks.witnesses import Witness
from scenarios.commands import scenario as command
from scenarios.commands.output import findings
from scenarios.commands.status_line import make_console
from scenarios.errors import RequestError
from scenarios.exploration.targets import make_target
from scenarios.local.lab import AN_ERROR
from scenarios.runs.plan import RunRequest, check_program, command_of
from scenarios.verdict import Outcome, judge
from services.faults import FAULTABLE
from services.operations import OPERATIONS
from tests.scenarios.test_verdict import SEEN as SEEN_WITNESS
from tests.scenarios.test_verdict import conditions, good, scenario


@pytest.mark.parametrize("text", ["my.module:Class", "m:C", " m:C "])
def test_a_class_is_no_program(text):
    assert not is_program(text)


@pytest.mark.parametrize("text", ["node my.js", "./consume", "nonsense", "m.C", "python -m app:main"])
def test_whatever_is_no_class_is_a_program(text):
    assert is_program(text)


def test_a_command_line_is_split_as_a_shell_would_and_read_by_none():
    assert command_line(f"{sys.executable} -c 'print(1)' $HOME") == (sys.executable, "-c", "print(1)", "$HOME")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            {"name": "crash", "consumer": "no-such-program my.js"},
            "error: --consumer is neither module:Class nor a program: 'no-such-program' is not there, or cannot be",
        ),
        (
            {"name": "crash", "consumer": "node 'my.js"},
            'error: --consumer "node \'my.js" is no command line: No closing',
        ),
        (
            {"name": "crash", "consumer": "node my.js", "tier": "sim"},
            "error: The simulated tier steps a consumer's code, and --consumer 'node my.js' is no module:Class",
        ),
        (
            {"name": "crash", "consumer": sys.executable, "naive": True},
            "error: --naive and --consumer both name a consumer; give one of them.",
        ),
        (
            {"name": "outbox", "consumer": sys.executable},
            "error: What outbox is about cannot be seen from outside a program",
        ),
    ],
)
def test_a_program_that_cannot_be_put_through_is_one_sentence_and_exit_64(project, capsys, options, sentence):
    assert command.scenario(**options) == 64
    assert capsys.readouterr().err.splitlines()[-1].startswith(sentence)
    assert not (project / "runs").exists()


def test_exploring_takes_a_program_that_is_there():
    with pytest.raises(RequestError, match="is not there, or cannot be executed"):
        make_target("crash", consumer="no-such-program my.js")


def test_the_refusal_names_the_scenarios_that_a_program_can_be_put_through():
    with pytest.raises(RequestError) as refused:
        check_program(sys.executable, find_scenario("outbox"))
    for name in ("happy", "crash", "duplicates", "poison", "fifo-order"):
        assert name in str(refused.value)


def test_in_a_scenario_for_programs_the_violation_of_the_twin_can_be_judged_from_outside():
    for found in all_scenarios().values():
        if found.any_program:
            violation = next(item for item in found.invariants if item.name == found.naive_twin.violation)
            assert SEEN.issuperset(violation.reads), found.name
            assert any(SEEN.issuperset(item.reads) for item in found.witnesses), found.name


def test_what_is_seen_from_outside_are_operations():
    # A program's own look at a version, or at several side effects, has no counterpart in ours.
    assert set(FAULTABLE) | {"ReadLedger", "ReadState"} >= SEEN
    assert set(OPERATIONS) >= SEEN


def test_what_cannot_be_seen_is_not_judged_and_the_verdict_says_so(capsys):
    claims = Witness("claimed", "somebody claims", lambda _: None, reads=("Claim",))
    judged = judge(scenario(SEEN_WITNESS, claims), good().history, conditions(consumer="node my.js"))
    assert judged.outcome is Outcome.PASS
    assert judged.reason == (
        "Not judged: claimed. Every invariant that was judged holds, and the failure under study occurred."
    )
    assert dict(judged.not_judged) == {"claimed": ("Claim",)}
    assert judged.as_json()["not_judged"] == [{"name": "claimed", "unseen": ["Claim"]}]
    assert [item["name"] for item in judged.as_json()["witnesses"]] == ["seen"]
    make_console().print(findings(judged))
    assert "Claim cannot be seen from outside a program" in capsys.readouterr().out

    strictly = judge(scenario(SEEN_WITNESS, claims), good().history, conditions(consumer="node my.js", strict=True))
    assert strictly.outcome is Outcome.INCONCLUSIVE
    assert strictly.reason == "Not judged: claimed. What could be judged holds."
    assert (
        judge(scenario(SEEN_WITNESS), good().history, conditions(consumer="x y", strict=True)).outcome is Outcome.PASS
    )

    # Of our own consumer, and of a subclass, everything is known.
    for consumer in ("", "my.module:Class"):
        known = judge(scenario(SEEN_WITNESS, claims), good().history, conditions(consumer=consumer))
        assert known.outcome is Outcome.INCONCLUSIVE
        assert known.as_json()["not_judged"] == []
    assert LOST.reads == ()


def test_the_command_that_repeats_a_run_quotes_the_program():
    found = find_scenario("crash")
    request = RunRequest("crash", consumer="node my.js")
    assert command_of(request, found, found.defaults, 7).endswith("--seed 7 --consumer 'node my.js'")


@pytest.mark.parametrize(
    "line",
    ["error: no queue", "Error: Cannot find module '/x.js'", "ValueError: x", "java.lang.IllegalStateException: x"],
)
def test_a_runtimes_error_is_told_from_what_it_says_besides(line):
    assert AN_ERROR.match(line)
    assert not AN_ERROR.match("    at Module._resolveFilename (node:internal/modules/cjs/loader:1140:15)")
    assert not AN_ERROR.match("Node.js v20.20.2")
