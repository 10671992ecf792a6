"""The report of a run as one file: ``report.html`` opens offline, and shows what happened, when, and to what.

content   marks  rows  curves         what is shown, as words and columns
page.html                             the words, by Jinja2
plots.js  timeline  rows  curves      the plots, by BokehJS
page.js                               links, legend, buttons
"""

from scenarios.report.html.render import REPORT, render

__all__ = ["REPORT", "render"]
