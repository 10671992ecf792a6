"""What a build server reads of runs: JUnit XML, GitHub's annotations, exit codes, and the console script."""

from types import SimpleNamespace
from xml.etree import ElementTree as ET

import pytest

from scenarios.catalog import all_scenarios, find_scenario
from scenarios.commands import program
from scenarios.commands import scenario as command
from scenarios.commands.junit import Case, github_annotations, write_junit
from scenarios.commands.suite import case_of
from scenarios.errors import RequestError, ServiceFailedError, UnsuitableError
from scenarios.runs.plan import applicable
from scenarios.runs.suite import Entry, worst

CASES = [
    Case("happy", "pass", "Fine.", 1.5),
    Case(
        "crash", "fail", "Violated: lost (1) & <more>.", 2.25, "lost", "invoke again", {"c-1": ("\x1b[31mred", "last")}
    ),
    Case("poison", "inconclusive", "Not seen.", command="invoke poison"),
    Case("duplicates", "none", "consumer-1 ended.", kind="broken"),
    Case("heartbeat", "skipped", "Not declared."),
]


def test_the_xml_counts_and_names_what_did_not_pass(tmp_path):
    path = tmp_path / "new" / "junit.xml"
    write_junit(path, "node my.js", CASES, 9.0)
    root = ET.fromstring(path.read_text())  # noqa: S314 - written by this very test
    assert {name: root.get(name) for name in ("tests", "failures", "errors", "skipped")} == {
        "tests": "5",
        "failures": "1",
        "errors": "2",
        "skipped": "1",
    }
    happy, crash, poison, broken, heartbeat = root.iter("testcase")
    assert (happy.get("name"), happy.get("classname"), list(happy)) == ("happy", "node my.js", [])
    assert crash.find("failure").get("type") == "lost"
    assert crash.find("failure").get("message") == "Violated: lost (1) & <more>."
    assert "reproduce: invoke again" in crash.find("failure").text
    assert crash.find("system-out").text == "the end of c-1's log:\n\ufffd[31mred\nlast"
    assert (poison.find("error").get("type"), broken.find("error").get("type")) == ("inconclusive", "broken")
    assert heartbeat.find("skipped").get("message") == "Not declared."


def test_a_file_that_cannot_be_written_is_one_sentence(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(RequestError, match=r"^--junit .*/file/junit.xml cannot be written: "):
        write_junit(tmp_path / "file" / "junit.xml", "s", CASES, 1.0)


def test_annotations_are_for_githubs_workflows_alone(monkeypatch):
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    assert list(github_annotations(CASES)) == []
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    lines = list(github_annotations([*CASES[:2], CASES[-1], Case("a:b,c", "none", "50%\nof it")]))
    assert lines == [
        "::error title=crash::Violated: lost (1) & <more>. Reproduce: invoke again",
        "::warning title=a%3Ab%2Cc::50%25%0Aof it Reproduce: ",
    ]


def test_a_run_without_a_verdict_says_whether_the_consumer_is_broken():
    happy = find_scenario("happy")
    broken = Entry(happy, naive=False, result=None, error="It ended.", broken=True, log=("TypeError",))
    lost = Entry(happy, naive=False, result=None, error="No endpoint.")
    assert (broken.exit_code, lost.exit_code) == (3, 2)
    assert worst([broken, lost]) == 3
    failed = SimpleNamespace(exit_code=1)
    assert worst([broken, failed]) == 1
    assert case_of(broken) == Case("happy", "none", "It ended.", kind="broken", logs={"consumer": ("TypeError",)})
    assert case_of(lost).kind == "no verdict"


@pytest.mark.parametrize(
    ("error", "code"),
    [(ServiceFailedError("It ended."), 3), (UnsuitableError("No queue."), 2), (RequestError("No such."), 64)],
)
def test_an_exit_code_says_why_there_is_no_verdict(monkeypatch, capsys, error, code):
    def fails(*_):
        raise error

    monkeypatch.setattr(command, "run_plan", fails)
    assert command.scenario("crash") == code
    assert capsys.readouterr().err.endswith(f"error: {error}\n")


def test_a_suite_takes_the_scenarios_that_a_consumer_can_be_put_through():
    assert {found.name for found in applicable("")} == set(all_scenarios())
    programs = {found.name for found in applicable("true x")}
    assert {"crash", "graceful-shutdown"} <= programs
    assert "outbox" not in programs
    classes = {found.name for found in applicable("m:C")}
    assert "crash" in classes
    assert "saga" not in classes
    with pytest.raises(RequestError, match="neither module:Class nor a program"):
        applicable("no-such-program x")


@pytest.mark.parametrize("words", [["--nope"], ["scenario", "--nope"], ["no-such-command"]])
def test_the_console_script_ends_with_64_where_it_cannot_read_a_command_line(capsys, words):
    script = program.Commands(namespace=program.commands(), version="1")
    with pytest.raises(SystemExit) as end:
        script.run(["queue-fundamentals", *words])
    assert end.value.code == 64
    assert capsys.readouterr().err.startswith("error: ")


def test_the_console_script_has_the_commands_for_users_and_not_those_that_keep_the_project():
    names = set(program.commands().tasks)
    assert {"scenario", "sweep", "suite", "explore", "up", "down"} <= names
    assert not names & program.OF_THE_PROJECT


def test_a_suite_of_programs_asks_for_nothing_that_a_program_does_not_do_by_itself():
    names = {scenario.name for scenario in applicable("false")}
    assert {"crash", "happy", "side-effects"} <= names
    assert not names & {"large-payload", "out-of-order"}
    assert {"large-payload", "out-of-order"} <= {scenario.name for scenario in applicable("")}
