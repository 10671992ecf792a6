"""The embedded AWS endpoint as a process of its own: ``python -m infra.localaws``."""

import signal

if __name__ == "__main__":
    # Until the server takes its signals, Ctrl-C ends the process at once, and without a traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import argparse
import asyncio
import gc
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from infra.localaws.config import EndpointConfig, EndpointError
from infra.localaws.lambda_ import standalone
from infra.localaws.server import LocalAws
from infra.localaws.sqs.eventual_consistency import EventualConsistency
from infra.localaws.sqs.rates import DeliveryRates
from services.common.numbers import finite_number

SWITCH_SECONDS = 0.0005
"""How long the thread of DynamoDB and S3 keeps the interpreter when SQS has a request. With Python's 5 ms a send took
9.5 ms (median) beside writes of large items, with this it takes 0.9 ms."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the endpoint until SIGTERM or SIGINT; return the process's exit code (2: it could not start)."""
    options = _parser().parse_args(arguments)
    try:
        config = EndpointConfig(
            host=options.host,
            port=options.port,
            region=options.region,
            seed=options.seed,
            rates=DeliveryRates(options.reorder, options.duplicate, options.underfill, options.stale_delete),
            consistency=EventualConsistency(options.purge, options.counts, options.purge_interval, options.name_reuse),
            speed=options.speed,
            limits_fifo=options.limit_fifo,
            history=options.history,
        )
        standalone.check_options(options)
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            return runner.run(_serve(config, options))
    except EndpointError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except OSError as error:
        sys.stderr.write(f"The endpoint cannot run on this machine: {error.strerror or error}.\n")
        return 2


async def _serve(config: EndpointConfig, options: argparse.Namespace) -> int:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    endpoint = LocalAws(config)
    await endpoint.start()
    _calm_the_collector()
    sys.setswitchinterval(SWITCH_SECONDS)
    attached = None
    try:
        if options.handler is not None:
            attached = standalone.attach(endpoint.lambda_, options, sys.stdout)
        _say(f"listening on {endpoint.url}\n")
        if options.ready_file is not None:
            _write_ready_file(options.ready_file, endpoint.url)
        endpoint.preload()
        if attached is not None:
            attached.start()
        await stopping.wait()
    finally:
        if attached is not None:
            attached.stop()
        await endpoint.stop()
    return 0


def _say(line: str) -> None:
    """Write a line to standard output, which may be closed or full: the endpoint serves all the same."""
    try:
        sys.stdout.write(line)
        sys.stdout.flush()
    except (AttributeError, OSError, ValueError):
        # What is left in the buffer must not fail again when the process ends.
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123 - open until the process ends


def _calm_the_collector() -> None:
    """Look for garbage in cycles seldom: what is gone forms none, and a look costs the more the more there is."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """Return uvloop's loop where it is installed, else asyncio's own."""
    try:
        import uvloop  # noqa: PLC0415 - not there on every platform
    except ImportError:
        return asyncio.new_event_loop
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


def _write_ready_file(path: Path, url: str) -> None:
    """Write the address so that a reader sees either nothing or all of it."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        partial.write_text(f"{url}\n", encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        raise EndpointError(f"The ready file {path} cannot be written: {error.strerror}.") from None


def _parser() -> argparse.ArgumentParser:
    rates = DeliveryRates()
    parser = argparse.ArgumentParser(
        prog="python -m infra.localaws",
        description="SQS and DynamoDB on one port of this machine, in memory: an AWS endpoint for the lab. "
        "Point an SDK at the address that the first line of output gives; any credentials do.",
        epilog="It ends on SIGTERM or SIGINT with exit code 0; exit code 2 says that it could not start.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--host", default="127.0.0.1", help="where to listen, loopback only")
    parser.add_argument("--port", type=int, default=0, help="the port; 0 takes a free one")
    parser.add_argument("--region", default="us-west-1", help="the AWS region to play")
    parser.add_argument("--seed", type=int, default=0, help="what message ids and all deliveries follow from")
    for name, rate, meaning in (
        ("--reorder", rates.reorder, "how often a standard queue delivers a message out of turn, 0 (never) to 1"),
        ("--duplicate", rates.duplicate, "how often a delivered message stays visible, and may come twice at once"),
        ("--underfill", rates.underfill, "how often a receive returns fewer messages than there are"),
        ("--stale-delete", rates.stale_delete, "how often a delete by an earlier receipt handle deletes nothing"),
    ):
        parser.add_argument(name, type=_probability, default=rate, metavar="RATE", help=meaning)
    _add_consistency(parser)
    parser.add_argument("--speed", type=float, default=1.0, help="how many seconds the clock of SQS runs in a real one")
    parser.add_argument(
        "--limit-fifo", action="store_true", help="let FIFO queues take 300 calls a second and action, as AWS's do"
    )
    parser.add_argument("--history", type=Path, help="append every event of the queues to this file, one JSON a line")
    parser.add_argument("--ready-file", type=Path, help="write the address to this file once connections are accepted")
    standalone.add_options(parser)
    return parser


def _add_consistency(parser: argparse.ArgumentParser) -> None:
    consistency = EventualConsistency()
    for name, default, meaning in (
        ("--purge", consistency.purge, "a purge is complete within so many seconds (SQS: up to 60); 0 is at once"),
        (
            "--counts",
            consistency.counts,
            "approximate counts are up to so many seconds old (SQS: 60); 0 is exact",
        ),
        ("--purge-interval", consistency.purge_interval, "a second purge within so many seconds is refused"),
        ("--name-reuse", consistency.name_reuse, "the name of a deleted queue is refused for so many seconds"),
    ):
        parser.add_argument(name, type=_seconds, default=default, metavar="SECONDS", help=meaning)


def _seconds(text: str) -> float:
    value = finite_number(text)
    if value is None or value < 0:
        raise argparse.ArgumentTypeError(f"a time is a number of seconds from 0 on, not {text!r}")
    return value


def _probability(text: str) -> float:
    value = finite_number(text)
    if value is None or not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"a rate is a number from 0 to 1, not {text!r}")
    return value


if __name__ == "__main__":
    sys.exit(main())
