"""Who may watch a run while it goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from scenarios.history import History


class Observer(Protocol):
    """Is told how a run goes; must not take long."""

    def began(self, seed: int, directory: Path) -> None:
        """Hear the run's seed and where it leaves its files."""

    def stage(self, text: str) -> None:
        """Hear what the run does next, in a few words."""

    def grown(self, history: History) -> None:
        """See the history, whenever it has grown."""

    def waited(self) -> None:
        """Be asked many times a second while a run waits; what this raises ends the run, with all of its clean-up."""


class NoObserver:
    """Watches nothing."""

    def began(self, seed: int, directory: Path) -> None:
        """Do nothing."""

    def stage(self, text: str) -> None:
        """Do nothing."""

    def grown(self, history: History) -> None:
        """Do nothing."""

    def waited(self) -> None:
        """Do nothing."""
