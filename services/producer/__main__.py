"""Send synthetic messages to a queue: ``python -m services.producer --n 100 --rate 20``.

The queue, region and profile come from the options, else from QUEUE_URL, AWS_REGION and AWS_PROFILE. Where neither
names a queue, the file .env in the working directory does, with all that goes with it.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any

from services import process, runtime
from services.batches import MAX_ENTRIES
from services.classes import load_class
from services.errors import ConfigurationError
from services.faults import FaultPlan
from services.operations import OperationFailed, OutgoingMessage
from services.producer.large_payload import LargePayloadProducer
from services.producer.messages import PAYLOAD_FIELDS, MessagePlan, plan_messages
from services.producer.producer import PURGE_SECONDS, Producer, SendReport
from services.producer.settings import ProducerSettings
from services.settings import read_settings
from services.variables import MAX_SECONDS

#: Bytes of a payload at the most; it is held in memory.
MAX_PAYLOAD = 100_000_000
#: Messages that one run sends at the most: all of them are made before the first is sent.
MAX_MESSAGES = 1_000_000


def main(arguments: list[str] | None = None) -> int:
    """Produce; return the exit code."""
    options = _parser().parse_args(arguments)
    if options.poison_count > options.n and not options.poison_every:
        raise ConfigurationError(f"--poison-count is {options.poison_count}, but only {options.n} messages are sent.")
    settings = read_settings(
        ProducerSettings,
        stack=options.stack,
        scenario=options.scenario,
        queue_url=options.queue_url,
        aws_region=options.region,
        aws_profile=options.profile,
        seed=options.seed,
    )
    process.start_logging(settings.log_level)
    plan = _plan(options, fifo=settings.queue_url.endswith(".fifo"))
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
    options: argparse.Namespace,
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


def _plan(options: argparse.Namespace, *, fifo: bool) -> MessagePlan:
    if options.group_by and options.groups:
        raise ConfigurationError("--groups and --group-by both say whose each message is; give one of them.")
    if options.group_by and options.group_by not in (*PAYLOAD_FIELDS, *options.fields):
        raise ConfigurationError(
            f"--group-by names the field {options.group_by!r}, which no payload has; give it one with --fields."
        )
    own = {*PAYLOAD_FIELDS, "poison"}
    if taken := sorted(own & {*options.fields, options.timestamp_field}):
        raise ConfigurationError(f"The payload field {taken[0]!r} is the producer's own; give yours another name.")
    if options.deduplication and not fifo:
        raise ConfigurationError(
            "--deduplication is for FIFO queues, and the name of this queue does not end in .fifo."
        )
    return MessagePlan(
        count=options.n,
        poison_count=options.poison_count,
        poison_every=options.poison_every,
        groups=options.groups or (1 if fifo and not options.group_by else 0),
        group_by=options.group_by,
        entities=options.entities,
        deduplication=(options.deduplication or "id") if fifo else None,
        extra=options.fields,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m services.producer",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--n", type=_whole(0, MAX_MESSAGES), default=10, metavar="N", help="messages to send (default 10)")
    add(
        "--rate",
        type=_number("messages a second", slowest=1 / MAX_SECONDS),
        default=0.0,
        metavar="R",
        help="messages a second, 0 for as fast as possible (default 0)",
    )
    add(
        "--batch-size",
        type=_whole(1, MAX_ENTRIES),
        default=MAX_ENTRIES,
        metavar="N",
        help="messages a call, 1 to 10 (default 10)",
    )
    add("--poison-count", type=_whole(0), default=0, metavar="N", help="poison messages at random indices (default 0)")
    add(
        "--poison-every",
        type=_whole(0),
        default=0,
        metavar="N",
        help="every N-th is poison: 3 means 2, 5, 8 ...; overrides --poison-count",
    )
    add("--queue-url", metavar="URL", help="default: QUEUE_URL")
    add("--stack", metavar="NAME", help="take queue and endpoint from this stack's outputs")
    add("--scenario", metavar="NAME", help="with --stack: the scenario whose queue it is (default happy)")
    add("--region", help="default: AWS_REGION, else the queue's own")
    add("--profile", help="default: AWS_PROFILE")
    add("--seed", type=_whole(0), metavar="S", help="the same seed makes the same messages (default: others each time)")
    add(
        "--groups",
        type=_whole(0),
        default=0,
        metavar="N",
        help="message groups, dealt in turn (default: 1 on FIFO, none on standard)",
    )
    add(
        "--entities",
        type=_whole(0),
        default=0,
        metavar="N",
        help="entities that the messages update in turn, version by version (default: none)",
    )
    add(
        "--deduplication",
        choices=("id", "content"),
        help="FIFO: by the payload's id (default), or by SQS from the content",
    )
    add(
        "--group-by",
        default="",
        metavar="FIELD",
        help="the MessageGroupId is this field of the payload: on a standard queue, the tenant (default: none)",
    )
    add(
        "--purge-wait",
        type=_number("seconds", most=MAX_SECONDS),
        metavar="SECONDS",
        help=f"empty the queue first, and send so many seconds after that; SQS's own time is {PURGE_SECONDS:g} "
        "(default: no purge)",
    )
    add(
        "--payload-bytes",
        type=_whole(0, MAX_PAYLOAD),
        default=0,
        metavar="N",
        help="upload a payload of N bytes for each message to PAYLOAD_BUCKET, and send a reference (default: none)",
    )
    add("--fields", type=_object, default={}, metavar="JSON", help="an object whose fields every payload gets")
    add("--timestamp-field", default="", metavar="NAME", help="the payload field that gets the time of sending")
    return parser


def _whole(least: int, most: int | None = None) -> Any:
    def parse(text: str) -> int:
        bounds = f"a whole number from {least}" + (f" to {most}" if most is not None else "")
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not {bounds}") from None
        if value < least or (most is not None and value > most):
            raise argparse.ArgumentTypeError(f"{value} is not {bounds}")
        return value

    return parse


def _number(unit: str, *, slowest: float = 0.0, most: float = math.inf) -> Callable[[str], float]:
    """Return a reader of 0, or of a number from ``slowest`` to ``most``."""
    bounds = "0 or more" if most == math.inf else f"0 to {most:g}"
    if slowest:
        bounds += f", and 1/{1 / slowest:.0f} at least where it is not 0"

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not (0 <= value <= most and value < math.inf) or 0 < value < slowest:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number of {unit}, {bounds}")
        return value

    return parse


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
        json.dumps(value, allow_nan=False)  # which JSON does not have, though Python reads it
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError(f"{text!r} is not a JSON object")
    return value


if __name__ == "__main__":
    sys.exit(process.exit_code_of(main))
