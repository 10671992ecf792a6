"""Send synthetic messages to a queue: ``python -m services.producer --n 100 --rate 20``.

The queue, region and profile come from the options, else from QUEUE_URL, AWS_REGION and AWS_PROFILE. Where neither
names a queue, the file .env in the working directory does, with all that goes with it.
"""

from __future__ import annotations

import argparse
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Annotated, Any

from pydantic import TypeAdapter, ValidationError

from services import process, runtime
from services.classes import load_class
from services.errors import ConfigurationError
from services.faults import FaultPlan
from services.operations import OperationFailed, OutgoingMessage
from services.producer.large_payload import LargePayloadProducer
from services.producer.messages import plan_messages
from services.producer.options import ProducerOptions, flag
from services.producer.producer import Producer, SendReport
from services.producer.settings import ProducerSettings
from services.settings import read_settings
from services.variables import Count, default_of, must_be


def main(arguments: list[str] | None = None) -> int:
    """Produce; return the exit code."""
    given = vars(_parser().parse_args(arguments))
    options = ProducerOptions(**{name: given.pop(name) for name in ProducerOptions.model_fields if name in given})
    settings = read_settings(ProducerSettings, **given)
    process.start_logging(settings.log_level)
    plan = options.plan(fifo=settings.queue_url.endswith(".fifo"))
    messages = plan_messages(plan, process.random_source(settings.seed))
    kind = load_class(settings.producer, Producer, f"PRODUCER is {settings.producer!r}, which")
    producer = _producer(kind, messages, options, settings)
    wake = threading.Event()
    settings = settings.model_copy(update={"process_name": settings.process_name or "producer"})
    driver = process.build_driver(settings, FaultPlan(settings.faults), wake, _tables(kind, settings))
    with runtime.signals_to(producer.stop, wake):
        try:
            report = runtime.run(producer.run(), driver)
        except OperationFailed as error:
            raise process.why_unusable(error, settings) from error
    print(_sentence(report, settings.queue_url))  # noqa: T201 - this is the program's face
    return 0 if report.unsent == 0 else 1


def _producer(
    kind: type[Producer],
    messages: Sequence[OutgoingMessage],
    options: ProducerOptions,
    settings: ProducerSettings,
) -> Producer:
    common = (messages, options.batch_size, options.rate, options.purge_wait, options.timestamp_field)
    if not options.payload_bytes:
        return kind(*common)
    if not settings.payload_bucket:
        raise ConfigurationError("--payload-bytes needs a bucket to upload to; set PAYLOAD_BUCKET to its name.")
    if kind is not Producer:
        raise ConfigurationError("--payload-bytes and PRODUCER both name who sends; give one of them.")
    return LargePayloadProducer(*common, payload_bytes=options.payload_bytes)


def _tables(kind: type[Producer], settings: ProducerSettings) -> process.Tables:
    """Return the tables of a producer; most have none."""
    if not kind.keeps_state:
        return "", ""
    if not settings.message_status_table:
        raise ConfigurationError(
            f"MESSAGE_STATUS_TABLE is not set, and {kind.__name__} keeps its orders and outbox there; set it, or run "
            "`invoke up`, which writes it to .env."
        )
    return settings.message_status_table, ""


def _sentence(report: SendReport, queue_url: str) -> str:
    parts = [f"sent {report.sent} messages to {queue_url.rpartition('/')[2]} in {report.seconds:.2f} s"]
    if report.offered_again:
        parts.append(f"{report.offered_again} of them offered more than once")
    if report.unsent:
        parts.append(f"{report.unsent} NOT sent")
    return "; ".join(parts)


def _parser() -> argparse.ArgumentParser:
    """Return the parser of the command line; an option that is not given has no attribute in its result."""
    parser = argparse.ArgumentParser(
        prog="python -m services.producer",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
    )
    for name, field in ProducerOptions.model_fields.items():
        read = _reader(Annotated[field.annotation, field])
        meaning, default = (text.replace("`", "") for text in (field.description or "", default_of(field)))
        parser.add_argument(flag(name), dest=name, type=read, metavar="VALUE", help=f"{meaning} (default: {default})")
    for option, name, meaning in (
        ("--queue-url", "queue_url", "default: QUEUE_URL"),
        ("--stack", "stack", "take queue and endpoint from this stack's outputs"),
        ("--scenario", "scenario", "with --stack: the scenario whose queue it is (default happy)"),
        ("--region", "aws_region", "default: AWS_REGION, else the queue's own"),
        ("--profile", "aws_profile", "default: AWS_PROFILE"),
    ):
        parser.add_argument(option, dest=name, metavar="NAME", help=meaning)
    seed = "the same seed makes the same messages (default: SEED, else others each time)"
    parser.add_argument("--seed", type=_reader(Count), metavar="VALUE", help=seed)
    return parser


def _reader(kind: Any) -> Callable[[str], Any]:
    adapter = TypeAdapter(kind)

    def read(text: str) -> Any:
        try:
            return adapter.validate_python(text)
        except ValidationError as error:
            raise argparse.ArgumentTypeError(f"{text!r} is given, but it must be {must_be(error)}") from None

    return read


if __name__ == "__main__":
    sys.exit(process.exit_code_of(main))
