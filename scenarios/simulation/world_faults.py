"""The rules of the faults that come from the world around a process: what each costs, whether it fits, what it does.

The injector asks the rule of a kind where it has one (``RULES``). A rule judges whether the fault breaks an assumption
that the consumers declare, or the fault budget; then the fault waits.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from math import ceil, inf
from typing import TYPE_CHECKING, Any

from infra.localaws.sqs.fifo import FifoQueue
from infra.localaws.sqs.message import State
from scenarios.simulation.lasting_faults import LASTING_STEP, LastingFault, what_it_reaches
from scenarios.simulation.process import Steps
from scenarios.simulation.random_faults import BEYOND, SIZES, Kind
from services.batches import BATCHES
from services.consumer.assumptions import Assumption
from services.consumer.consumer import MAX_SKEW_PART
from services.injection import TIMEOUT
from services.operations import CallApi, CheckTables, Claim, Delete, DescribeQueue, OperationFailed, Receive, Send

if TYPE_CHECKING:
    from scenarios.simulation.fault_injector import FaultInjector, Strike

#: A freeze lasts this part of the visibility timeout, for each step of its size.
FREEZE_STEP = 0.25
#: By how many visibility timeouts a clock may be wrong where no consumer relies on it.
WRONG_CLOCK = 3.0
#: A visibility timeout is raised to this part of what it was.
RAISED = 1.5
#: In so many parts of the visibility timeout a clock that drifts is as wrong as it may be, for each step of its size.
DRIFT_STEP = 0.25
#: What is deleted for good, by size: the queue, the tables. Of any other size the fault does not strike.
DELETING_SIZES = (SIZES - 2, SIZES - 1)
#: Seconds until a caller whose reply is lost hears of a timeout.
GIVES_UP_AFTER = 0.08

_BEGINNING = (DescribeQueue, CheckTables)


class Rule(ABC):
    """How a kind of fault strikes.

    Attributes:
        comes_after: it strikes when its operation has taken effect.
    """

    comes_after = False

    def __init__(self, kind: Kind) -> None:
        self.kind = kind

    def fits(self, strike: Strike, injector: FaultInjector) -> bool:
        """Return whether it may strike an operation."""
        assumed = BEYOND.get(self.kind) in strike.world.assumes
        return not assumed and not isinstance(strike.operation, _BEGINNING) and self.applies(strike, injector)

    @abstractmethod
    def applies(self, strike: Strike, injector: FaultInjector) -> bool:
        """Return whether the operation and the fault budget allow it."""

    def spares(self, strike: Strike, result: Any) -> bool:
        """Return whether it must not strike after all, now that its operation's result is known."""
        return isinstance(strike.operation, Receive) and not result

    def lasts(self, strike: Strike) -> float:
        """Return for how many seconds it holds the scenario up, apart from a visibility timeout."""
        del strike
        return 0.0

    @abstractmethod
    def details(self, strike: Strike) -> dict[str, Any]:
        """Return what the history says of it besides its kind."""

    @abstractmethod
    def carry_out(self, strike: Strike, details: dict[str, Any]) -> Steps:
        """Let it happen."""


class _AtOnce(Rule):
    """A change of the world that takes no time."""

    def carry_out(self, strike: Strike, details: dict[str, Any]) -> Steps:
        self.change(strike, details)
        yield from ()

    @abstractmethod
    def change(self, strike: Strike, details: dict[str, Any]) -> None:
        """Change the world."""


class _Lasts(_AtOnce):
    """A fault that goes on; see ``lasting_faults``."""

    def __init__(self, kind: Kind, *, for_all: bool) -> None:
        super().__init__(kind)
        self._for_all = for_all

    def applies(self, strike: Strike, injector: FaultInjector) -> bool:
        del injector  # each single fault asks the budget itself
        return strike.process.is_consumer and not strike.world.lasting and not strike.process.lasting

    def lasts(self, strike: Strike) -> float:
        return strike.step(LASTING_STEP) + strike.world.info.visibility_timeout

    def details(self, strike: Strike) -> dict[str, Any]:
        return {"from": what_it_reaches(self.kind, strike.size), "seconds": strike.step(LASTING_STEP)}

    def change(self, strike: Strike, details: dict[str, Any]) -> None:
        until = strike.world.scheduler.now + details["seconds"]
        series = strike.world.lasting if self._for_all else strike.process.lasting
        series.begin(LastingFault(self.kind, strike.size, until))


class _DeletedForGood(_AtOnce):
    """The queue, or the tables, are deleted, and nobody brings them back. Nothing comes to an end then.

    So it is rare: two sizes of all strike. It waits until all is sent, since a producer would have nowhere to send to.
    It keeps away from scenarios that promise a time, and from consumers that need no receive to spare: none of theirs
    is excused.
    """

    def applies(self, strike: Strike, injector: FaultInjector) -> bool:
        world = strike.world
        at_rest = not world.lasting and not injector.is_sending()
        excused = Assumption.SPARE_RECEIVES in world.assumes and world.delay_budget == inf
        return strike.process.is_consumer and strike.size in DELETING_SIZES and excused and at_rest

    def details(self, strike: Strike) -> dict[str, Any]:
        return {"from": what_it_reaches(self.kind, strike.size)}

    def change(self, strike: Strike, details: dict[str, Any]) -> None:
        del details
        world = strike.world
        world.lasting.begin(LastingFault(self.kind, strike.size, inf))
        world.deleted_at = world.scheduler.now


class _PartialReplyLost(Rule):
    """Some entries of a batch are done, and its caller hears of none; ``services.injection`` does the rest."""

    def applies(self, strike: Strike, injector: FaultInjector) -> bool:
        operation = strike.operation
        if not strike.process.is_batch(operation) or injector.needs_its_beat(strike):
            return False
        if isinstance(operation, Send) and not strike.second_copies_are_harmless:
            return False
        return injector.spares_nobody_in_need(strike)

    def details(self, strike: Strike) -> dict[str, Any]:
        operation = strike.operation
        assert isinstance(operation, BATCHES)  # noqa: S101 - ``applies`` has seen to it
        count = len(operation.messages)
        refused = sorted({(strike.size + at) % count for at in range(1 + strike.size % count)})
        return {"entries": refused, "code": TIMEOUT}

    def carry_out(self, strike: Strike, details: dict[str, Any]) -> Steps:
        del details
        yield strike.world.scheduler.now + GIVES_UP_AFTER


class _Freeze(Rule):
    """The process stands still, and its monotonic clock with it, as when a virtual machine is suspended."""

    comes_after = False

    def applies(self, strike: Strike, injector: FaultInjector) -> bool:
        seconds = strike.step(FREEZE_STEP)
        if injector.affordable_time(strike, seconds) < seconds:
            return False
        # Its next claim is made by a clock that is late, and outlasts its delivery by as much.
        timeout = strike.world.info.visibility_timeout
        return injector.spares_nobody_in_need(strike, ceil(seconds / timeout) * injector.deliveries(strike))

    def lasts(self, strike: Strike) -> float:
        return 2 * strike.step(FREEZE_STEP)

    def details(self, strike: Strike) -> dict[str, Any]:
        return {"seconds": strike.step(FREEZE_STEP)}

    def carry_out(self, strike: Strike, details: dict[str, Any]) -> Steps:
        process, world, seconds = strike.process, strike.world, details["seconds"]
        world.claims_late_by = max(world.claims_late_by, seconds)
        process.freeze(seconds)
        yield process.paused_until


class _Clock(_AtOnce):
    """What is wrong with a wall clock from now on."""

    def applies(self, strike: Strike, injector: FaultInjector) -> bool:
        del injector
        return strike.process.is_consumer

    def wrong_by(self, strike: Strike) -> float:
        """Return the clock's error in the end, in seconds: ahead where the size is even, behind where it is odd."""
        part = (strike.size // 2 + 1) / (SIZES // 2)
        largest = MAX_SKEW_PART if Assumption.CLOSE_CLOCKS in strike.world.assumes else WRONG_CLOCK
        return (1 - 2 * (strike.size % 2)) * part * largest * strike.world.info.visibility_timeout


class _ClockJump(_Clock):
    """The wall clock is set: forwards or backwards, at once."""

    def details(self, strike: Strike) -> dict[str, Any]:
        return {"seconds": round(self.wrong_by(strike), 3)}

    def change(self, strike: Strike, details: dict[str, Any]) -> None:
        strike.process.set_clock(details["seconds"])


class _ClockDrift(_Clock):
    """The wall clock goes too fast or too slowly, until it is as wrong as it may be."""

    def details(self, strike: Strike) -> dict[str, Any]:
        within = (1 + strike.size) * DRIFT_STEP * strike.world.info.visibility_timeout
        return {"seconds": round(self.wrong_by(strike), 3), "within": round(within, 3)}

    def change(self, strike: Strike, details: dict[str, Any]) -> None:
        strike.process.let_clock_drift(details["seconds"], details["within"])


class _CopyAfterDelete(Rule):
    """A server of a standard queue missed the delete, and delivers the message once more."""

    comes_after = True

    def applies(self, strike: Strike, injector: FaultInjector) -> bool:
        again = injector.deliveries(strike)
        return isinstance(strike.operation, Delete) and injector.spares_nobody_in_need(strike, again)

    def spares(self, strike: Strike, result: Any) -> bool:
        return bool(result) or strike.world.held[strike.messages[0].message_id].state is not State.GONE

    def details(self, strike: Strike) -> dict[str, Any]:
        return {"message_id": strike.messages[0].message_id}

    def carry_out(self, strike: Strike, details: dict[str, Any]) -> Steps:
        strike.world.bring_back(details["message_id"])
        yield from ()


class _DeduplicationOver(Rule):
    """A send is done, its reply is lost, and the producer repeats it when its deduplication ids are forgotten."""

    comes_after = True

    def applies(self, strike: Strike, injector: FaultInjector) -> bool:
        del injector
        queue = strike.world.queue
        return (
            isinstance(queue, FifoQueue) and isinstance(strike.operation, Send) and strike.second_copies_have_receives
        )

    def details(self, strike: Strike) -> dict[str, Any]:
        del strike
        return {"code": TIMEOUT}

    def carry_out(self, strike: Strike, details: dict[str, Any]) -> Steps:
        queue = strike.world.queue
        assert isinstance(queue, FifoQueue)  # noqa: S101 - ``applies`` has seen to it
        queue.forget_deduplication()
        yield strike.world.scheduler.now + GIVES_UP_AFTER
        raise OperationFailed(details["code"], "the reply was lost", transient=True)


class _AttributeRaised(_AtOnce):
    """An operator gives consumers more time, or messages more receives. Once a history."""

    def applies(self, strike: Strike, injector: FaultInjector) -> bool:
        del injector
        return strike.process.is_consumer and not strike.world.attributes_changed

    def lasts(self, strike: Strike) -> float:
        info = strike.world.info
        return (RAISED - 1) * info.visibility_timeout * info.max_receive_count

    def details(self, strike: Strike) -> dict[str, Any]:
        info = strike.world.info
        if strike.size % 2:
            return {"attribute": "maxReceiveCount", "to": info.max_receive_count + strike.size}
        return {"attribute": "VisibilityTimeout", "to": ceil(RAISED * info.visibility_timeout)}

    def change(self, strike: Strike, details: dict[str, Any]) -> None:
        world = strike.world
        world.attributes_changed = True
        if details["attribute"] == "maxReceiveCount":
            target = world.model.arn(world.names.dead_letter_queue)
            policy = json.dumps({"deadLetterTargetArn": target, "maxReceiveCount": details["to"]})
            world.model.set_attributes(world.names.queue, {"RedrivePolicy": policy})
        else:
            world.model.set_attributes(world.names.queue, {"VisibilityTimeout": str(details["to"])})


class _AttributeLowered(_AttributeRaised):
    """An operator takes time, or receives, from what is in flight."""

    def details(self, strike: Strike) -> dict[str, Any]:
        if strike.size % 2:
            return {"attribute": "maxReceiveCount", "to": 1}
        return {"attribute": "VisibilityTimeout", "to": max(1, int(strike.world.info.visibility_timeout) // 2)}


class _UndoneExpiry(_AtOnce):
    """The retention of a message ends that waits in the queue."""

    def applies(self, strike: Strike, injector: FaultInjector) -> bool:
        del injector
        queue = strike.world.queue
        return isinstance(strike.operation, Receive) and queue.first_visible() is not None

    def details(self, strike: Strike) -> dict[str, Any]:
        waiting = strike.world.queue.first_visible()
        assert waiting is not None  # noqa: S101 - ``applies`` has seen to it
        return {"message_id": waiting.message_id}

    def change(self, strike: Strike, details: dict[str, Any]) -> None:
        strike.world.model.expire(strike.world.names.queue, details["message_id"])


class _RecordExpiry(_AtOnce):
    """A time to live removes the record of work that is done, at our own table or at the external system."""

    def applies(self, strike: Strike, injector: FaultInjector) -> bool:
        del injector
        tables, operation = strike.world.tables, strike.operation
        if isinstance(operation, Claim):
            record = tables.claims.get(operation.key)
            return record is not None and record.completed
        return isinstance(operation, CallApi) and operation.idempotency_key in tables.idempotency_keys

    def details(self, strike: Strike) -> dict[str, Any]:
        operation = strike.operation
        assert isinstance(operation, Claim | CallApi)  # noqa: S101 - ``applies`` has seen to it
        return {"key": operation.key if isinstance(operation, Claim) else operation.idempotency_key}

    def change(self, strike: Strike, details: dict[str, Any]) -> None:
        tables = strike.world.tables
        records: dict[str, Any] = tables.claims if isinstance(strike.operation, Claim) else tables.idempotency_keys
        del records[details["key"]]


RULES: dict[Kind, Rule] = {
    rule.kind: rule
    for rule in (
        _PartialReplyLost(Kind.PARTIAL_REPLY_LOST),
        _Lasts(Kind.PARTITION, for_all=False),
        _Lasts(Kind.EXPIRED_CREDENTIALS, for_all=False),
        _Lasts(Kind.THROTTLING, for_all=True),
        _Lasts(Kind.BROWN_OUT, for_all=True),
        _Lasts(Kind.MISSING_RESOURCE, for_all=True),
        _DeletedForGood(Kind.DELETED_RESOURCE),
        _Freeze(Kind.FREEZE),
        _ClockJump(Kind.CLOCK_JUMP),
        _ClockDrift(Kind.CLOCK_DRIFT),
        _CopyAfterDelete(Kind.COPY_AFTER_DELETE),
        _DeduplicationOver(Kind.DEDUPLICATION_OVER),
        _AttributeRaised(Kind.ATTRIBUTE_RAISED),
        _AttributeLowered(Kind.ATTRIBUTE_LOWERED),
        _UndoneExpiry(Kind.UNDONE_EXPIRY),
        _RecordExpiry(Kind.RECORD_EXPIRY),
    )
}
