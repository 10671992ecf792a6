"""The errors that a producer or a consumer ends with.

    ServiceError
    ├── ConfigurationError    a variable or an option is wrong: exit 2
    ├── Unusable              the queue, a table or the endpoint is not there: exit 2
    └── MachineError          the machine is at its end (disk, memory, open files, a closed output): exit 3

``str(error)`` is the one sentence that a person reads. What can go wrong with a single operation is
:class:`services.operations.OperationFailed`, and it is the consumer's business.
"""

from __future__ import annotations

from typing import ClassVar


class ServiceError(Exception):
    """The root of what ends a service before its work is done."""

    exit_code: ClassVar[int] = 2


class MachineError(ServiceError):
    """This machine lacks what a process needs: room on a disk, memory, open files, an output that is open."""

    exit_code = 3


class ConfigurationError(ServiceError):
    """A variable or an option has a value that cannot be used."""


class Unusable(ServiceError):  # noqa: N818 - reads as the sentence it carries
    """Something that the service needs from outside is not there."""
