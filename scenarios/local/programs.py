"""The consumers of a run that are programs of any make: what they are told, and how they are watched."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from scenarios.checks.effects import RUN, HttpEffect, LogEffect, SqlEffect
from scenarios.checks.program_config import ProgramConfig
from scenarios.errors import ServiceFailedError, UnsuitableError
from scenarios.local.effect_sources import source_of
from scenarios.local.effect_watch import EffectWatch, passes_by
from scenarios.local.environment import IDENTITY_VARIABLES, as_variables
from scenarios.local.http_reader import CONTRACT, Surroundings
from scenarios.local.interpreter import SIDE_EFFECTS
from scenarios.local.logs import last_lines
from scenarios.local.processes import Command
from scenarios.local.recording_proxy import Program, RecordingProxy
from services.common.loopback import is_loopback_url
from services.faults import Fault, FaultPlan
from services.history import Recorder, append_to
from services.operations import Message

if TYPE_CHECKING:
    from infra.stack.stacks import ScenarioResources, Stack

#: Real seconds for a program to start, and to ask for its first message, where nothing else is said.
STARTUP_TIMEOUT = 15.0
#: The address of a program's proxy, which is its own; what it starts inherits it.
ENDPOINT_VARIABLE = "AWS_ENDPOINT_URL"
#: What the lab tells its own services, and a program has no use for.
_OUR_OWN = frozenset({"CONSUMER", "FAULTS", "HISTORY_PATH", "IDLE_TIMEOUT_SECONDS", "PYTHONPATH"})


@dataclass(frozen=True, slots=True)
class Start:
    """A program that is about to be started.

    Attributes:
        name: its name in the history.
        faults: what shall strike it; their delays are in real seconds.
        settings: the scenario's own, in real seconds.
        seed: where the chance of its faults comes from.
        kill: ends it by SIGKILL.
    """

    name: str
    faults: Sequence[Fault]
    settings: Mapping[str, Any]
    seed: int
    kill: Callable[[], None]


class Programs:
    """The programs of one run.

    Args:
        arguments: the program and its arguments.
        files: where a run's processes leave their files.
        startup_timeout: real seconds for a program to start, and to ask for its first message.
        config: what the user's configuration file says of the program.
        seed: the run's.

    Raises:
        UnsuitableError: the stack is not on this machine.
        RequestError: the user's messages cannot be drawn.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        stack: Stack,
        resources: ScenarioResources,
        files: Path,
        *,
        startup_timeout: float = STARTUP_TIMEOUT,
        config: ProgramConfig | None = None,
        seed: int = 0,
    ) -> None:
        if not stack.endpoint_url or not is_loopback_url(stack.endpoint_url):
            raise UnsuitableError(
                "A program of your own is watched on its way to AWS, which takes an endpoint on this machine, and the "
                f"stack {stack.name} is elsewhere; leave out --stack for a temporary one."
            )
        self._arguments = tuple(arguments)
        self._endpoint = stack.endpoint_url
        self._resources = resources
        self._files = files
        self._startup_timeout = startup_timeout
        self._config = config or ProgramConfig()
        self._messages = self._config.messages.for_seed(seed) if self._config.messages else None
        self._run = files.parent.resolve()
        effect = self._config.effect
        self._http = effect if isinstance(effect, HttpEffect) else None
        self._watch = (
            EffectWatch(source_of(effect, self._run, files)) if isinstance(effect, SqlEffect | LogEffect) else None
        )
        self._taps: dict[str, RecordingProxy] = {}
        self._started: dict[str, float] = {}
        self._handed: dict[str, Message] = {}

    def __iter__(self) -> Iterator[str]:
        return iter(self._taps)

    def __contains__(self, name: str) -> bool:
        return name in self._taps

    def prepare(self, start: Start, shared: Mapping[str, str]) -> Command:
        """Lay a tap, and return what to start.

        Args:
            start: what is asked for.
            shared: the environment that all services of the run have.

        Raises:
            UnsuitableError: a fault shall strike at a side effect that is only watched, and cannot.
        """
        self._check_faults(start.faults)
        settings = dict(start.settings)
        slow = settings.pop("side_effect_delay_seconds", 0.0)
        faults = [*start.faults, *([Fault("delay", "PerformSideEffect", nth=0, seconds=slow)] if slow else [])]
        chance = random.Random(start.seed)  # noqa: S311 - chance in a lab must be reproducible, not secret
        plan = FaultPlan(faults, crash_rate=settings.pop("crash_rate", 0.0), rng=chance)
        resources = self._resources
        around = Surroundings(
            resources.queue_name,
            "" if self._watch else resources.side_effects_table,
            resources.receive_wait,
            settings.get("business_idempotency_field", ""),
            settings.get("max_messages", 1),
            settings.get("message_limit", 0),
            {
                resources.queue_name: "queue",
                resources.dead_letter_queue_name: "dead-letter-queue",
                resources.status_table: "status-table",
                resources.side_effects_table: "side-effects-table",
            },
            self._http,
            resources.bucket,
            self._messages,
            handed=self._handed,
        )
        sink = append_to(self._files / f"{start.name}.jsonl")
        recorder = Recorder(sink, start.name, time.monotonic, resources.queue_name)
        tap = self._taps[start.name] = RecordingProxy(
            Program(start.name, around, plan, lambda _: start.kill(), self._watch), self._endpoint, recorder
        )
        told = program_environment(tap.url, shared, as_variables({"max_messages": 1, **settings}))
        told |= {name: self._filled(value, tap.url) for name, value in self._config.env.items()}
        told |= {"PROCESS_NAME": start.name, "SEED": str(start.seed)}
        arguments = tuple(self._filled(word, tap.url) for word in self._arguments)
        return Command(start.name, arguments, told, Path.cwd(), self._log(start.name), foreign=True)

    def _check_faults(self, faults: Sequence[Fault]) -> None:
        beyond = next(filter(passes_by, faults), None) if self._watch is not None else None
        if beyond is not None:
            raise UnsuitableError(
                f"The fault {beyond.kind} cannot strike at a row or a line, which the lab only watches; a crash or a "
                "delay before it can, and a crash after it. Let the fault strike at another operation."
            )

    def _filled(self, text: str, url: str) -> str:
        """Return a word of the configuration with what is known only now."""
        return text.replace("{url}", url).replace(RUN, str(self._run))

    def mark_of(self, name: str) -> tuple[str, str]:
        """Return a variable of a program's environment, and the value that no other program has."""
        return ENDPOINT_VARIABLE, self._taps[name].url

    def executions(self) -> dict[str, int] | None:
        """Return how often each key's side effect was caused; None where the ledger says it.

        Raises:
            ScenarioError: what is watched cannot be read, or cannot be this run's.
        """
        return self._watch.finish() if self._watch else None

    def _log(self, name: str) -> Path:
        return self._files / f"{name}.log"

    def began(self, name: str) -> None:
        """Open a program's tap, now that it runs."""
        self._started[name] = time.monotonic()
        self._taps[name].open()

    def are_starting(self, running: Sequence[str]) -> bool:
        """Tell whether a running program has not yet asked for its first message: that is when it is ready."""
        return any(name in running and not tap.asked for name, tap in self._taps.items())

    def are_at_work(self, running: Sequence[str]) -> bool:
        """Tell whether a running program has in hand what the lab held back from it: it may finish that."""
        watched = [tap.watched for name, tap in self._taps.items() if name in running]
        return any(each is not None and each.is_at_work for each in watched)

    def stopped(self, name: str, *, requests: int) -> None:
        """Note that a program has ended well after so many requests to end, which our own consumer says by itself."""
        self._taps[name].recorder.event("stopped", signalled=requests > 0, requests=requests)

    def look(self, running: Sequence[str]) -> list[str]:
        """Return the running programs that have done what they were to do, and shall end.

        Raises:
            ServiceFailedError: one never asks for a message, or does what cannot be judged.
        """
        if self._watch is not None and self._watch.error is not None:
            raise self._watch.error
        for name, tap in self._taps.items():
            if tap.complaint:
                raise ServiceFailedError(f"{name} {tap.complaint}; see {CONTRACT}.", last_lines(self._log(name)))
            if name in running and not tap.asked and time.monotonic() - self._started[name] > self._startup_timeout:
                raise ServiceFailedError(
                    f"{name} has run for {self._startup_timeout:g} s and never asked for a message; it has to call "
                    f"ReceiveMessage for QUEUE_URL at AWS_ENDPOINT_URL, see {CONTRACT}. If it is only slow to start, "
                    "give it longer by --startup-timeout "
                    f"(its log: {self._log(name)}).",
                    last_lines(self._log(name)),
                )
        return [name for name in running if self.is_done(name)]

    def is_done(self, name: str) -> bool:
        """Return whether a program has done what it was to do."""
        return name in self._taps and self._taps[name].reader.is_done

    def close(self) -> None:
        """Close all taps."""
        for tap in self._taps.values():
            tap.close()
        if self._watch is not None:
            self._watch.close()


def program_environment(url: str, shared: Mapping[str, str], settings: Mapping[str, str]) -> dict[str, str]:
    """Return what a program is told.

    Args:
        url: its way to AWS.
        shared: the environment that all services of a run have.
        settings: its own variables.
    """
    told = {name: value for name, value in shared.items() if name not in _OUR_OWN | IDENTITY_VARIABLES}
    if "PYTHONPATH" in os.environ:
        told["PYTHONPATH"] = os.environ["PYTHONPATH"]
    # SDKs differ in where they look for a region, and none goes without credentials.
    return {
        **told,
        **settings,
        "QUEUE_URL": url + urlsplit(told["QUEUE_URL"]).path,
        ENDPOINT_VARIABLE: url,
        "AWS_DEFAULT_REGION": told["AWS_REGION"],
        "AWS_ACCESS_KEY_ID": "loopback",
        "AWS_SECRET_ACCESS_KEY": "loopback",
        "AWS_EC2_METADATA_DISABLED": "true",
        "SIDE_EFFECT_URL": url + SIDE_EFFECTS,
    }
