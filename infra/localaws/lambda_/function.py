"""A function: its code and settings, its pool of execution environments, and its invocations."""

from collections.abc import Callable
from random import Random
from typing import Any

from infra.localaws.lambda_.actions import Result
from infra.localaws.lambda_.concurrency import Concurrency
from infra.localaws.lambda_.config import FunctionConfig
from infra.localaws.lambda_.environment import Call, ExecutionEnvironment, Surroundings
from infra.localaws.lambda_.faults import OF_INVOCATIONS, Fault, FaultKind, FaultPlan
from infra.localaws.lambda_.limits import INIT_SECONDS
from infra.localaws.sqs.queue import Observer

LogSink = Callable[[str, str, str], None]
"""Takes a line of a log: the log group, the log stream, the line."""


class Function:
    """A function that can be invoked.

    Args:
        config: its settings.
        concurrency: the account's.
        clock: returns seconds of the queue's clock.
        real_seconds: how long such seconds last in real ones.
        rng: draws request ids.
        endpoint_url: where its AWS SDKs go.
        log: takes its log.
        observer: is told what becomes of its environments and invocations; None costs nothing.
        freezes: whether its environments stand still between invocations.
        init_seconds: real seconds until an init is restarted.
    """

    def __init__(
        self,
        config: FunctionConfig,
        *,
        concurrency: Concurrency,
        clock: Callable[[], float],
        real_seconds: Callable[[float], float],
        rng: Random,
        endpoint_url: str = "",
        log: LogSink = lambda *_: None,
        observer: Observer | None = None,
        freezes: bool = True,
        init_seconds: float = INIT_SECONDS,
    ) -> None:
        self.config = config
        self.faults = FaultPlan()
        self.invocations = 0
        self._concurrency = concurrency
        self._clock = clock
        self._real_seconds = real_seconds
        self._rng = rng
        self._endpoint_url = endpoint_url
        self._log = log
        self._observer = observer
        self._freezes = freezes
        self._init_seconds = init_seconds
        self._idle: list[ExecutionEnvironment] = []
        self._busy: dict[ExecutionEnvironment, Call] = {}
        self._late: set[ExecutionEnvironment] = set()
        self._throttled_until = 0.0
        self._init_failure: bytes | None = None

    @property
    def environments(self) -> list[ExecutionEnvironment]:
        """Its environments, the busy ones first."""
        return [*self._busy, *self._idle, *self._late]

    def reconfigure(self, config: FunctionConfig) -> None:
        """Take other settings or code; the next invocation is a cold start, and those under way end as they are."""
        self.config = config
        self._init_failure = None
        for environment in [*self._idle, *self._late]:
            environment.end()

    def begin(self, batch: int | None = None) -> bool:
        """Take a place among the concurrent invocations; False means that the invocation is throttled.

        Args:
            batch: the number of the batch, where a mapping invokes.

        The holder of a place calls ``invoke``, which gives it back.
        """
        # A throttled attempt is none of the function's invocations, so that faults are counted by what it sees.
        fault = self.faults.take(FaultKind.THROTTLE, self.invocations + 1)
        if fault is not None:
            self._throttled_until = self._clock() + fault.seconds
            self._strike(fault, "", batch)
        return self._clock() >= self._throttled_until and self._concurrency.acquire(self.config.name)

    async def prepare(self) -> Result | None:
        """Start an environment ahead of the first invocation; return how its init failed, None if it did not.

        AWS starts environments ahead of time as well, and promises none.

        Raises:
            InvalidParameterValue: its runtime cannot be run here.
        """
        environment = self._new_environment()
        self._late.add(environment)
        failed = await environment.prepare()
        self._late.discard(environment)
        if failed is None:
            self._idle.append(environment)
        return failed

    async def invoke(self, payload: bytes, client_context: str | None = None, batch: int | None = None) -> Result:
        """Invoke the function, which has a place; never raises for what the function does.

        Args:
            payload: the event, as JSON.
            client_context: of a direct invocation, as JSON.
            batch: the number of the batch, where a mapping invokes.

        Raises:
            InvalidParameterValue: its runtime cannot be run here.
        """
        self.invocations += 1
        fault = self.faults.take_any(OF_INVOCATIONS, self.invocations)
        call = Call(self._uuid(), payload, self._trace_id(), client_context, fault, batch)
        if fault is not None:
            self._strike(fault, call.request_id, batch)
            if fault.kind is FaultKind.COLD_START:
                for environment in list(self._idle):
                    environment.end()
        try:
            return (await self._run(call))._replace(request_id=call.request_id)
        finally:
            self._concurrency.release(self.config.name)

    def crash(self, request_id: str | None = None, access_key: str | None = None) -> int:
        """Kill the environments that run an invocation; return how many.

        Args:
            request_id: the one that runs this request; None for any.
            access_key: the one with this access key id; None for any.
        """
        struck = [
            environment
            for environment, call in self._busy.items()
            if request_id in {None, call.request_id} and access_key in {None, environment.access_key}
        ]
        for environment in struck:
            environment.crash()
        return len(struck)

    @property
    def concurrency(self) -> Concurrency:
        """The account's concurrency, of which it has a part."""
        return self._concurrency

    def close(self) -> None:
        """End every environment, busy or not."""
        for environment in self.environments:
            environment.end()

    # Within

    async def _run(self, call: Call) -> Result:
        while True:
            environment = self._idle.pop() if self._idle else self._new_environment()
            self._busy[environment] = call
            is_cold = environment.invocations == 0
            self._observe(
                "function-invoked",
                request=call.request_id,
                batch=call.batch,
                cold=is_cold,
                reuse=environment.invocations,
            )
            try:
                result = await environment.run(call)
            except BaseException:
                self._busy.pop(environment, None)
                environment.end()
                raise
            self._busy.pop(environment, None)
            if result is None:
                continue
            if environment.invocations:
                self._init_failure = None
            failure = None if result.failure is None else result.failure.value
            self._observe("function-ended", request=call.request_id, failure=failure)
            self._keep(environment)
            return result

    def _keep(self, environment: ExecutionEnvironment) -> None:
        if environment.is_gone:
            return
        if environment.config is not self.config:
            environment.end()
        elif environment.survives_later:
            self._late.add(environment)
        else:
            self._idle.append(environment)

    def _new_environment(self) -> ExecutionEnvironment:
        stream = f"[$LATEST]{self._rng.getrandbits(128):032x}"
        config = self.config
        return ExecutionEnvironment(
            config,
            stream,
            Surroundings(
                real_seconds=self._real_seconds,
                endpoint_url=self._endpoint_url,
                log=lambda line: self._log(config.log_group, stream, line),
                observe=self._observe,
                on_gone=self._forget,
                on_ready=self._survived,
                says_init_failure=self._is_new_failure,
                freezes=self._freezes,
                init_seconds=self._init_seconds,
            ),
        )

    def _forget(self, environment: ExecutionEnvironment) -> None:
        if environment in self._idle:
            self._idle.remove(environment)
        self._late.discard(environment)
        self._observe("environment-ended", invocations=environment.invocations)

    def _is_new_failure(self, failure: bytes) -> bool:
        """Return whether an init failed otherwise than the last one: each retry of a batch would say the same again."""
        is_new = failure != self._init_failure
        self._init_failure = failure
        return is_new

    def _survived(self, environment: ExecutionEnvironment) -> None:
        if environment in self._late:
            self._late.discard(environment)
            self._idle.append(environment)

    def note(self, fault: Fault) -> None:
        """Tell the observer of a fault that has struck elsewhere than in an invocation."""
        self._strike(fault, "")

    def _strike(self, fault: Fault, request_id: str, batch: int | None = None) -> None:
        self._observe(
            "fault-struck",
            kind=fault.kind.value,
            at=fault.at,
            request=request_id,
            batch=batch,
            seconds=fault.seconds,
            entries=list(fault.entries),
        )

    def _uuid(self) -> str:
        digits = f"{self._rng.getrandbits(128):032x}"
        return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"

    def _trace_id(self) -> str:
        digits = f"{self._rng.getrandbits(160):040x}"
        return f"Root=1-{int(self._clock()):08x}-{digits[:24]};Parent={digits[24:]};Sampled=0"

    def _observe(self, event: str, **fields: Any) -> None:
        if self._observer is not None:
            self._observer(event, "", {"function": self.config.name, **fields})
