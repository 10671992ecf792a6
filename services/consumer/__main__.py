"""Run one consumer until SIGTERM, SIGINT, its limit or its idle timeout: ``python -m services.consumer``.

Environment variables configure it; docs/services.md lists them. ``--stack`` takes queue, tables and endpoint from a
stack's outputs instead.
"""

from __future__ import annotations

import argparse
import os
import sys
import threading
import uuid
from collections.abc import Generator

from services import process, runtime
from services.classes import load_class
from services.consumer.consumer import Consumer
from services.consumer.settings import ConsumerSettings
from services.errors import ConfigurationError
from services.faults import FaultPlan
from services.machine import machine_error
from services.operations import OperationFailed, not_a_task
from services.settings import read_settings
from services.variables import help_text


def main() -> int:
    """Consume; return the exit code."""
    options = _parser().parse_args()
    settings = read_settings(ConsumerSettings, stack=options.stack, scenario=options.scenario)
    tables = (settings.message_status_table, settings.message_side_effects_table)
    if tables[0] and tables[0] == tables[1]:
        raise ConfigurationError(
            f"MESSAGE_STATUS_TABLE and MESSAGE_SIDE_EFFECTS_TABLE are both {tables[0]!r}; our own bookkeeping and the "
            "external system's ledger are two tables."
        )
    if settings.side_effect_log_path:
        process.check_log(settings.side_effect_log_path)
    process.start_logging(settings.log_level)
    if not settings.process_name:
        settings = settings.model_copy(update={"process_name": f"consumer-{os.getpid()}"})
    # A name may be used again after a crash; the owner of a claim must be this very process.
    owner = f"{settings.process_name}-{uuid.uuid4().hex[:8]}"
    kind = load_consumer(settings.consumer)
    try:
        consumer = kind(settings.options(owner))
    except (Exception, SystemExit) as error:  # a class of the user's own may do anything
        if (machine := machine_error(error)) is not None:
            raise machine from error
        raise ConfigurationError(f"CONSUMER is {settings.consumer!r}, which cannot be made: {error!r}.") from error
    rng = process.random_source(settings.seed)
    faults = FaultPlan(settings.all_faults(), crash_rate=settings.crash_rate, rng=rng)
    wake = threading.Event()
    driver = process.build_driver(settings, faults, wake, tables)
    main_task = consumer.poll()
    if not isinstance(main_task, Generator):
        raise ConfigurationError(not_a_task(consumer, "poll", main_task))
    with runtime.signals_to(consumer.stop, wake):
        try:
            runtime.run(main_task, driver, beside=[consumer.heartbeat()])
        except OperationFailed as error:
            raise process.why_unusable(error, settings) from error
        except SystemExit:
            raise ConfigurationError(
                f"CONSUMER is {settings.consumer!r}, which has called sys.exit; a consumer ends by returning."
            ) from None
    return 0


def load_consumer(spec: str) -> type[Consumer]:
    """Return the class that ``module:Class`` names.

    Raises:
        ConfigurationError: there is no such class, or it is no Consumer.
    """
    return load_class(spec, Consumer, f"CONSUMER is {spec!r}, which")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m services.consumer",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="variables:\n" + help_text(ConsumerSettings),
    )
    parser.add_argument("--stack", metavar="NAME", help="take queue, tables and endpoint from this stack's outputs")
    parser.add_argument(
        "--scenario", metavar="NAME", help="with --stack: the scenario whose resources they are (default happy)"
    )
    return parser


if __name__ == "__main__":
    sys.exit(process.exit_code_of(main))
