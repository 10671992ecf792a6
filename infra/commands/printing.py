"""How commands print: with rich on a terminal, as plain lines elsewhere, or as one JSON object."""

import errno
import json as json_format
import os
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from infra.engines.plan import Operation, Plan, Step
from infra.engines.state import ResourceState
from infra.provider.values import redact

_STYLES = {
    Operation.CREATE: "green",
    Operation.UPDATE: "yellow",
    Operation.REPLACE: "magenta",
    Operation.DELETE: "red",
    Operation.SAME: "dim",
}


class OutputConsole(Console):
    """A console that raises where its output was closed. Rich's own ends with exit code 1, which means FAIL here."""

    def on_broken_pipe(self) -> None:
        """Raise, so that the command ends with the exit code of a machine at its end."""
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))


class Printer:
    """Prints a command's steps and summary.

    Args:
        json: Print one JSON object at the end and nothing else; sentences go to stderr.
    """

    def __init__(self, *, json: bool = False) -> None:
        self._json = json
        # Soft wrap: a line that is piped into another program stays one line.
        self._console = OutputConsole(highlight=False, soft_wrap=True)
        self._errors = OutputConsole(stderr=True, highlight=False, soft_wrap=True)

    def step(self, step: Step) -> None:
        """Print a step as it is done; what stays the same needs no line."""
        if not self._json and step.operation is not Operation.SAME:
            self._console.print(f"[{_STYLES[step.operation]}]{escape(str(step))}[/]")

    def note(self, sentence: str) -> None:
        """Print a sentence while work goes on."""
        self._errors.print(escape(sentence), style="yellow")

    def summary(self, sentence: str) -> None:
        """Print the sentence at the end."""
        if not self._json:
            self._console.print(escape(sentence), style="bold")

    def fields(self, values: Mapping[str, str]) -> None:
        """Print names and values, one a line."""
        if not self._json:
            width = max(map(len, values))
            for key, value in values.items():
                self._console.print(f"[bold]{key:<{width}}[/]  {escape(value)}")

    def resources(self, groups: Mapping[str, Sequence[ResourceState]]) -> None:
        """Print resources by scenario."""
        if self._json:
            return
        if not self._console.is_terminal:
            for scenario, entries in groups.items():
                for entry in entries:
                    self._console.print(escape(f"{scenario}  {entry.type}  {entry.id}"))
            return
        table = Table("scenario", "type", "id", box=None, header_style="bold")
        for scenario, entries in groups.items():
            for index, entry in enumerate(entries):
                table.add_row(escape(scenario if index == 0 else ""), entry.type, escape(entry.id))
        self._console.print(table)

    def rows(self, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Print a table; elsewhere than on a terminal its rows, one a line."""
        if self._json:
            return
        if not self._console.is_terminal:
            for row in rows:
                self._console.print(escape("  ".join(row)))
            return
        table = Table(*header, box=None, header_style="bold")
        for row in rows:
            table.add_row(*map(escape, row))
        self._console.print(table)

    def lines(self, sentences: Sequence[str]) -> None:
        """Print sentences, one a line."""
        if not self._json:
            for sentence in sentences:
                self._console.print(escape(sentence))

    def outputs(self, values: Mapping[str, Any]) -> None:
        """Print a stack's outputs, one a line."""
        if self._json:
            return
        for key, value in values.items():
            if isinstance(value, Mapping):
                for inner, part in value.items():
                    self._console.print(escape(f"{key}.{inner} = {_plain(part)}"))
            else:
                self._console.print(escape(f"{key} = {_plain(value)}"))

    def json_plan(self, stack: str, plan: Plan, **more: Any) -> None:
        """Print a plan as JSON, if JSON was asked for."""
        self.json_object(
            {
                "stack": stack,
                **more,
                "counts": {operation.value: plan.count(operation) for operation in Operation},
                "steps": [
                    {"operation": step.operation.value, "urn": step.urn, "changes": list(step.changes)}
                    for step in plan.changes
                ],
                "outputs": redact(plan.outputs),
            }
        )

    def json_object(self, document: Any) -> None:
        """Print a JSON object, if JSON was asked for."""
        if self._json:
            self._console.print(json_format.dumps(document, indent=2), markup=False)


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json_format.dumps(value)
