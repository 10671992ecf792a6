"""The catalogue: which mutants there are, where each is hunted, and how it must be found out."""

from __future__ import annotations

from dataclasses import dataclass

from scenarios.catalog import find_scenario
from scenarios.catalog.fifo_order.naive import GoesOnAfterFailure
from scenarios.catalog.graceful_shutdown.naive import DropsWhatItHolds
from scenarios.catalog.happy.naive import WithoutGuard
from scenarios.catalog.poison.naive import DeletesRejected
from scenarios.mutants import consumers, elusive, keys, others, workloads
from scenarios.mutants.workloads import Workload
from scenarios.simulation.run import queue_of
from scenarios.simulation.tables import TableModel
from services.consumer.consumer import Consumer
from services.producer.producer import Producer


@dataclass(frozen=True, slots=True)
class Mutant:
    """A small change that breaks a promise.

    Attributes:
        change: what is different, in a few words.
        workload: where it is hunted; a scenario, where only that asks for the pattern that it breaks.
        breaks: the invariants of which it must violate one.
        also: invariants that the same change may violate beside them; a violation of any other is a false one.
    """

    name: str
    change: str
    workload: Workload
    breaks: frozenset[str]
    also: frozenset[str] = frozenset()
    consumer: type[Consumer] = Consumer
    producer: type[Producer] = Producer
    tables: type[TableModel] = TableModel


_LOST = "lost"
_TWICE = "duplicated-side-effect"
_DEAD = "wrongly-dead-lettered"
_STUCK = "in-flight-at-end"
_UNREQUESTED = "unrequested-side-effect"


def _consumer(
    change: str, broken: type[Consumer], workload: Workload, *breaks: str, also: tuple[str, ...] = ()
) -> Mutant:
    return Mutant(_name(broken), change, workload, frozenset(breaks), frozenset(also), consumer=broken)


def _tables(change: str, broken: type[TableModel], workload: Workload, *breaks: str) -> Mutant:
    return Mutant(_name(broken), change, workload, frozenset(breaks), tables=broken)


def _name(broken: type[object]) -> str:
    words = "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in broken.__name__)
    return words.strip().replace(" ", "-")


def _story(name: str) -> Workload:
    scenario = find_scenario(name)
    return Workload(scenario, queue_of(scenario))


_ORDERS, _KEYS, _ODD = workloads.ORDERS, workloads.BUSINESS_KEYS, workloads.ODD_KEYS
_LONG, _GROUPS = workloads.LONG_WORK, workloads.GROUPS
_ZOMBIES = workloads.ZOMBIES

_OBVIOUS: tuple[Mutant, ...] = (
    _consumer("no guard at all", WithoutGuard, _ORDERS, _TWICE),
    _consumer("poison is acknowledged", DeletesRejected, _ORDERS, "poison-acknowledged"),
    _consumer("FIFO goes on after a failure", GoesOnAfterFailure, _GROUPS, "order-violated"),
    _consumer("no look into the ledger", consumers.NeverLooksUp, _ORDERS, _TWICE),
    _consumer("looks up before it claims", consumers.LooksUpBeforeItClaims, workloads.ZOMBIES, _TWICE),
    _consumer("complete before effect", consumers.CompletesBeforeItPerforms, _ORDERS, _LOST),
    _consumer(
        "delete before effect",
        consumers.DeletesBeforeItPerforms,
        _ORDERS,
        _LOST,
        also=("deleted-before-done", "refused-and-forgotten"),
    ),
    _consumer("delete on receive", consumers.DeletesOnReceive, _ORDERS, _LOST, also=("deleted-before-done",)),
    _consumer("fail open", consumers.FailsOpen, _ORDERS, _TWICE),
    _consumer("no lease expiry", consumers.ClaimsForEver, _ORDERS, _DEAD, _LOST, _STUCK),
    _consumer("lease ignored", consumers.IgnoresTheLease, _ORDERS, _TWICE),
    _consumer("what is held is deleted", consumers.DeletesWhatIsHeld, _ORDERS, _LOST, also=("deleted-before-done",)),
    _consumer("what failed is deleted", consumers.DeletesWhatFailed, _ORDERS, _LOST),
    _consumer("batch acknowledged as a whole", consumers.AcknowledgesTheWholeBatch, _ORDERS, _LOST),
    _consumer("Failed entries of a delete ignored", consumers.ForgetsRefusedDeletes, _ORDERS, "refused-and-forgotten"),
    _consumer("failed calls of a delete ignored", consumers.ForgetsFailedDeletes, _ORDERS, "refused-and-forgotten"),
    _consumer("stale receipt handle reused", consumers.ReusesTheFirstReceiptHandle, _ORDERS, _DEAD, _STUCK),
    _consumer("in-memory cache trusted too soon", consumers.RemembersBeforeItIsDone, _ORDERS, _LOST),
    _consumer("keyed by MessageId", consumers.KeyedByMessageId, _ORDERS, "unrequested-side-effect", _LOST),
    _consumer(
        "keyed by id, not business key", consumers.IgnoresTheBusinessKey, _KEYS, "unrequested-side-effect", _LOST
    ),
    _consumer("key in lower case", keys.LowersTheCase, _ODD, _LOST, _UNREQUESTED),
    _consumer("key in one unicode form", keys.NormalisesTheKey, _ODD, _LOST, _UNREQUESTED),
    _consumer("key cut to a prefix", keys.CutsTheKey, _ODD, _LOST, _UNREQUESTED),
    _consumer("key without white space", keys.StripsTheKey, _ODD, _LOST, _UNREQUESTED),
    _consumer("key read as a whole number", keys.ReadsTheKeyAsANumber, _ODD, _LOST, _UNREQUESTED),
    _consumer("key read as a float", keys.ReadsTheKeyAsAFloat, _ODD, _LOST, _UNREQUESTED),
    _consumer("key 0 taken for no key", keys.TakesZeroForNoKey, _ODD, _DEAD),
    _consumer("no key taken for a key", keys.TakesWhateverIsThere, _ODD, "poison-acknowledged", also=(_UNREQUESTED,)),
    _consumer("malformed bodies deleted", consumers.DeletesMalformed, _ORDERS, "poison-acknowledged"),
    _consumer("poison worked on", consumers.WorksOnPoison, _ORDERS, "poison-acknowledged"),
    _consumer("processed after SIGTERM", consumers.GoesOnAfterSigterm, _ORDERS, "begun-after-sigterm"),
    _consumer("in hand at SIGTERM, and dropped", DropsWhatItHolds, _ORDERS, "abandoned-at-shutdown"),
    _consumer("in hand at SIGTERM, and cancelled", consumers.BreaksOffWhatIsInHand, _ORDERS, "abandoned-at-shutdown"),
    _consumer("unclear side effect repeated", consumers.RepeatsAnUnclearSideEffect, _ORDERS, _TWICE),
    _consumer("an idempotency key for all calls", consumers.HasOneIdempotencyKey, _ORDERS, _DEAD),
    _consumer("no heartbeat", consumers.NeverBeats, _LONG, _TWICE, _DEAD),
    _consumer("heartbeat without the claim", consumers.ExtendsTheMessageAlone, _LONG, _TWICE),
    _consumer("heartbeat ends at SIGTERM", consumers.StopsBeatingAtSigterm, _LONG, _TWICE),
    _consumer("heartbeat gives up at a passing error", consumers.LetsGoAtAPassingError, _LONG, _TWICE),
    _consumer("heartbeat after the claim is lost", consumers.BeatsForWhatItLost, _LONG, _STUCK),
    _consumer(
        "fields read, and no version",
        consumers.ReadsByShape,
        _story("schema-evolution"),
        "misread",
        also=("poison-acknowledged",),
    ),
    _consumer(
        "newer read as known",
        consumers.TakesTheFutureForThePresent,
        _story("schema-evolution"),
        "misread",
        also=("poison-acknowledged",),
    ),
    _consumer("payload fetched before the look", consumers.FetchesBeforeItLooks, _story("large-payload"), _DEAD),
    _consumer(
        "one payload of a batch removed", consumers.RemovesTheFirst, _story("large-payload"), "payload-forgotten"
    ),
    _consumer("version read, then written", consumers.ReadsThenWrites, _story("out-of-order"), "stale-state"),
    _consumer("refused order tried again", consumers.NeverTurnsBack, _story("saga"), "partial-saga"),
    _consumer("looks for the last undo alone", consumers.LooksForTheLastUndo, _story("saga"), "partial-saga"),
    _consumer("undoes what was not done", consumers.UndoesWhatWasNotDone, _story("saga"), "partial-saga"),
    _consumer("heartbeat for the first of a batch alone", consumers.BeatsForTheFirstAlone, _LONG, _TWICE),
    _consumer("acts where it cannot ask for its claim", consumers.ActsWhereItCannotAsk, _story("partition"), _TWICE),
    _consumer("no question but the heartbeat's", consumers.TrustsItsHeartbeat, _story("partition"), _TWICE),
    Mutant(
        "forgets-refused-sends",
        "Failed entries of a send ignored",
        _ORDERS,
        frozenset({"refused-and-forgotten"}),
        producer=others.ForgetsRefusedSends,
    ),
    _tables("no fencing", others.WithoutFencing, workloads.ZOMBIES, _TWICE),
    _tables("claim not conditional", others.LooksThenWrites, _ORDERS, _TWICE),
    _tables("completed claims forgotten", others.ForgetsWhatIsComplete, _ORDERS, _TWICE),
)

#: Mutants that need a coincidence: what the search is measured by.
HARD: tuple[Mutant, ...] = (
    _consumer("a failed look-up taken as done", elusive.TakesAFailedLookUpAsDone, _ORDERS, _LOST),
    _consumer("a failed look-up taken as not done", elusive.TakesAFailedLookUpAsNotDone, _ORDERS, _TWICE),
    _consumer("ledger asked every second time", elusive.LooksUpEverySecondTime, _ORDERS, _TWICE),
    _consumer("the ledger's no remembered", elusive.RemembersWhatTheLedgerLacked, _ORDERS, _TWICE),
    _consumer("a server error taken as done", elusive.TakesAServerErrorAsDone, _ORDERS, _LOST),
    _consumer("short lease", elusive.HasAShortLease, _ZOMBIES, _TWICE),
    _consumer("lease without margin", elusive.LeavesNoMargin, _story("poison"), _DEAD),
    _consumer("lease by the wall clock", elusive.TakesALeaseThatIsNearlyOver, _ORDERS, _TWICE),
    _consumer("claim released by another", elusive.ReleasesAnothersClaim, _ORDERS, _TWICE),
    _consumer(
        "held for the third time, and deleted",
        elusive.GivesUpWhatIsHeld,
        _ORDERS,
        _LOST,
        also=("deleted-before-done",),
    ),
    _tables("attempts forgotten at a release", elusive.ForgetsAttempts, _ORDERS, _TWICE),
    _consumer("skipped by receive count", elusive.SkipsByReceiveCount, _ORDERS, _LOST, also=("deleted-before-done",)),
    _consumer("held, and given back in a hot loop", elusive.GivesBackAtOnce, _ORDERS, _DEAD),
    _consumer(
        "deleted, then sent again", elusive.DeletesBeforeItSendsAgain, _ORDERS, _LOST, also=("deleted-before-done",)
    ),
    _consumer("keys that collide", elusive.HasKeysThatCollide, _ORDERS, _LOST, _UNREQUESTED),
    _consumer(
        "wrong entries deleted again",
        elusive.DeletesTheWrongEntries,
        _ORDERS,
        "refused-and-forgotten",
        also=("poison-acknowledged",),
    ),
    _consumer("prefetched, and dropped at SIGTERM", elusive.PrefetchesAndForgets, _ORDERS, "abandoned-at-shutdown"),
    _consumer("stale prefetch", elusive.ActsOnAStalePrefetch, _story("poison"), _DEAD),
    _consumer("acknowledgements buffered", elusive.BuffersAcknowledgements, _ORDERS, "abandoned-at-shutdown"),
    _consumer("receive loop that dies", elusive.EndsAtAFailedReceive, _ORDERS, _STUCK),
    _consumer("circuit breaker that stays open", elusive.HasABreakerThatStaysOpen, _ORDERS, _STUCK, _DEAD),
    _consumer("FIFO goes on when its head is held", elusive.GoesOnWhenItsHeadIsHeld, _GROUPS, "order-violated"),
    _consumer("FIFO head given back", elusive.GivesBackTheHeadAndGoesOn, _GROUPS, "order-violated"),
    _consumer("heartbeat for the claim alone", elusive.ExtendsTheClaimAlone, workloads.FEW_RECEIVES, _DEAD),
    _consumer("heartbeat that beats once", elusive.BeatsOnce, _LONG, _TWICE, _DEAD),
    _consumer("done again after a failed Complete", elusive.DoesItAgainAfterAFailedComplete, _ORDERS, _TWICE),
    _consumer(
        "cannot be given back, and deleted",
        elusive.DeletesWhatItCannotGiveBack,
        _ORDERS,
        _LOST,
        also=("deleted-before-done", "poison-acknowledged"),
    ),
)

MUTANTS: tuple[Mutant, ...] = (*_OBVIOUS, *HARD)
