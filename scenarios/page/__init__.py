"""The report of a run as one file: ``report.html`` opens offline, and shows what happened, when, and to what.

``content`` says what is shown, as data; ``page.html``, ``page.css`` and ``page.js`` say how.
"""

from scenarios.page.render import REPORT, render

__all__ = ["REPORT", "render"]
