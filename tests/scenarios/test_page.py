"""The report of a run: what it says, that it stays small, and that a real browser shows it without a complaint."""

import json
import re
import shutil
import subprocess

import pytest

from scenarios import commands, page
from scenarios.catalog import find_scenario
from scenarios.history_files import write_history
from scenarios.model import Parameters
from scenarios.page.content import MOST_MARKS, MOST_ROWS, MOST_VIOLATIONS, content_of
from scenarios.page.curves import POINTS, curves_of
from scenarios.verdict import Conditions, judge
from tests.scenarios.test_verdict import paid_twice
from tests.scenarios.told import TICK, Told

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def judged(told, scenario="happy", **conditions):
    given = {"seed": 7, "parameters": Parameters(10, 10), "tier": "local", "command": "invoke again", **conditions}
    return judge(find_scenario(scenario), told.history, Conditions(**given))


def content(told, **conditions):
    return content_of(judged(told, **conditions), told.history)


def embedded(text):
    """Return the content that a page carries."""
    return json.loads(re.search(r'<script type="application/json" id="content">(.*?)</script>', text, re.DOTALL)[1])


def test_every_finding_points_at_operations_that_are_drawn():
    shown = content(paid_twice(), naive=True)
    drawn = {mark[6] for mark in shown["marks"]}
    accused = next(item for item in shown["invariants"] if item["name"] == "duplicated-side-effect")
    assert accused["count"] == 1
    pointed = set(accused["violations"][0]["records"])
    assert pointed
    assert pointed <= drawn
    assert [row["accused"] for row in shown["rows"]].count(True) == 1


def test_a_message_has_a_row_with_its_deliveries_its_side_effects_and_its_end():
    told = Told(visibility_timeout=5.0)
    told.send("a")
    told.receive("c1", "a")
    told.receive("c2", "a", count=2)
    told.effect("c2", "a")
    told.delete("c2", "a")
    (row,) = content(told)["rows"]
    lanes = content(told)["lanes"]
    assert [(lanes[lane], count) for lane, _, _, count in row["spans"]] == [("c1", 1), ("c2", 2)]
    first, second = row["spans"]
    # The first delivery lasts until the message is deleted, the timeout being longer than that.
    assert first[2] == second[2] == row["settled"]
    assert [(lanes[lane], status) for lane, _, status in row["effects"]] == [("c2", "ok")]
    assert (row["name"], row["dead"], row["sent"] < row["settled"]) == ("#0", False, True)


def test_a_message_that_was_given_back_is_nobodys_from_then_on():
    told = Told(visibility_timeout=50.0)
    told.send("a")
    told.receive("c", "a")
    told.do("c", "ChangeVisibility", [], messages=["m-a"], timeout=0)
    told.do("c", "ReadNothing")
    (row,) = content(told)["rows"]
    assert row["spans"][0][2] - row["spans"][0][1] <= 2 * TICK


def test_the_curves_rise_with_sends_and_fall_with_deletes_and_the_oldest_ages():
    told = Told()
    told.send("a", "b")
    told.now += 10
    told.receive("c", "a", "b")
    told.delete("c", "a")
    told.now += 10
    told.delete("c", "b")
    end = told.now
    curves = curves_of(told.history, 0.0, end)
    assert len(curves["times"]) == len(curves["waiting"]) == len(curves["age"]) == POINTS
    assert (curves["waiting"][0], max(curves["waiting"]), curves["waiting"][-1]) == (0, 2, 0)
    assert max(curves["age"]) == pytest.approx(end, abs=1)


def test_a_history_of_nothing_makes_a_page_all_the_same():
    told = Told()
    shown = embedded(page.render(judged(told), told.history))
    assert (shown["marks"], shown["rows"], shown["verdict"]) == ([], [], "inconclusive")


def test_a_body_cannot_break_out_of_the_page():
    told = Told()
    told.send("</script><script>alert(1)</script>")
    told.receive("<!--", "</script><script>alert(1)</script>")
    text = page.render(judged(told), told.history)
    assert text.count("<script") == 2
    assert "<!--" not in text.partition('id="content"')[2].partition("</script>")[0]
    assert embedded(text)["lanes"] == ["producer", "<!--"]


def test_a_page_asks_for_nothing_from_anywhere():
    text = page.render(judged(paid_twice()), paid_twice().history)
    assert not re.findall(r"""(?:src|href)\s*=\s*["'](?!data:)|url\((?!#)|@import|fetch\(|import\(""", text)
    assert set(re.findall(r"https?://[^\s\"']*", text)) <= {"http://www.w3.org/2000/svg"}


@pytest.fixture(scope="module")
def big():
    """Three thousand messages, all of them done twice, and one at last that went to the dead-letter queue."""
    told = Told()
    for number in range(3000):
        identity = f"id-{number}"
        told.send(identity)
        told.receive("c", identity)
        told.effect("c", identity)
        told.effect("c", identity, executions=2)
        told.delete("c", identity)
    told.ledger(**{f"id-{number}": 2 for number in range(3000)})
    return told


def test_a_page_of_thousands_of_messages_stays_small_and_says_what_it_leaves_out(big):
    text = page.render(judged(big, naive=True), big.history)
    shown = embedded(text)
    assert len(text) < 3_000_000
    assert len(shown["marks"]) == MOST_MARKS
    assert shown["marksLeftOut"] == 5 * 3000 - MOST_MARKS
    assert (len(shown["rows"]), shown["rowsLeftOut"]) == (MOST_ROWS, 3000 - MOST_ROWS)
    accused = next(item for item in shown["invariants"] if item["name"] == "duplicated-side-effect")
    assert (accused["count"], len(accused["violations"])) == (3000, MOST_VIOLATIONS)
    drawn = {mark[6] for mark in shown["marks"]}
    assert {record for found in accused["violations"] for record in found["records"]} <= drawn


@pytest.fixture
def runs(project):
    """One run with a verdict and no report, one that was interrupted, and the link to the first."""
    told = paid_twice()
    for name, has_verdict in (("20260101-000001-happy-7", True), ("20260101-000002-happy-8", False)):
        directory = project / "runs" / name
        directory.mkdir(parents=True)
        write_history(told.history, directory / "history.jsonl")
        if has_verdict:
            (directory / "verdict.json").write_text(json.dumps(judged(told, naive=True).as_json()))
    (project / "runs" / "latest").symlink_to("20260101-000001-happy-7")
    return project / "runs"


@pytest.mark.parametrize("name", [None, "20260101-000001-happy-7", "runs/latest"])
def test_a_report_that_is_missing_is_made_from_the_runs_files(runs, capsys, name):
    assert commands.report(name) == 0
    path = runs / "20260101-000001-happy-7" / "report.html"
    assert capsys.readouterr().out.strip() == str(path)
    assert embedded(path.read_text())["verdict"] == "fail"


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("nowhere", "error: There is no run nowhere; `invoke runs` lists them."),
        (
            "20260101-000002-happy-8",
            "error: The run 20260101-000002-happy-8 was interrupted: it has no verdict.json, and so no report.",
        ),
    ],
)
def test_a_run_without_a_report_is_a_sentence(runs, capsys, name, sentence):
    assert commands.report(name) == 2
    assert capsys.readouterr().err.strip() == sentence


def test_the_runs_are_listed_newest_first(runs, capsys):
    assert commands.runs_table(json=True) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [(run["run"], run.get("verdict")) for run in listed] == [
        ("20260101-000002-happy-8", None),
        ("20260101-000001-happy-7", "fail"),
    ]
    assert commands.runs_table() == 0
    assert "it was interrupted" in capsys.readouterr().out


def test_no_run_is_said_so(project, capsys):
    assert commands.runs_table() == 0
    assert "There is no run yet" in capsys.readouterr().out
    assert commands.report() == 2


@pytest.mark.processes
@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on PATH")
@pytest.mark.parametrize("size", ["few", "many"])
def test_a_browser_draws_every_mark_without_a_complaint(size, big, tmp_path):
    told = paid_twice() if size == "few" else big
    text = page.render(judged(told, naive=True), told.history)
    # The first finding with evidence is clicked: what it points at must be drawn, and stand out.
    click = "<script>document.querySelector('#invariants .bad button').click()</script></body>"
    path = tmp_path / "report.html"
    path.write_text(text.replace("</body>", click))
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", f"--user-data-dir={tmp_path}"]
    done = subprocess.run(
        [CHROMIUM, *options, "--virtual-time-budget=5000", "--dump-dom", path.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert not [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    body = done.stdout.partition("<body>")[2]
    lanes = body.partition('id="lanes"')[2].partition("</svg>")[0]
    shown = embedded(text)
    pointed = {record for item in shown["invariants"] for found in item["violations"] for record in found["records"]}
    assert lanes.count("op found") == sum(mark[6] in pointed for mark in shown["marks"])
    assert lanes.count('class="op') > lanes.count("op found") or size == "few"
    assert body.partition('id="messages"')[2].partition("</svg>")[0].count("<circle") >= len(shown["rows"])
