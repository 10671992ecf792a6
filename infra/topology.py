"""Which queue each scenario needs, as data: what the Pulumi program makes resources of."""

from dataclasses import dataclass

from infra.errors import InfraError

# What all queues have: SQS's own defaults, but for the size, which is that of queues from before August 2025.
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html
DELAY = 0
RETENTION = 4 * 24 * 60 * 60
MAX_MESSAGE_SIZE = 256 * 1024


@dataclass(frozen=True, slots=True)
class ScenarioTopology:
    """The queue of one scenario; ``None`` stands for the configured default.

    Attributes:
        name: The scenario's name; its resources carry it.
        fifo: Whether queue and dead-letter queue are FIFO queues.
        visibility_timeout: Seconds for which a received message stays invisible.
        max_receive_count: Receives after which the next one moves a message to the dead-letter queue.
        bucket: Whether it has a bucket for what is too large for a message.
        why: The reason for what differs from the defaults.
    """

    name: str
    fifo: bool = False
    visibility_timeout: int | None = None
    max_receive_count: int | None = None
    why: str = "the defaults do"
    bucket: bool = False


TOPOLOGY: tuple[ScenarioTopology, ...] = (
    ScenarioTopology("happy"),
    ScenarioTopology(
        "crash",
        visibility_timeout=2,
        max_receive_count=5,
        why="a crash costs a receive, and a duplicate delivery one more; "
        "the short timeout keeps the wait for the redelivery short",
    ),
    ScenarioTopology(
        "duplicates",
        visibility_timeout=1,
        max_receive_count=10,
        why="work must outlive it; each redelivery while the first is at work costs a receive",
    ),
    ScenarioTopology(
        "poison",
        visibility_timeout=1,
        why="poison has to time out max-receive-count times before it is dead-lettered",
    ),
    ScenarioTopology(
        "fifo-order",
        fifo=True,
        visibility_timeout=1,
        max_receive_count=5,
        why="the failed message blocks its group until it is visible again",
    ),
    ScenarioTopology(
        "head-given-back",
        fifo=True,
        visibility_timeout=10,
        max_receive_count=10,
        why="the first consumer holds its batch while one message takes long; what is given back costs a receive",
    ),
    ScenarioTopology(
        "side-effects",
        visibility_timeout=1,
        max_receive_count=5,
        why="as for crash: each death costs a receive, and the short timeout keeps the wait for the redelivery short",
    ),
    ScenarioTopology(
        "business-idempotency",
        visibility_timeout=2,
        max_receive_count=10,
        why="a message whose order is being paid by another is left, and comes again",
    ),
    ScenarioTopology(
        "partial-batch",
        visibility_timeout=2,
        why="poison has to time out max-receive-count times before it is dead-lettered; "
        "a batch of ten has to be worked through within it on a busy machine, too",
    ),
    ScenarioTopology(
        "graceful-shutdown",
        visibility_timeout=6,
        max_receive_count=5,
        why="what is given back at once must come well before this timeout could have ended",
    ),
    ScenarioTopology(
        "heartbeat",
        visibility_timeout=2,
        max_receive_count=10,
        why="work must outlive it, and heartbeats must come in time on a busy machine",
    ),
    ScenarioTopology(
        "check-race",
        visibility_timeout=2,
        max_receive_count=10,
        why="a second delivery within one visibility timeout counts as a receive",
    ),
    ScenarioTopology(
        "visibility-too-short",
        visibility_timeout=15,
        max_receive_count=10,
        why="six times the longest work",
    ),
    ScenarioTopology(
        "retry-backoff",
        visibility_timeout=2,
        max_receive_count=4,
        why="an outage costs each message some receives, and it must have some left when the outside has recovered",
    ),
    ScenarioTopology(
        "large-payload",
        visibility_timeout=1,
        max_receive_count=3,
        bucket=True,
        why="a message whose payload is gone has to time out max-receive-count times before it is dead-lettered",
    ),
    ScenarioTopology(
        "out-of-order",
        visibility_timeout=1,
        max_receive_count=6,
        why="the update whose write failed comes again when this short timeout is over",
    ),
    ScenarioTopology(
        "dlq-redrive",
        visibility_timeout=1,
        max_receive_count=3,
        why="all has to time out max-receive-count times before it is dead-lettered; "
        "what comes back must have a receive to spare",
    ),
    ScenarioTopology(
        "backlog-drain",
        visibility_timeout=2,
        max_receive_count=10,
        why="several consumers drain at once, and each second delivery of a message counts as a receive",
    ),
    ScenarioTopology(
        "idempotency-key",
        visibility_timeout=1,
        max_receive_count=10,
        why="as for crash; and a consumer that stood still may come back and claim what another has just received",
    ),
    ScenarioTopology(
        "late-request",
        visibility_timeout=1,
        max_receive_count=10,
        why="the message of the call that timed out comes again, well before the late request arrives",
    ),
    ScenarioTopology(
        "partition",
        visibility_timeout=2,
        max_receive_count=10,
        why="the message of the consumer that is cut off comes again while its claim is alive, and once it has ended",
    ),
    ScenarioTopology(
        "saga",
        visibility_timeout=1,
        max_receive_count=10,
        why="an order that is undone by several coordinators, one after the other, has come to each of them",
    ),
    ScenarioTopology(
        "schema-evolution",
        visibility_timeout=1,
        max_receive_count=3,
        why="a message from the future has to time out max-receive-count times before it is dead-lettered; "
        "one receive more than the default is for a consumer that is asked to end in between",
    ),
    ScenarioTopology(
        "noisy-neighbour",
        visibility_timeout=10,
        max_receive_count=5,
        why="a batch of ten is worked through well within it; a message that a crash cost its turn comes again",
    ),
    ScenarioTopology(
        "purge-timing",
        visibility_timeout=60,
        max_receive_count=5,
        why="its clock runs ten times as fast as the consumer works",
    ),
    ScenarioTopology(
        "outbox",
        visibility_timeout=1,
        max_receive_count=10,
        why="a second copy of a message may find the first one claimed, and that costs it a receive",
    ),
    ScenarioTopology(
        "backpressure",
        visibility_timeout=20,
        max_receive_count=5,
        why="five times the work; a crash costs a message so much of the time that it may be in the queue",
    ),
    ScenarioTopology(
        "lambda-partial-response",
        visibility_timeout=2,
        why="as for partial-batch: poison has to time out, and a batch has to be worked through within it",
    ),
    ScenarioTopology(
        "lambda-timeout",
        visibility_timeout=2,
        max_receive_count=10,
        why="twice the function's timeout; each death at the timeout costs a receive",
    ),
    ScenarioTopology(
        "lambda-malformed-response",
        visibility_timeout=2,
        why="as for lambda-partial-response",
    ),
    ScenarioTopology(
        "lambda-throttled",
        visibility_timeout=2,
        why="some times the work of a message; a batch that waits in vain loses a receive each time",
    ),
    ScenarioTopology(
        "lambda-filter",
        visibility_timeout=3,
        max_receive_count=5,
        why="as long as AWS's default function timeout",
    ),
    ScenarioTopology(
        "lambda-fifo",
        fifo=True,
        visibility_timeout=2,
        max_receive_count=5,
        why="the failed message and the rest of its group come again when this short timeout is over",
    ),
)

SCENARIO_NAMES: tuple[str, ...] = tuple(scenario.name for scenario in TOPOLOGY)


def topology_of(name: str) -> ScenarioTopology:
    """Return the queue of a scenario.

    Raises:
        InfraError: the topology has no row of that name.
    """
    for row in TOPOLOGY:
        if row.name == name:
            return row
    raise InfraError(f"The scenario {name} has no row in infra/topology.py; add one, so that it gets a queue.")
