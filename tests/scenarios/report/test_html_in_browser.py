"""The report in a real browser: it draws every operation, complains of nothing and asks for nothing.

One browser is started for all of it. Set ``SCREENSHOTS`` to a directory to have a look at what it saw.
"""

import io
import os
from pathlib import Path

import pytest
from PIL import Image

from scenarios.report.html import render
from tests.browser import CHROMIUM, HOW_TO_INSTALL, Browser
from tests.scenarios.recorded import Told
from tests.scenarios.report.pages import doubled, embedded, judged

pytestmark = [pytest.mark.processes, pytest.mark.thorough]

DRAWN = "document.documentElement.dataset.drawn === 'yes'"
#: The renderers of the time line, each with its view: what the library has put on the canvas.
VIEWS = """[...[...Plots.views()].find((each) => each.model.name === "lanes").renderer_views]
    .filter(([, view]) => view.glyph)"""
#: How many marks of each kind it has put there.
SHOWN = f"Object.fromEntries({VIEWS}.map(([renderer, view]) => [renderer.name, view.glyph.data_size]))"
#: Where the first side effect is, in the page's own pixels.
PLACE = f"""(() => {{
  const {{ glyph, parent }} = {VIEWS}.find(([renderer]) => renderer.name === "PerformSideEffect")[1];
  const {{ left, top }} = parent.el.getBoundingClientRect();
  return [left + (glyph.sleft[0] + glyph.sright[0]) / 2, top + glyph.sy[0]];
}})()"""
FOUND = """(() => {
  const finding = document.querySelector(".bad .evidence");
  const wanted = JSON.parse(finding.dataset.marks).sort();
  return { open: finding.open, wanted, marks: Plots.timeLine.found().sort(), rows: Plots.messages.found() };
})()"""
#: The text of the tooltip; Bokeh keeps it in a shadow tree of its own.
TIP = """[...document.querySelectorAll(".bk-Tooltip")]
    .map((each) => each.shadowRoot.querySelector(".bk-tooltip-content").textContent).join()"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    if CHROMIUM is None:
        assert not os.environ.get("CI"), HOW_TO_INSTALL
        pytest.skip(HOW_TO_INSTALL)
    with Browser(tmp_path_factory.mktemp("profile")) as started:
        yield started


@pytest.fixture(scope="module")
def crashed():
    """A consumer dies before its delete, and another one does the work a second time."""
    told = Told()
    told.send("a", "b")
    told.receive("c1", "a", "b")
    told.effect("c1", "a")
    begun = told.begin("c1", "Delete", messages=["m-a"])
    told.fault("c1", begun, "Delete", point="before")
    told.exit("c1", -9)
    told.receive("c2", "a", "b", count=2)
    told.effect("c2", "a", executions=2)
    told.effect("c2", "b")
    told.delete("c2", "a", "b")
    told.event("lab", "scaled", consumers=1)
    told.ledger(a=2, b=1)
    return told


@pytest.fixture
def opened(browser, tmp_path):
    """Write the report of a history, and open it; return its columns."""

    def do(told, fragment=""):
        text = render(judged(told, naive=True), told.history)
        path = tmp_path / "report.html"
        path.write_text(text)
        browser.open("about:blank", "true")
        browser.open(f"{path.as_uri()}{fragment}", DRAWN)
        return embedded(text)

    yield do
    assert browser.complaints == []
    assert {url.partition(":")[0] for url in browser.requests} == {"file"}


def test_every_operation_has_its_mark_and_every_sign_is_there(browser, opened, crashed):
    shown = opened(crashed)
    operations = sum(record["type"] == "invoke" for record in crashed.records)
    counted = browser.run(SHOWN)
    marks = [entry["kind"] for entry in shown["legend"]["marks"]]
    assert sum(counted[kind] for kind in marks) == operations
    signs = {entry["kind"]: entry["count"] for entry in shown["legend"]["signs"]}
    assert signs == {"crash": 1, "killed": 1, "again": 2, "twice": 1}
    assert {kind: counted[kind] for kind in signs} == signs


def test_a_link_to_evidence_opens_it_and_its_marks_stand_out(browser, opened, crashed):
    opened(crashed, "#invariant/duplicated-side-effect")
    found = browser.run(FOUND)
    assert found["open"] is True
    assert found["marks"]
    assert found["marks"] == found["wanted"]
    assert found["rows"] == 1
    from_, to = browser.run("Plots.seen()")
    assert from_ < to < browser.run("Plots.end")  # the time line shows their time, and no longer all of it


def test_a_link_of_one_step_leads_to_its_mark_and_the_time_line_can_be_whole_again(browser, opened, crashed):
    opened(crashed)
    browser.run("document.querySelector('.bad .steps a[href*=operation]').click()")
    browser.wait("!document.getElementById('unfind').hidden")
    assert len(browser.run("Plots.timeLine.found()")) == 1
    browser.run("document.getElementById('unfind').click(), document.getElementById('whole').click()")
    assert browser.run("Plots.timeLine.found()") == []
    from_, to = browser.run("Plots.seen()")
    assert from_ <= 0 < browser.run("Plots.end") <= to


def test_the_pointer_over_a_mark_says_what_it_is_and_not_more(browser, opened):
    told = Told()
    told.send("a")
    told.receive("<i>c1</i>", "a")
    told.effect("<i>c1</i>", "a")
    opened(told)
    browser.run("document.getElementById('lanes').scrollIntoView({ block: 'center' })")
    x, y = browser.run(PLACE)
    browser.move_to(x - 1, y)
    browser.move_to(x, y)
    browser.wait(f"({TIP}).includes('side effect')")
    assert "<i>c1</i> · at" in browser.run(TIP)


def test_light_and_dark_follow_the_reader_and_the_switch(browser, opened, crashed):
    looks = []
    for scheme in ("light", "dark"):
        browser.prefer(scheme)
        opened(crashed)
        looks.append(picture(browser, f"crashed-{scheme}"))
    browser.run("document.getElementById('theme').click()")
    looks.append(picture(browser, "crashed-switched"))
    browser.prefer("light")
    environments = [sum(look.getpixel((2, 2))) for look in looks]
    assert environments[0] == environments[2] > 700
    assert environments[1] < 150
    # The plots have their colours too: those of marks, signs, labels and curves.
    assert all(len(look.getcolors(maxcolors=1 << 24)) > 50 for look in looks)


def test_a_thousand_messages_have_all_their_marks_and_can_be_paged_through(browser, opened):
    told = doubled(1000)
    shown = opened(told)
    counted = browser.run(SHOWN)
    assert sum(counted[entry["kind"]] for entry in shown["legend"]["marks"]) == 5000
    assert browser.run("document.getElementById('page').textContent") == "1 to 40 of 1000"
    browser.run("document.getElementById('next').click()")
    assert browser.run("document.getElementById('page').textContent") == "41 to 80 of 1000"
    picture(browser, "thousand")


def test_a_history_of_nothing_says_so(browser, opened):
    opened(Told())
    assert browser.run("[...document.querySelectorAll('.empty')].filter((each) => !each.hidden).length") == 2


def picture(browser, name):
    """Return a screenshot of the time line; keep one of the whole page where somebody wants to see it."""
    if os.environ.get("SCREENSHOTS"):
        Path(os.environ["SCREENSHOTS"], f"{name}.png").write_bytes(browser.screenshot(whole=True))
    browser.run("document.getElementById('timeline').scrollIntoView()")
    taken = browser.screenshot()
    return Image.open(io.BytesIO(taken)).convert("RGB")


@pytest.mark.parametrize(
    "added",
    ["<script>window.evil = 1</script>", "<img src=x onerror='window.evil = 1'>", "<a href='javascript:1'>x</a>"],
    ids=["a script", "a handler", "an address"],
)
def test_a_script_that_is_not_the_pages_own_does_not_run(browser, tmp_path, crashed, added):
    text = render(judged(crashed, naive=True), crashed.history).replace("<main>", f"<main>{added}", 1)
    path = tmp_path / "report.html"
    path.write_text(text)
    browser.open("about:blank", "true")
    browser.open(path.as_uri(), DRAWN)
    browser.run("document.querySelector('main > a')?.click()")
    assert browser.run("typeof window.evil") == "undefined"
    assert any("Content Security Policy" in str(said) for said in browser.complaints)
    browser.complaints.clear()


def test_the_first_screen_shows_the_picture(browser, opened, crashed):
    """What a reader sees without scrolling: the verdict, and the time line with what happened on it."""
    opened(crashed)
    seen = browser.run(
        """(() => {
          const box = [...Plots.views()].find((each) => each.model.name === "lanes").el.getBoundingClientRect();
          const verdict = document.querySelector("h1, .verdict").getBoundingClientRect();
          return { top: box.top, bottom: box.bottom, height: innerHeight, verdict: verdict.bottom, at: scrollY };
        })()"""
    )
    assert seen["at"] == 0
    assert 0 < seen["verdict"] < seen["height"]
    assert seen["top"] < seen["height"] / 2, "it begins in the upper half"
    assert seen["top"] < seen["bottom"] < seen["height"], "and all of it is there"
    x, y = browser.run(PLACE)
    assert 0 < y < seen["height"], "the side effect that was done is on the first screen"
    assert x > 0
