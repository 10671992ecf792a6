"""What a build server reads: JUnit XML, and GitHub's annotations.

The XML has the form that Jenkins, GitLab and GitHub's test reporters share:
https://github.com/testmoapp/junitxml. An annotation is a line on standard output:
https://docs.github.com/actions/reference/workflow-commands-for-github-actions
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree as ET

from infra.files import write_atomically
from scenarios.errors import RequestError

#: What XML 1.0 cannot hold, not even escaped.
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Case:
    """One run, as a test.

    Attributes:
        name: what was run.
        outcome: ``pass``, ``fail``, ``inconclusive``, ``skipped`` where it is about a pattern that is not declared, or
            ``none`` where there is no verdict.
        reason: why, a sentence.
        seconds: how long it took.
        kind: in a word or two, what is wrong, such as the names of what is violated.
        command: the command that repeats it.
        logs: the last lines of the logs of programs that failed, by process.
    """

    name: str
    outcome: str
    reason: str
    seconds: float = 0.0
    kind: str = ""
    command: str = ""
    logs: Mapping[str, Sequence[str]] = field(default_factory=dict)


def write_junit(path: Path, suite: str, cases: Sequence[Case], seconds: float) -> None:
    """Write the XML.

    Raises:
        RequestError: the file cannot be written.
    """
    failures = sum(case.outcome == "fail" for case in cases)
    skipped = sum(case.outcome == "skipped" for case in cases)
    errors = sum(case.outcome not in ("fail", "pass", "skipped") for case in cases)
    counts = {"tests": str(len(cases)), "failures": str(failures), "errors": str(errors), "skipped": str(skipped)}
    counts["time"] = f"{seconds:.3f}"
    root = ET.Element("testsuites", counts)
    top = ET.SubElement(root, "testsuite", {"name": _plain(suite), **counts})
    for case in cases:
        test = ET.SubElement(
            top, "testcase", {"classname": _plain(suite), "name": _plain(case.name), "time": f"{case.seconds:.3f}"}
        )
        if case.outcome != "pass":
            tag = {"fail": "failure", "skipped": "skipped"}.get(case.outcome, "error")
            said = {"type": _plain(case.kind or case.outcome), "message": _plain(case.reason)}
            ET.SubElement(test, tag, said).text = _plain(f"{case.reason}\n\nreproduce: {case.command}".rstrip())
        for name, lines in case.logs.items():
            ET.SubElement(test, "system-out").text = _plain(f"the end of {name}'s log:\n" + "\n".join(lines))
    ET.indent(root)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, ET.tostring(root, encoding="utf-8", xml_declaration=True) + b"\n", durable=False)
    except OSError as error:
        raise RequestError(f"--junit {path} cannot be written: {error.strerror}.") from None


def github_annotations(cases: Sequence[Case]) -> Iterator[str]:
    """Yield a line for each run that does not pass, in a workflow of GitHub's; nothing elsewhere."""
    if os.environ.get("GITHUB_ACTIONS") != "true":
        return
    for case in cases:
        if case.outcome not in ("pass", "skipped"):
            level = "error" if case.outcome == "fail" else "warning"
            title = _escaped(case.name).replace(":", "%3A").replace(",", "%2C")
            yield f"::{level} title={title}::{_escaped(f'{case.reason} Reproduce: {case.command}')}"


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _plain(text: str) -> str:
    return _NO_XML.sub("\ufffd", text)
