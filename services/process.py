"""What every service's process does around its work: logging, the history, the driver, the exit code.

Exit codes: 0 the work is done, 1 a part of it could not be done, 2 it could not begin (a wrong option, no queue), 3 the
machine is at its end (see ``services.machine``).
"""

from __future__ import annotations

import logging
import os
import random
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TextIO

from services.clients import Clients, checked_queue_url
from services.drivers.aws import AwsDriver
from services.drivers.base import Driver
from services.drivers.outbox import Outbox
from services.drivers.payloads import Payloads
from services.drivers.queue import Queue
from services.drivers.recorded import RealFaults, RecordedDriver
from services.drivers.store import Store
from services.errors import ConfigurationError, ServiceError, Unusable
from services.faults import FaultPlan
from services.history import Recorder, append_to, nowhere
from services.machine import RESOURCES, check_outputs, machine_error, silence_broken_outputs
from services.operations import OperationFailed
from services.settings import ServiceSettings

#: The tables that a store works on: the status table's name and the ledger's, either of which may be empty.
Tables = tuple[str, str]


def exit_code_of(main: Callable[[], int]) -> int:
    """Run a service's main function; turn what it cannot go on from into one sentence on standard error."""
    try:
        check_outputs()
        code = main()
        sys.stdout.flush()
    except ServiceError as error:
        found: ServiceError = error
    except Exception as error:
        machine = machine_error(error)
        if machine is None:
            raise
        found = machine
    else:
        return code
    _complain(found)
    return found.exit_code


def _complain(error: ServiceError) -> None:
    """Print what is wrong on the first output that takes it."""
    for stream in (sys.stderr, sys.stdout):
        with suppress(OSError, AttributeError):
            print(f"error: {error}", file=stream, flush=True)
            break
    silence_broken_outputs()


class _Log(logging.StreamHandler[TextIO]):
    """Writes to standard error. A process whose log cannot be written ends, as one whose history cannot."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name that logging calls
        """Raise what went wrong."""
        error = sys.exc_info()[1]
        machine = error and machine_error(error)
        if machine:
            raise machine from error
        super().handleError(record)


def start_logging(level: str) -> None:
    """Log to standard error, a line a fact."""
    logging.basicConfig(
        level=logging.WARNING, format="%(asctime)s %(levelname)-7s %(message)s", handlers=[_Log(sys.stderr)]
    )
    logging.getLogger("services").setLevel(level)


def build_driver(
    settings: ServiceSettings, faults: FaultPlan, wake: threading.Event, tables: Tables = ("", "")
) -> Driver:
    """Return the driver of this process: boto3, with records around it and faults among them.

    Raises:
        ConfigurationError: the queue URL, the profile, the region or the history's path cannot be used.
    """
    queue_url = checked_queue_url(settings.queue_url, "QUEUE_URL")
    clients = Clients(settings.access)
    queue = Queue(clients.client("sqs"), queue_url)
    dynamodb = clients.client("dynamodb") if any(tables) else None
    outbox = Outbox(dynamodb, tables[0]) if tables[0] else None
    bucket = settings.payload_bucket
    payloads = Payloads(clients.client("s3"), bucket) if bucket else None
    try:
        sink = append_to(settings.history_path) if settings.history_path else nowhere
    except OSError as error:
        raise _unwritable("HISTORY_PATH", error) from None
    recorder = Recorder(sink, settings.process_name, time.monotonic, queue.name, time.time)
    driver = AwsDriver(queue, Store(dynamodb, *tables), wake, payloads, outbox)
    return RecordedDriver(driver, recorder, faults, RealFaults(time.sleep))


def check_log(path: str) -> None:
    """Make the log of side effects, empty, where it is not there: what cannot be is said before any side effect.

    Raises:
        ConfigurationError: the path cannot be used.
    """
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600))
    except OSError as error:
        raise _unwritable("SIDE_EFFECT_LOG_PATH", error) from None


def _unwritable(variable: str, error: OSError) -> ServiceError:
    """Return the sentence for a file that cannot be written."""
    machine = machine_error(error)
    if machine is not None and error.errno in RESOURCES:
        return machine
    return ConfigurationError(f"{variable} cannot be written: {error.strerror}: {error.filename}")


def random_source(seed: int | None) -> random.Random:
    """Return the one source of chance of this process; without a seed, another one each time."""
    return random.Random(seed)  # noqa: S311 - chance in a lab must be reproducible, not secret


def why_unusable(error: OperationFailed, settings: ServiceSettings) -> Unusable:
    """Return the sentence for an operation whose failure ends the process."""
    where = settings.aws_endpoint_url or f"AWS in {settings.aws_region or 'the configured region'}"
    match error.code:
        case "AWS.SimpleQueueService.NonExistentQueue" | "QueueDoesNotExist":
            return Unusable(
                f"There is no queue {settings.queue_url} at {where}; create it (`invoke up`) or correct QUEUE_URL."
            )
        case "ResourceNotFoundException":
            return Unusable(
                f"A table is missing at {where} ({error.message}); create it (`invoke up`) or correct "
                "MESSAGE_STATUS_TABLE and MESSAGE_SIDE_EFFECTS_TABLE."
            )
        case "NoSuchBucket":
            return Unusable(
                f"There is no bucket {settings.payload_bucket} at {where}; create it (`invoke up`) or correct "
                "PAYLOAD_BUCKET."
            )
        case "EndpointConnectionError" | "ConnectTimeoutError" | "ConnectionClosedError" | "ReadTimeoutError":
            return Unusable(f"Nothing answers at {where}; start it (`invoke up`) or correct AWS_ENDPOINT_URL.")
        case "NoCredentialsError" | "CredentialRetrievalError":
            return Unusable("No AWS credentials were found; set AWS_PROFILE, or give them as the AWS CLI takes them.")
    return Unusable(f"{where} refused: {error}.")
