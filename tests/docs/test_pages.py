"""The pages hold together: links lead somewhere, and every scenario has its page with its parameters."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from infra.errors import InfraError
from infra.topology import TOPOLOGY, topology_of
from scenarios.catalog import all_scenarios
from scenarios.commands.docs import class_of, tables
from scenarios.errors import RequestError
from tests.docs.pages import CHECKOUT, HISTORIES, SEED, pages, prose_of

_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_CODE = re.compile(r"`[^`]*`")
_HEADING = re.compile(r"#{1,6} (.+)$")


def anchors(lines):
    """Return the anchors that GitHub gives the headings of a page."""
    found = {}
    for heading in filter(None, map(_HEADING.match, lines)):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading[1]).lower()
        slug = re.sub(r"[^\w\- ]", "", text).strip().replace(" ", "-")
        found[slug] = found.get(slug, -1) + 1
    return {slug if not number else f"{slug}-{number}" for slug, last in found.items() for number in range(last + 1)}


def links(page):
    """Return where a page's links lead, code spans apart."""
    return _LINK.findall(_CODE.sub("`", " ".join(prose_of(page))))


def broken(page, target):
    """Return why a link leads nowhere, or nothing."""
    path, _, anchor = target.partition("#")
    there = (CHECKOUT / page).parent / path if path else CHECKOUT / page
    if not there.exists():
        return f"{page}: there is no {target}"
    if anchor and anchor not in anchors(prose_of(str(there.resolve().relative_to(CHECKOUT)))):
        return f"{page}: there is no such heading: {target}"
    return ""


@pytest.mark.parametrize("page", pages())
def test_each_relative_link_leads_to_a_file_and_a_heading_that_exist(page):
    inside = [target for target in links(page) if not target.startswith(("https://", "http://", "mailto:"))]
    assert not [why for why in (broken(page, target) for target in inside) if why]


def test_a_link_that_leads_nowhere_is_found():
    assert broken("README.md", "docs/nowhere.md") == "README.md: there is no docs/nowhere.md"
    assert broken("docs/patterns.md", "simulation.md#no-such") == (
        "docs/patterns.md: there is no such heading: simulation.md#no-such"
    )
    assert not broken("docs/patterns.md", "simulation.md#the-fault-budget")
    assert anchors(["# `a` b: c_d!", "## Twice", "## Twice"]) == {"a-b-c_d", "twice", "twice-1"}


@pytest.mark.parametrize("page", pages())
def test_each_page_but_the_first_is_linked_from_another(page):
    there = (CHECKOUT / page).resolve()
    linked = {
        ((CHECKOUT / other).parent / target.partition("#")[0]).resolve()
        for other in pages()
        if other != page
        for target in links(other)
    }
    assert page == "README.md" or there in linked


@pytest.mark.parametrize("name", all_scenarios())
def test_each_scenario_has_a_theme_a_pattern_and_a_page_that_names_its_parameters(name):
    page = f"docs/scenarios/{name}.md"
    assert all_scenarios()[name].theme
    assert all_scenarios()[name].pattern
    assert (CHECKOUT / page).is_file(), f"write {page}"
    text = Path(CHECKOUT / page).read_text()
    named = {item.name for item in fields(all_scenarios()[name].defaults) if f"`{item.name}`" in text}
    assert named == {item.name for item in fields(all_scenarios()[name].defaults)}
    assert f"invoke scenario --name {name}" in text
    assert all_scenarios()[name].naive_twin.violation in text


def test_the_tables_of_scenarios_are_as_the_catalog_has_them():
    for path, text in tables(CHECKOUT).items():
        assert path.read_text() == text, f"`invoke docs` writes {path.name}"


def test_each_invariant_of_a_scenario_has_its_class_and_those_of_patterns_say_which():
    classes = {
        (item.name, class_of(item, scenario)) for scenario in all_scenarios().values() for item in scenario.invariants
    }
    page = (CHECKOUT / "docs" / "your-own-consumer.md").read_text()
    for name, kind in classes:
        assert re.search(rf"^\| `{name}` \| .* \| {kind} \| .* \|$", page, re.MULTILINE), (name, kind)
    of_patterns = {name: kind for name, kind in classes if kind.startswith("`")}
    assert of_patterns["payload-forgotten"] == "`payload-removal`"
    assert of_patterns["duplicated-side-effect"] == "`heartbeat`"
    assert ("duplicated-side-effect", "SQS and effects") in classes
    assert ("partial-saga", "the scenario's task") in classes


def test_a_page_without_a_place_for_its_table_is_refused(tmp_path):
    (tmp_path / "README.md").write_text("nothing")
    with pytest.raises(RequestError, match="needs one place"):
        tables(tmp_path)


def test_each_scenario_has_a_row_in_the_topology_and_each_row_a_scenario():
    assert sorted(row.name for row in TOPOLOGY) == sorted(all_scenarios())
    with pytest.raises(InfraError, match="nowhere has no row"):
        topology_of("nowhere")


def test_the_index_says_how_the_commands_are_run():
    said = " ".join(prose_of("docs/scenarios/README.md"))
    assert f"explores at most {HISTORIES} histories at a time" in said
    assert f"seed {SEED}" in said
