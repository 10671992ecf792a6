"""The report of a run: what it says, where its links lead, and that it stays small."""

import base64
import dataclasses
import hashlib
import html
import json
import re

import pytest

from scenarios.catalog import all_scenarios
from scenarios.checks.invariants import Violation
from scenarios.commands import listings
from scenarios.exploration.targets import make_target
from scenarios.history.files import write_history
from scenarios.report.html import render
from scenarios.report.html.content import MOST_VIOLATIONS, content_of
from scenarios.report.html.curves import POINTS
from scenarios.report.html.rows import MOST_ROWS
from scenarios.report.html.timeline import DEAD_LETTERS, KINDS, MOST_MARKS
from scenarios.simulation.choices import SeededChoices
from scenarios.simulation.run import simulate
from scenarios.verdict import Excuse
from tests.scenarios.recorded import TICK, Told
from tests.scenarios.report.pages import doubled, embedded, judged
from tests.scenarios.test_verdict import paid_twice


def content(told, **conditions):
    return content_of(judged(told, **conditions), told.history)


def plots(told, **conditions):
    return content(told, **conditions)["plots"]


def keys(shown):
    """Return what names each mark of a time line."""
    marks = shown["marks"]
    return {f"{shown['lanes'][lane]}/{index}" for lane, index in zip(marks["lane"], marks["index"], strict=True)}


def test_each_operation_is_a_mark_in_the_lane_of_its_process():
    told = paid_twice()
    shown = plots(told)
    begun = [record for record in told.records if record["type"] == "invoke"]
    assert keys(shown) == {f"{record['process']}/{record['index']}" for record in begun}
    assert len({len(column) for column in shown["marks"].values()}) == 1
    assert sum(entry["count"] for entry in shown["legend"]["marks"]) == len(begun)


def test_crashes_redeliveries_second_side_effects_ends_and_dead_letters_have_signs():
    told = Told()
    told.send("a", "b")
    told.receive("c1", "a")
    told.effect("c1", "a")
    begun = told.begin("c1", "Delete", messages=["m-a"])
    told.fault("c1", begun, "Delete", point="before")
    told.exit("c1", -9)
    told.receive("c2", "a", count=2)
    told.effect("c2", "a", executions=2)
    told.exit("c2", 0)
    told.dead_letter("b")
    shown = plots(told)
    signs = shown["signs"]
    seen = {
        kind: (shown["lanes"][lane], said)
        for kind, lane, said in zip(signs["kind"], signs["lane"], signs["said"], strict=True)
    }
    assert seen == {
        "crash": ("c1", "crash before Delete"),
        "killed": ("c1", "killed by signal 9"),
        "again": ("c2", "message #0, receive 2"),
        "twice": ("c2", "message #0: done 2 times"),
        "ended": ("c2", "exit code 0"),
        "dead": (DEAD_LETTERS, "message #1"),
    }


def test_a_second_side_effect_has_its_sign_also_where_the_client_did_not_ask_for_the_count():
    told = Told()
    told.send("a", "b")
    for consumer, identity in (("c1", "a"), ("c2", "a"), ("c2", "b")):
        told.effect(consumer, identity, executions=None)
    shown = plots(told)
    signs = [said for kind, said in zip(shown["signs"]["kind"], shown["signs"]["said"], strict=True) if kind == "twice"]
    assert signs == ["message #0: done 2 times"]
    assert [[effect[3] for effect in row["effects"]] for row in shown["rows"]] == [[1, 2], [1]]


def test_the_end_of_a_programs_log_is_there_and_is_text():
    told = paid_twice()
    page = render(judged(told), told.history, {"consumer-1": ("line 1", "<b>TypeError</b>: x")})
    assert "line 1\n&lt;b&gt;TypeError&lt;/b&gt;: x</pre>" in page
    assert 'id="logs"' not in render(judged(told), told.history)


@pytest.mark.parametrize("name", all_scenarios())
@pytest.mark.parametrize("naive", [False, True], ids=["pattern", "twin"])
def test_every_scenario_has_a_report(name, naive):
    simulation = simulate(make_target(name, naive=naive, with_faults=True).plan(3), SeededChoices(3))
    legend = content_of(simulation.verdict, simulation.history)["plots"]["legend"]
    assert {entry["kind"] for entry in legend["marks"]} <= {*KINDS}, "give it a kind in marks.py"
    assert render(simulation.verdict, simulation.history).startswith("<!doctype html>")


def test_an_unknown_operation_is_drawn_all_the_same():
    told = Told()
    told.do("c", "ReadTheStars")
    shown = plots(told)
    assert shown["marks"]["kind"] == ["ReadTheStars"]
    assert [entry["label"] for entry in shown["legend"]["marks"]] == ["ReadTheStars"]


def test_every_finding_leads_to_marks_and_rows_that_are_drawn():
    found = content(paid_twice(), naive=True)
    accused = next(item for item in found["words"]["invariants"] if item["name"] == "duplicated-side-effect")
    (violation,) = accused["violations"]
    assert violation["marks"]
    assert set(violation["marks"]) <= keys(found["plots"])
    (row,) = [row for row in found["plots"]["rows"] if row["accused"]]
    assert violation["messages"] == [row["id"]]
    links = [step["link"] for step in violation["steps"]]
    assert {link.removeprefix("#operation/") for link in links if "operation" in link} <= keys(found["plots"])
    assert all(links)


def test_a_message_has_a_row_with_its_deliveries_its_side_effects_and_its_end():
    told = Told(visibility_timeout=5.0)
    told.send("a")
    told.receive("c1", "a")
    told.receive("c2", "a", count=2)
    told.effect("c2", "a")
    told.delete("c2", "a")
    (row,) = plots(told)["rows"]
    lanes = plots(told)["lanes"]
    assert [(lanes[lane], count) for lane, _, _, count, *_ in row["spans"]] == [("c1", 1), ("c2", 2)]
    first, second = row["spans"]
    # The first delivery lasts until the message is deleted, the timeout being longer than that.
    assert first[2] == second[2] == row["settled"]
    assert [(lanes[lane], status) for lane, _, status, _ in row["effects"]] == [("c2", "ok")]
    assert (row["name"], row["dead"], row["sent"] < row["settled"]) == ("#0", False, True)


def test_deliveries_that_overlap_are_drawn_side_by_side_and_others_are_not():
    told = Told(visibility_timeout=5.0)
    told.send("a")
    told.receive("c1", "a")
    told.receive("c2", "a", count=2)
    told.now += 10
    told.receive("c1", "a", count=3)
    (row,) = plots(told)["rows"]
    assert [(count, track, of) for _, _, _, count, track, of in row["spans"]] == [(1, 0, 2), (2, 1, 2), (3, 0, 1)]


def test_a_message_has_all_of_its_side_effects_whatever_they_are_known_by():
    told = Told()
    told.send("a", "b")
    told.receive("c", "a", "b")
    told.effect("c", "a", key="k-a/reserve")
    told.effect("c", "a", key="k-a/charge")
    told.effect("c", "b")
    assert [len(row["effects"]) for row in plots(told)["rows"]] == [2, 1]


def test_a_returned_message_has_no_holder_from_then_on():
    told = Told(visibility_timeout=50.0)
    told.send("a")
    told.receive("c", "a")
    told.do("c", "ChangeVisibility", [], messages=["m-a"], timeout=0)
    told.do("c", "ReadNothing")
    (row,) = plots(told)["rows"]
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
    curves = plots(told)["curves"]
    assert {len(curve) for curve in curves.values()} == {POINTS}
    assert (curves["waiting"][0], max(curves["waiting"]), curves["waiting"][-1]) == (0, 2, 0)
    assert max(curves["age"]) == pytest.approx(end, abs=1)
    assert (curves["sent"][-1], curves["over"][-1]) == (2, 2)


def test_a_message_in_two_consumers_counts_once_as_in_flight():
    told = Told(visibility_timeout=10.0)
    told.send("a", "b")
    told.receive("c1", "a")
    told.receive("c2", "a", count=2)
    told.now += 30
    told.receive("c1", "b")
    curves = plots(told)["curves"]
    assert max(curves["held"]) == 1
    assert curves["held"][POINTS // 2] == 0  # both timeouts are over


@pytest.mark.parametrize("details", [{"consumers": 3}, {"backlog": 90.5, "running": 3}, {"was": 1, "consumers": 3}])
def test_where_consumers_were_scaled_their_number_is_a_curve(details):
    told = Told()
    told.event("lab", "scaled", consumers=1)
    told.event("lab", "scaled", **details)
    told.event("lab", "scaled", why="no number: it is left out")
    told.do("c", "Receive", [], max_messages=1)
    consumers = plots(told)["consumers"]
    assert consumers["running"] == [1, 3, 3]
    assert len(consumers["times"]) == 3


def test_without_scaling_there_is_no_curve_of_consumers():
    assert plots(paid_twice())["consumers"] is None


def test_a_history_of_nothing_makes_a_page_all_the_same():
    told = Told()
    text = render(judged(told), told.history)
    assert (embedded(text)["marks"]["lane"], embedded(text)["rows"]) == ([], [])
    assert '<span class="badge inconclusive">' in text


def test_what_a_message_or_a_process_says_cannot_break_out_of_the_page():
    evil = "</script><script>alert(1)</script>"
    told = Told()
    told.send(evil)
    told.receive("<!--", evil)
    told.effect('"><img src=x onerror=alert(1)>', evil, executions=2)
    told.effect("c", evil, executions=2)
    simplest = render(judged(paid_twice()), paid_twice().history)
    text = render(judged(told, naive=True), told.history)
    assert "&#34;&gt;&lt;img src=x onerror=" in text
    for mark in ("<script", "<img", "<!--"):
        assert text.count(mark) == simplest.count(mark)
    assert embedded(text)["lanes"][1] == "<!--"


def test_a_page_may_ask_for_nothing_from_anywhere():
    text = render(judged(paid_twice()), paid_twice().history)
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)[1]
    policy = html.unescape(policy)
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "http" not in policy
    assert "style=" not in re.sub(r"<(script|style).*?</\1>", "", text, flags=re.DOTALL)
    # What the library's own script could load, the policy forbids; the page's own parts do not even name an address.
    own = re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL)
    assert not re.findall(r"""(?:src|href)\s*=\s*["'](?!data:|#)|url\((?!#)|@import|https?://""", own)


def test_the_page_runs_its_own_scripts_alone_each_known_by_its_hash():
    text = render(judged(paid_twice()), paid_twice().history)
    policy = html.unescape(re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)[1])
    (allowed,) = re.findall(r"script-src ([^;]*);", policy)
    scripts = re.findall(r"<script>(.*?)</script>", text, flags=re.DOTALL)
    digests = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    assert allowed.split() == [f"'sha256-{digest}'" for digest in digests]
    assert len(digests) == 7


def test_a_page_of_thousands_of_messages_stays_small_and_says_what_it_leaves_out():
    told = doubled(2100)
    text = render(judged(told, naive=True), told.history)
    shown = embedded(text)
    assert len(text.encode()) < 3_000_000
    assert len(shown["marks"]["lane"]) == MOST_MARKS
    assert f"{5 * 2100 - MOST_MARKS} operations are left out" in text
    assert len(shown["rows"]) == MOST_ROWS
    assert f"{2100 - MOST_ROWS} messages are left out" in text
    words = content(told, naive=True)["words"]
    accused = next(item for item in words["invariants"] if item["name"] == "duplicated-side-effect")
    assert (accused["count"], len(accused["violations"])) == (2100, MOST_VIOLATIONS)
    assert {record for found in accused["violations"] for record in found["marks"]} <= keys(shown)


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
    assert listings.report(name) == 0
    path = runs / "20260101-000001-happy-7" / "report.html"
    assert capsys.readouterr().out.strip() == str(path)
    assert '<span class="badge fail">' in path.read_text()


def test_a_run_of_a_workload_of_the_simulation_has_a_report_as_well(runs, capsys):
    path = runs / "20260101-000001-happy-7" / "verdict.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "scenario": "orders", "tier": "sim"}))
    assert listings.report() == 0
    assert "<h1>orders</h1>" in (path.parent / "report.html").read_text()


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("nowhere", "error: There is no run nowhere; `invoke runs` lists them."),
        (
            "20260101-000002-happy-8",
            (
                "error: The run 20260101-000002-happy-8 has no verdict.json that can be read, and so no report; "
                "run it again."
            ),
        ),
    ],
)
def test_a_run_without_a_report_is_a_sentence(runs, capsys, name, sentence):
    assert listings.report(name) == 64
    assert capsys.readouterr().err.strip() == sentence


def test_the_runs_are_listed_newest_first(runs, capsys):
    assert listings.runs(json=True) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [(run["run"], run.get("verdict")) for run in listed] == [
        ("20260101-000002-happy-8", None),
        ("20260101-000001-happy-7", "fail"),
    ]
    assert listings.runs() == 0
    assert "it did not come to its end" in capsys.readouterr().out


@pytest.mark.parametrize(
    "text", ['{"schema": 2, "scenario": "happy", "verdict": "pass"}', '{"verdict":', "[]", '{"verdict": "perhaps"}']
)
def test_a_verdict_that_something_else_wrote_spoils_no_other_runs_line(runs, capsys, text):
    (runs / "20260101-000002-happy-8" / "verdict.json").write_text(text)
    assert listings.runs() == 0
    out = capsys.readouterr().out
    assert "it did not come to its end" in out
    assert "fail (naive twin)" in out
    assert listings.report("20260101-000002-happy-8") == 64


def test_where_the_link_to_the_latest_run_is_gone_the_newest_is_taken(runs, capsys):
    (runs / "latest").unlink()
    (runs / "20260101-000002-happy-8" / "history.jsonl").unlink()
    assert listings.report() == 0
    assert "20260101-000001-happy-7" in capsys.readouterr().out


def test_no_run_is_said_so(project, capsys):
    assert listings.runs() == 0
    assert "There is no run yet" in capsys.readouterr().out
    assert listings.report() == 64


def test_what_convicts_nobody_is_on_the_page():
    told = paid_twice()
    verdict = dataclasses.replace(
        judged(told),
        undeclared={"claim-contention": "claims"},
        excused=(Excuse("wrongly-dead-lettered", "m-a", "message #0 had no clean receive: a crash."),),
        warnings={"many-receives": (Violation("1 messages took 9 receives."),)},
    )
    page = render(verdict, told.history)
    for text in ("Warnings", "many-receives", "1 times, e.g. 1 messages took 9 receives."):
        assert text in page
    assert "message #0 had no clean receive: a crash." in page
    assert "this consumer does not declare the pattern claims" in page
    plain = render(judged(told), told.history)
    assert "Warnings" not in plain
    assert "does not declare the pattern" not in plain
