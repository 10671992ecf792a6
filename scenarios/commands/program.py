"""``queue-fundamentals``: the same commands as ``invoke``, from any directory, installed on its own by pipx or uv."""

from __future__ import annotations

from importlib.metadata import version

from invoke.collection import Collection
from invoke.exceptions import Exit, ParseError
from invoke.program import Program

from scenarios.commands.options import BAD_REQUEST

#: The commands by which this project itself is kept; they need its checkout.
OF_THE_PROJECT = frozenset({"audit", "check", "docs", "imports", "lint", "lock", "sbom", "test", "types"})


class Commands(Program):
    """Invoke's own program over our tasks. By itself it ends with 1 where it cannot read a command line: our "fail"."""

    def parse_core(self, argv: list[str] | None) -> None:
        """See :class:`invoke.program.Program`."""
        try:
            super().parse_core(argv)
        except ParseError as error:
            raise Exit(f"error: {error}", code=BAD_REQUEST) from None

    def parse_tasks(self) -> None:
        """See :class:`invoke.program.Program`."""
        try:
            super().parse_tasks()
        except ParseError as error:
            raise Exit(f"error: {error}", code=BAD_REQUEST) from None


def commands() -> Collection:
    """Return the commands for users: all tasks but those that keep this project."""
    import tasks  # noqa: PLC0415 - it defines the commands, and nothing else here needs it

    chosen = Collection()
    for name, each in Collection.from_module(tasks).tasks.items():
        if name not in OF_THE_PROJECT:
            chosen.add_task(each, name=name)
    return chosen


def main() -> None:
    """Run the command line."""
    Commands(
        name="Queue Fundamentals",
        binary="queue-fundamentals",
        binary_names=["queue-fundamentals"],
        namespace=commands(),
        version=version("queue-fundamentals"),
    ).run()
