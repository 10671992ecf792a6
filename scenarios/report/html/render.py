"""Put what a report says and its looks into one file that needs no network.

Jinja2 writes the words, BokehJS draws the plots. Its script is copied from Bokeh's distribution when the project is
installed (see ``docs/decisions/report.md``); Bokeh's Python half is not needed.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from scenarios.errors import ScenarioError
from scenarios.history import History
from scenarios.report.html.content import content_of
from scenarios.verdict import Verdict

if TYPE_CHECKING:
    from jinja2 import Template

#: The report's name in a run's directory.
REPORT = "report.html"

#: BokehJS, and its face for those who write JavaScript.
_LIBRARY = ("bokeh.min.js", "bokeh-api.min.js")
#: Our own, in the order in which they need each other.
_SCRIPTS = ("plots.js", "timeline.js", "curves.js", "rows.js", "page.js")


def render(verdict: Verdict, history: History, logs: Mapping[str, Sequence[str]] | None = None) -> str:
    """Return the report of a run.

    Args:
        verdict: of the run.
        history: of the run.
        logs: the last lines of programs' logs, by process.

    Raises:
        ScenarioError: the plotting library's script is not there.
    """
    content = content_of(verdict, history)
    return _template().render(
        **content["words"],
        logs=logs or {},
        style=_part("page.css"),
        scripts=_scripts(),
        policy=_policy(),
        plots=_as_script(content["plots"]),
    )


@cache
def _scripts() -> tuple[str, ...]:
    return (*_library(), *map(_part, _SCRIPTS))


@cache
def _policy() -> str:
    """Return the page's Content-Security-Policy: it runs its own scripts, known by their hashes, and loads nothing.

    Styles have no hashes: BokehJS writes them as it draws, into elements and attributes.
    https://developer.mozilla.org/en-US/docs/Web/HTTP/Reference/Headers/Content-Security-Policy
    """
    digests = (hashlib.sha256(script.encode()).digest() for script in _scripts())
    scripts = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    return (
        f"default-src 'none'; script-src {scripts}; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )


def _as_script(value: Any) -> str:
    """Return JSON for inside of a script element, where only its own end tag means anything, wherever it comes from."""
    return json.dumps(value, separators=(",", ":")).replace("<", "\\u003c")


@cache
def _template() -> Template:
    from jinja2 import Environment, StrictUndefined  # noqa: PLC0415 - a run that fails early need not wait for it

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    return environment.from_string(_part("page.html"))


@cache
def _part(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


@cache
def _library() -> tuple[str, ...]:
    folder = files(__package__).joinpath("bokehjs")
    try:
        return tuple(folder.joinpath(name).read_text(encoding="utf-8") for name in _LIBRARY)
    except OSError as error:
        raise ScenarioError(
            f"The plotting library's script {error.filename} cannot be read; install the project again, which puts it "
            "there: pip install -e ."
        ) from None
