"""Put the content of a report and its looks into one file that needs no network."""

from __future__ import annotations

import html
import json
from functools import cache
from importlib.resources import files
from string import Template

from scenarios.history import History
from scenarios.page.content import content_of
from scenarios.verdict import Verdict

#: The report's name in a run's directory.
REPORT = "report.html"


def render(verdict: Verdict, history: History) -> str:
    """Return the report of a run."""
    content = content_of(verdict, history)
    return _template().substitute(
        title=html.escape(f"{verdict.scenario.name}: {verdict.outcome}"),
        style=_part("page.css"),
        script=_part("page.js"),
        # Inside of a script element only its own end tag means anything, wherever a message's body got it from.
        content=json.dumps(content, separators=(",", ":")).replace("<", "\\u003c"),
    )


@cache
def _template() -> Template:
    return Template(_part("page.html"))


@cache
def _part(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")
