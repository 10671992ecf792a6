"""The errors of the scenarios; each is one sentence that says what is wrong and what to do.

::

    ScenarioError
    ├── RequestError             an option, a name or a number that cannot be used
    ├── HistoryError             a history that cannot be read
    ├── BenchmarkError           what was to be measured failed
    └── LabError                 the lab cannot do what a scenario asks of it
        ├── UnsuitableError      the queue, a table or the endpoint is not what the scenario needs
        ├── BusyError            another run of the same scenario is at work on the same stack
        ├── ServiceFailedError   a producer or a consumer ended unasked
        │   └── BrokenProgramError   a program does what cannot be explored
        └── DeadlineMissed       something that was waited for did not happen in time

All but the last end a run without a verdict (exit 2). After a missed deadline the history is judged all the same.
"""

from __future__ import annotations

from collections.abc import Sequence

#: The exit code where there is no verdict, because a consumer or producer ended by itself or broke its contract.
BROKEN = 3


class ScenarioError(Exception):
    """Root of this package's errors; ``str(error)`` is the one sentence that the user sees."""


class Terminated(SystemExit):
    """A signal asked this process to end; no code of a consumer did."""


class RequestError(ScenarioError):
    """An option, a name or a number cannot be used."""


class HistoryError(ScenarioError):
    """A history cannot be read."""


class BenchmarkError(ScenarioError):
    """What was to be measured failed, so there is no figure."""


class LabError(ScenarioError):
    """The lab cannot do what a scenario asks of it."""


class UnsuitableError(LabError):
    """The queue, a table or the endpoint is not what the scenario needs."""


class BusyError(LabError):
    """Another run of the same scenario is at work on the same stack."""


class ServiceFailedError(LabError):
    """A producer or a consumer ended unasked.

    Attributes:
        log: the last lines that it wrote.
    """

    def __init__(self, message: str, log: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.log = tuple(log)


class BrokenProgramError(ServiceFailedError):
    """A program does what cannot be explored; that is no violation, and ends the campaign."""

    def __reduce__(self) -> tuple[type[BrokenProgramError], tuple[str, Sequence[str]]]:
        """Keep the log where the error travels to another process."""
        return BrokenProgramError, (str(self), self.log)


class DeadlineMissed(LabError):  # noqa: N818 - a fact about a run, which is judged all the same
    """Something that was waited for did not happen in time."""
