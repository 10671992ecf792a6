"""The lab's own hands on a stack: prepare its queues and tables for a run, and read at the end what is there.

What the lab does to queues during a run is recorded like anybody's operations, under the process names
``lab-queue`` and ``lab-dead-letters``.
"""

from __future__ import annotations

import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, TypeVar

from scenarios.errors import UnsuitableError
from scenarios.history import LAB
from scenarios.history.events import REMOVER, SWEEPER
from scenarios.local.deletion import Deletion
from scenarios.local.foreign_queue import MARGIN, Counts, ForeignQueue, long_poll
from scenarios.local.http_reader import CONTRACT, BreaksContractError, counted
from scenarios.local.move_task import MoveTask
from scenarios.model import DeliveryRates
from services.batches import MAX_ENTRIES
from services.faults import FaultPlan
from services.history import Recorder, Sink
from services.operations import Delete, ListObjects, Message, Operation, OperationFailed, Receive, RemoveObject
from services.references import object_key

if TYPE_CHECKING:
    from infra.stack.stacks import ScenarioResources, Stack
    from services.drivers.base import Driver

Result = TypeVar("Result")

#: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchWriteItem.html
MAX_BATCH_WRITE = 25
#: Seconds to wait for the embedded endpoint's own routes.
ROUTE_TIMEOUT = 5
#: Seconds in which the tables and the bucket are empty, whatever they hold.
CLEAR_DEADLINE = 120.0
#: Seconds beyond the queue's own timeout for which messages in flight are waited for at the end of a run.
LEFT_DEADLINE = 30.0

_NOT_REACHED = {"EndpointConnectionError", "ConnectTimeoutError", "ConnectionClosedError", "ReadTimeoutError"}
_NO_QUEUE = {"AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist"}


class StackResources:
    """One scenario's queues and tables on a stack.

    Args:
        sink: where the lab's operations on the queues are recorded.
        clock: monotonic seconds.

    Attributes:
        deletion: deletes them for good, until the run is over.
    """

    def __init__(
        self, stack: Stack, resources: ScenarioResources, sink: Sink, clock: Callable[[], float] = time.monotonic
    ) -> None:
        from services.drivers.aws import AwsDriver  # noqa: PLC0415 - boto3, which a bad option need not wait for
        from services.drivers.queue import Queue  # noqa: PLC0415 - likewise
        from services.drivers.recorded import RealFaults, RecordedDriver  # noqa: PLC0415 - likewise

        self._stack = stack
        self._resources = resources
        self._clock = clock
        self._leased: list[str] = []
        self._sqs, self._dynamodb = (stack.clients.get(service, stack.region) for service in ("sqs", "dynamodb"))

        from services.drivers.payloads import Payloads  # noqa: PLC0415 - likewise

        payloads = None
        if resources.bucket:
            payloads = Payloads(stack.clients.get("s3", stack.region), resources.bucket)

        def driver(process: str, url: str) -> RecordedDriver:
            queue = Queue(self._sqs, url)
            recorder = Recorder(sink, process, clock, queue.name)
            return RecordedDriver(AwsDriver(queue, payloads=payloads), recorder, FaultPlan(), RealFaults(time.sleep))

        self._queue = driver(f"{LAB}-queue", resources.queue_url)
        self._dead_letters = driver(f"{LAB}-dead-letters", resources.dead_letter_queue_url)
        self._foreign, self._foreign_dead_letters = (
            ForeignQueue(self._ask, self._sqs, url, clock=clock)
            for url in (resources.queue_url, resources.dead_letter_queue_url)
        )
        self.deletion = Deletion(self._ask, self._sqs, self._dynamodb, resources, self._free_name)
        self._remover, self._sweeper = (driver(process, resources.queue_url) for process in (REMOVER, SWEEPER))

    @property
    def embedded(self) -> bool:
        """Whether the endpoint is ours: it records its own side, and can be reset and told how to deliver."""
        return self._stack.endpoint_history is not None

    def speed(self) -> float:
        """Return how many of the lab's seconds a real one is.

        The embedded endpoint says how fast its clock runs. Elsewhere a stack whose timeouts are stretched makes each of
        the lab's seconds last as much longer.
        """
        if not self.embedded:
            return 1 / self._stack.timeout_scale
        from infra.stack.endpoint import speed_of  # noqa: PLC0415 - infra, as above

        return speed_of(str(self._stack.endpoint_url))

    # --- before a run ------------------------------------------------------------------------------------------------

    def check(self, *, fifo: bool, bucket: bool = False) -> None:
        """Make sure that queues, tables and bucket are there, of the type that the scenario needs, and as promised.

        Raises:
            UnsuitableError: something is not there, of another type, or was changed since.
        """
        told: dict[str, Mapping[str, str]] = {}
        for url in (self._resources.queue_url, self._resources.dead_letter_queue_url):
            answer = self._ask(self._sqs.get_queue_attributes, QueueUrl=url, AttributeNames=["All"])
            told[url] = answer.get("Attributes", {})
            if url.endswith(".fifo") != fifo:
                wanted, found = ("FIFO", "standard") if fifo else ("standard", "FIFO")
                raise UnsuitableError(
                    f"The scenario needs a {wanted} queue, and {url} is a {found} one; correct the stack (`invoke up`)."
                )
        self._compare(told[self._resources.queue_url])
        for table in (self._resources.status_table, self._resources.side_effects_table):
            self._ask(self._dynamodb.describe_table, TableName=table)
        if bucket and not self._resources.bucket:
            raise UnsuitableError(
                f"The scenario needs a bucket, and stack {self._stack.name} has none for it; `invoke up` makes it."
            )
        if bucket:
            self.payload_keys()

    def _compare(self, attributes: Mapping[str, str]) -> None:
        """Refuse a queue that was changed: what a scenario waits for, and what a verdict says, rest on it."""
        from infra.stack.expected_attributes import actual_attributes, differences, expected_attributes  # noqa: PLC0415 - infra, as above

        found = list(differences(expected_attributes(self._resources), actual_attributes(attributes)))
        if found:
            name, expected, actual = found[0]
            others = f" (and {', '.join(other for other, _, _ in found[1:])} too)" if found[1:] else ""
            raise UnsuitableError(
                f"{name} of the queue {self._resources.queue_name} is {actual}, and the stack {self._stack.name} "
                f"promises {expected}{others}; `invoke refresh`, then `invoke up`, makes it as described again."
            )

    def reset(self, seed: int, delivery: DeliveryRates, *, fresh: bool, purge_seconds: float = 0.0) -> None:
        """Forget what earlier runs left: messages in both queues, items in both tables.

        How the embedded endpoint's queues deliver is the run's until :meth:`give_back`, or until this process ends.

        Args:
            seed: what the embedded endpoint draws its chances from.
            delivery: how the queue under study shall deliver, where it can be told.
            fresh: the stack was made for this run, so nothing can be left in it.
            purge_seconds: within how many seconds a purge shall be complete, where it can be told.

        Raises:
            UnsuitableError: another consumer or producer uses a queue, or not all could be removed in time.
        """
        if self.embedded:
            calm = DeliveryRates(0.0, 0.0, 0.0)
            history = self._stack.endpoint_history
            if history is not None and not history.is_file():
                raise UnsuitableError(
                    f"The endpoint's own history, {history}, is gone, so nothing can be judged by it; "
                    f"begin anew with `invoke down --stack {self._stack.name}` and `invoke up`."
                )
            for queue, rates in (
                (self._resources.queue_name, calm if self._resources.fifo else delivery),
                (self._resources.dead_letter_queue_name, calm),
            ):
                self._leased.append(queue)
                if self._reset_route(queue, seed, rates, purge_seconds):
                    raise UnsuitableError(
                        f"Another consumer is receiving from the queue {queue}, and would take the run's messages; "
                        "end that consumer first, or let the run have a stack of its own."
                    )
        if not fresh:
            self._clear_all()

    def give_back(self) -> None:
        """Let the embedded endpoint's queues deliver as before the run; safe at any time, more than once."""
        with suppress(UnsuitableError):  # an endpoint that is gone has nothing to make again
            self.deletion.restore()
        while self._leased:
            queue = self._leased.pop()
            with suppress(UnsuitableError):  # an endpoint that is gone has nothing to give back
                self._post(queue, "give-back", {"owner": os.getpid()})

    def _clear_all(self) -> None:
        """Empty what the embedded endpoint's own route does not, of what is there now."""
        if not self.embedded:
            self._foreign.empty()
            self._foreign_dead_letters.empty(trusts_counts=True)
        end = self._clock() + CLEAR_DEADLINE
        for table in (self._resources.status_table, self._resources.side_effects_table):
            self._clear(table, end)
        if self._resources.bucket:
            for key in self.payload_keys():
                self._check_time(end, f"bucket {self._resources.bucket}")
                self._perform(self._sweeper.inner, RemoveObject(key))

    def _check_time(self, end: float, what: str) -> None:
        if self._clock() > end:
            raise UnsuitableError(
                f"The {what} was not empty within {CLEAR_DEADLINE:g} s; empty it, or let the run have a stack of its "
                "own."
            )

    def _reset_route(self, queue: str, seed: int, delivery: DeliveryRates, purge_seconds: float) -> int:
        """Reset a queue of the embedded endpoint, unless receives wait there; return how many do."""
        # The worst that SQS may do with an old receipt handle: the delete succeeds, and the message stays.
        rates = {**asdict(delivery), "stale_delete": 1.0}
        asked = {"seed": seed, "delivery": rates, "purge": purge_seconds, "owner": os.getpid()}
        return int(self._post(queue, "reset", asked)["waiting"])

    def _free_name(self, queue: str) -> None:
        self._post(queue, "free-name", {})

    def _post(self, queue: str, route: str, document: Mapping[str, Any]) -> Mapping[str, Any]:
        """Ask a queue's route of the embedded endpoint."""
        url = f"{self._stack.endpoint_url}/_localaws/queues/{queue}/{route}"
        body = json.dumps(document).encode()
        request = urllib.request.Request(url, data=body, method="POST")  # noqa: S310 - a stack's own endpoint
        try:
            # No proxy has a way to this machine's own loopback.
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            with opener.open(request, timeout=ROUTE_TIMEOUT) as answer:
                answered: Mapping[str, Any] = json.loads(answer.read())
                return answered
        except urllib.error.HTTPError as error:
            with error:
                said = error.read().decode(errors="replace").strip()
            raise UnsuitableError(
                f"The queue {queue} could not be reset: {said or error}; see `invoke status`."
            ) from None
        except OSError as error:
            reason = getattr(error, "reason", error)
            raise UnsuitableError(
                f"Nothing answers at {self._stack.endpoint_url} ({reason}); start it again with `invoke up`."
            ) from None

    def _clear(self, table: str, end: float) -> None:
        keys = [{"message_id": item["message_id"]} for item in self._scan(table, ProjectionExpression="message_id")]
        for first in range(0, len(keys), MAX_BATCH_WRITE):
            batch = keys[first : first + MAX_BATCH_WRITE]
            requests = {table: [{"DeleteRequest": {"Key": key}} for key in batch]}
            while requests:
                self._check_time(end, f"table {table}")
                requests = self._ask(self._dynamodb.batch_write_item, RequestItems=requests).get("UnprocessedItems")

    # --- during and after it -----------------------------------------------------------------------------------------

    @property
    def quiet(self) -> float:
        """Real seconds after which whatever was in flight in the queue under study has come back."""
        return self._foreign.quiet

    def counts(self) -> Counts:
        """Return how many messages the queue under study says it has, about."""
        return self._foreign.counts()

    def take_dead_letters(self, known: Callable[[Message], bool]) -> tuple[str, ...]:
        """Receive all that is in the dead-letter queue, and delete it there; return the MessageIds.

        Args:
            known: tells whether a message is the run's own.

        Raises:
            UnsuitableError: one is not; it stays.
        """
        return self._take_all(self._dead_letters, self._foreign_dead_letters, 0.0 if self.embedded else MARGIN, known)

    def take_what_is_left(self, known: Callable[[Message], bool]) -> tuple[tuple[str, ...], int]:
        """Receive all that is in the queue under study, also what is invisible now, and delete it there.

        Returns:
            The MessageIds, and how many messages are in flight nevertheless: for longer than the queue's own timeout.

        Raises:
            UnsuitableError: one is not the run's own; it stays.
        """
        taken = self._take_all(self._queue, self._foreign, self._foreign.quiet, known)
        held = self._foreign.wait_until_nothing_is_in_flight(LEFT_DEADLINE)
        # What came back meanwhile was in flight for longer than the queue's own timeout.
        taken += self._take_all(self._queue, self._foreign, MARGIN, known) if self._foreign.counts().total else ()
        return taken, held

    def _take_all(
        self, driver: Any, queue: ForeignQueue, quiet: float, known: Callable[[Message], bool]
    ) -> tuple[str, ...]:
        """Receive and delete until nothing has come for some seconds; a single receive where these are 0."""
        taken: list[str] = []
        quiet_since = self._clock()
        try:
            while True:
                left = quiet_since + quiet - self._clock()
                messages: tuple[Message, ...] = driver.perform(Receive(MAX_ENTRIES, long_poll(left) if quiet else 0))
                if not messages and self._clock() >= quiet_since + quiet:
                    return tuple(taken)
                if not messages:
                    continue
                if not self.embedded:
                    _refuse_unknown(queue, messages, known)
                taken += [message.message_id for message in messages]
                # On a FIFO queue the rest of a group is not handed out while these are in flight.
                driver.perform(Delete(messages))
                quiet_since = self._clock()
        except OperationFailed as error:
            raise self._unsuitable(error) from error

    def start_redrive(self) -> MoveTask:
        """Start to move what is in the dead-letter queue back to where it came from.

        Raises:
            UnsuitableError: the endpoint has no message move tasks.
        """
        try:
            return MoveTask(self._ask, self._sqs, self._resources.dead_letter_queue_url)
        except UnsuitableError as error:
            raise UnsuitableError(f"No dead letter can be moved back by a message move task: {error}") from error

    def executions(self) -> dict[str, int]:
        """Return the ledger: how often each key's side effect was done."""
        return self._counts("executions")

    def versions(self) -> dict[str, int]:
        """Return the version that each entity's state has, where messages are updates."""
        from services.drivers.store import STATE_PREFIX  # noqa: PLC0415 - botocore, as above

        return {key.removeprefix(STATE_PREFIX): version for key, version in self._counts("version").items()}

    def _counts(self, attribute: str) -> dict[str, int]:
        """Return an attribute of each item of the ledger that has it.

        Raises:
            UnsuitableError: one is no count; a process wrote it by another way than the lab's own operations.
        """
        counts = {}
        table = self._resources.side_effects_table
        for item in self._scan(table, ConsistentRead=True):
            key = item["message_id"]["S"]
            if attribute not in item:
                continue
            try:
                counts[key] = counted(item[attribute])
            except BreaksContractError:
                raise UnsuitableError(
                    f"The table {table} has {attribute} {item[attribute]} for {key}, which is no count, so nothing can "
                    f"be judged by it; {CONTRACT} says what a consumer may do there."
                ) from None
        return counts

    # --- payloads ----------------------------------------------------------------------------------------------------

    def remove_payload(self, key: str) -> None:
        """Take the payload out of the bucket that belongs to a message with this key."""
        self._perform(self._remover, RemoveObject(object_key(key)))

    def sweep_payloads(self) -> tuple[str, ...]:
        """Remove every object, into the history; return the keys."""
        keys: tuple[str, ...] = self._perform(self._sweeper, ListObjects())
        for key in keys:
            self._perform(self._sweeper, RemoveObject(key))
        return keys

    def payload_keys(self) -> tuple[str, ...]:
        """Return the keys of all objects."""
        keys: tuple[str, ...] = self._perform(self._sweeper.inner, ListObjects())
        return keys

    def _perform(self, driver: Driver, operation: Operation) -> Any:
        try:
            return driver.perform(operation)
        except OperationFailed as error:
            raise self._unsuitable(error) from error

    def _scan(self, table: str, **options: Any) -> Iterator[dict[str, Any]]:
        start: dict[str, Any] = {}
        while True:
            answer = self._ask(self._dynamodb.scan, TableName=table, **options, **start)
            yield from answer["Items"]
            if "LastEvaluatedKey" not in answer:
                return
            start = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}

    # --- errors ------------------------------------------------------------------------------------------------------

    def _ask(self, method: Callable[..., Result], **arguments: Any) -> Result:
        """Make a call whose failure ends the run with a sentence."""
        from services.drivers.aws_errors import as_operation_failed  # noqa: PLC0415 - botocore, likewise

        try:
            return method(**arguments)
        except Exception as error:
            raise self._unsuitable(as_operation_failed(error), arguments) from error

    def _unsuitable(self, error: OperationFailed, arguments: dict[str, Any] | None = None) -> UnsuitableError:
        named = arguments or {}
        where = self._stack.endpoint_url or f"AWS in {self._stack.region}"
        if error.code in _NOT_REACHED:
            return UnsuitableError(f"Nothing answers at {where}; start it again with `invoke up`.")
        if error.code in _NO_QUEUE:
            missing = named.get("QueueUrl", self._resources.queue_url)
            return UnsuitableError(f"There is no queue {missing}; `invoke refresh`, then `invoke up`, makes it again.")
        if error.code == "NoSuchBucket":
            missing = self._resources.bucket
            return UnsuitableError(f"There is no bucket {missing}; `invoke refresh`, then `invoke up`, makes it again.")
        if error.code == "ResourceNotFoundException":
            missing = named.get("TableName", "that the scenario needs")
            return UnsuitableError(f"There is no table {missing}; `invoke refresh`, then `invoke up`, makes it again.")
        return UnsuitableError(f"{where} refused: {' '.join(str(error).split())}.")


def _refuse_unknown(queue: ForeignQueue, messages: Sequence[Message], known: Callable[[Message], bool]) -> None:
    """Refuse a queue that holds another producer's message, and give all back."""
    others = [message for message in messages if not known(message)]
    if others:
        queue.give_back([message.receipt_handle for message in messages])
        raise UnsuitableError(
            f"The queue {queue.name} holds the message {others[0].message_id}, which no process of this run sent, so "
            "nothing can be judged; end the other producer first, or let the run have a stack of its own."
        )
