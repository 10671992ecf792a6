"""The judge: from a scenario and a history to a verdict, and its JSON form.

    the wall clock was stepped meanwhile            inconclusive   exit 2
    an invariant is violated                        fail           exit 1
    none is, but a witness is missing               inconclusive   exit 2
    none is, but something was waited for in vain   inconclusive   exit 2
    none is, but a check was not judged, strictly   inconclusive   exit 2
    none is, but faults alone cost a good message   inconclusive   exit 2
    only what takes a pattern that is not declared  inconclusive   exit 2
    otherwise                                       pass           exit 0

Pure: it reads a history, not a file, and no clock. The simulated tier judges hundreds of histories a second with it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from scenarios.checks.clean_receives import acquitted, deleted_for_good
from scenarios.checks.costs import COSTS
from scenarios.checks.external_program import is_program, unseen
from scenarios.checks.invariants import DUPLICATED_SIDE_EFFECT, Invariant, Violation, recovered
from scenarios.checks.starvation import late_by_starvation
from scenarios.checks.witnesses import Evidence, Witness, duplicated_by_queue
from scenarios.history import History
from scenarios.model import Scenario
from scenarios.parameters import Parameters
from services.consumer.consumer import MAX_SKEW_PART

#: The version of verdict.json; it changes when a reader of the last one would misread the new one.
SCHEMA = 1
#: Seconds of the wall. A step of the wall clock below the one is noise; above the other no run is judged.
MIN_CLOCK_STEP, MAX_CLOCK_STEP = 0.01, 0.5


class Outcome(StrEnum):
    """What a run has shown."""

    PASS = "pass"  # noqa: S105 - a verdict, no password
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"

    @property
    def exit_code(self) -> int:
        """The process's exit code."""
        return {Outcome.PASS: 0, Outcome.FAIL: 1, Outcome.INCONCLUSIVE: 2}[self]


@dataclass(frozen=True, slots=True)
class Conditions:
    """Under what conditions a history came about.

    Attributes:
        tier: where it ran: ``sim``, ``local`` (the embedded endpoint), ``endpoint`` (another one) or ``aws``.
        endpoint: which endpoint that was, for people; empty in the simulation.
        consumer: what took the place of our consumer: a class as ``module:Class``, or a command line; empty for none.
        missed: what was waited for in vain, a sentence; empty for nothing.
        command: the one command that reproduces the run.
        speed: how many of the lab's seconds a real one was.
        strict: whether a check that cannot be judged makes a pass inconclusive.
        function: the consumer is a Lambda function, seen from outside.
        handler: the user's own handler, as its option has it; empty for none.
    """

    seed: int
    parameters: Parameters
    tier: str
    naive: bool = False
    consumer: str = ""
    missed: str = ""
    command: str = ""
    speed: float = 1.0
    strict: bool = False
    endpoint: str = ""
    function: bool = False
    handler: str = ""


class Excuse(NamedTuple):
    """A violation that convicts no consumer.

    Attributes:
        invariant: the name of what it violates.
        message_id: the message concerned; else a key, or the invariant.
        why: why it convicts nobody, a sentence.
    """

    invariant: str
    message_id: str
    why: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the judge found.

    Attributes:
        violations: by invariant; each that was judged has its entry, empty where it holds.
        evidence: by witness that was judged; None where it is missing.
        not_judged: by invariant or witness, the operations without which there is no telling: those of a program of
            somebody else's that cannot be seen from outside.
        undeclared: by invariant or witness, the pattern that it is about and which the consumer does not declare.
        unprotected: by invariant, how often it was violated by what the scenario stages and only that pattern survives.
        warnings: by invariant that is a matter of cost, what was wasted.
        excused: the violations that convict no consumer.
        recovered: how many messages came out although no producer knew of their send.
        queue_duplicates: the names of the messages that the queue delivered twice by itself, as it says; no consumer
            had a part in that, and each has to live with it.
        raised: the errors that the consumer's own code raised, each with its place and how often.
        clock_step: by how many seconds the wall clock was stepped during the run; 0 where it is no more than the
            patterns allow for. Leases compare wall clocks, so nothing that came of it convicts a consumer.
    """

    scenario: Scenario
    conditions: Conditions
    violations: Mapping[str, tuple[Violation, ...]]
    evidence: Mapping[str, Evidence | None]
    recovered: int
    not_judged: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    queue_duplicates: tuple[str, ...] = ()
    clock_step: float = 0.0
    undeclared: Mapping[str, str] = field(default_factory=dict)
    warnings: Mapping[str, tuple[Violation, ...]] = field(default_factory=dict)
    excused: tuple[Excuse, ...] = ()
    unprotected: Mapping[str, int] = field(default_factory=dict)
    raised: tuple[str, ...] = ()

    @property
    def broken_patterns(self) -> Mapping[str, str]:
        """By invariant that is violated, the pattern whose promise it is; nothing of what every consumer promises."""
        return {
            item.name: str(item.pattern)
            for item in self.invariants
            if item.pattern is not None and self.violations[item.name]
        }

    @property
    def remarks(self) -> tuple[str, ...]:
        """Sentences beside the violations: whose promises they break, and what the consumer itself raised."""
        patterns = [
            f"{name} is a promise of the pattern {pattern} alone, which this consumer declares: `follows` names "
            "the patterns. A class that says nothing declares all of them; `follows = frozenset()` declares none."
            for name, pattern in self.broken_patterns.items()
        ]
        violated = any(self.violations.values())
        return (*patterns, *(f"The consumer raised {each}." for each in self.raised if violated))

    @property
    def invariants(self) -> tuple[Invariant, ...]:
        """The invariants that were judged."""
        return tuple(item for item in self.scenario.invariants if item.name in self.violations)

    @property
    def witnesses(self) -> tuple[Witness, ...]:
        """The witnesses that were judged."""
        left_out = {*self.not_judged, *self.undeclared}
        return tuple(item for item in self.scenario.witnesses if item.name not in left_out)

    @property
    def outcome(self) -> Outcome:
        """The verdict in one word."""
        if self.clock_step:
            return Outcome.INCONCLUSIVE
        if any(self.violations.values()):
            return Outcome.FAIL
        unjudged = self.conditions.strict and self.not_judged
        # A naive twin that violates nothing did not meet the failure that it does not survive.
        unproved = self.missing or self.conditions.missed or unjudged or self.excused or self._asks_another_pattern
        return Outcome.INCONCLUSIVE if unproved or self.conditions.naive else Outcome.PASS

    @property
    def is_undeclared(self) -> bool:
        """Whether it is inconclusive for this alone: what the scenario shows is a pattern that is not declared."""
        other = self.clock_step or self.missing or self.conditions.missed or self.excused or self.conditions.naive
        unjudged = self.conditions.strict and self.not_judged
        return self.outcome is Outcome.INCONCLUSIVE and self._asks_another_pattern and not (other or unjudged)

    @property
    def _asks_another_pattern(self) -> bool:
        return bool(self.unprotected) or self.is_about_another_pattern

    @property
    def missing(self) -> tuple[str, ...]:
        """The names of the required witnesses without evidence."""
        return tuple(
            witness.name for witness in self.witnesses if witness.required and self.evidence[witness.name] is None
        )

    @property
    def is_about_another_pattern(self) -> bool:
        """Whether all that the scenario requires to be seen is of patterns which the consumer does not declare."""
        required = [item.name for item in self.scenario.witnesses if item.required]
        return bool(required) and all(name in self.undeclared for name in required)

    @property
    def twin_met(self) -> bool | None:
        """Whether a naive run showed the violation that its scenario names; None for a run that is not naive."""
        return bool(self.violations.get(self.scenario.naive_twin.violation)) if self.conditions.naive else None

    @property
    def reason(self) -> str:
        """Why, in one sentence."""
        return _reason(self)

    def as_json(self) -> dict[str, Any]:
        """Return what verdict.json holds."""
        twin = self.scenario.naive_twin
        conditions = self.conditions
        return {
            "schema": SCHEMA,
            "scenario": self.scenario.name,
            "seed": conditions.seed,
            "naive": conditions.naive,
            "tier": conditions.tier,
            "endpoint": conditions.endpoint or None,
            "consumer": conditions.consumer or None,
            "handler": conditions.handler or None,
            "parameters": asdict(conditions.parameters),
            "speed": conditions.speed,
            "verdict": str(self.outcome),
            "exit_code": self.outcome.exit_code,
            "reason": self.reason,
            "invariants": [
                {
                    "name": invariant.name,
                    "promise": invariant.promise,
                    "holds": not self.violations[invariant.name],
                    "violations": [_violation_as_json(item) for item in self.violations[invariant.name]],
                }
                for invariant in self.invariants
            ],
            "witnesses": [
                {
                    "name": witness.name,
                    "question": witness.question,
                    "required": witness.required,
                    "evidence": _evidence_as_json(self.evidence[witness.name]),
                }
                for witness in self.witnesses
            ],
            "not_judged": [{"name": name, "unseen": list(names)} for name, names in self.not_judged.items()],
            "undeclared": [{"name": name, "pattern": pattern} for name, pattern in self.undeclared.items()],
            "unprotected": dict(self.unprotected),
            "broken_patterns": dict(self.broken_patterns),
            "raised": list(self.raised),
            "warnings": [
                {"name": name, "violations": [_violation_as_json(item) for item in found]}
                for name, found in self.warnings.items()
            ],
            "excused": [item._asdict() for item in self.excused],
            "strict": conditions.strict,
            "queue_duplicates": list(self.queue_duplicates),
            "recovered": self.recovered,
            "clock_step_seconds": self.clock_step,
            "missed_deadline": conditions.missed or None,
            "naive_twin": {"without": twin.without, "violation": twin.violation, "met": self.twin_met},
            "command": conditions.command,
        }


def judge(scenario: Scenario, history: History, conditions: Conditions) -> Verdict:
    """Judge a history."""
    not_judged: dict[str, tuple[str, ...]] = {}
    if conditions.function or is_program(conditions.consumer):
        checks: tuple[Invariant | Witness, ...] = (*scenario.invariants, *scenario.witnesses)
        reads = {item.name: unseen(item.reads, function=conditions.function) for item in checks}
        not_judged = {name: missing for name, missing in reads.items() if missing}
    undeclared = {name: pattern for name, pattern in _undeclared(scenario, history).items() if name not in not_judged}
    asked = (*scenario.invariants, *COSTS)
    judged = [item for item in asked if item.name not in not_judged and item.name not in undeclared]
    found = {item: tuple(item.check(history)) for item in judged}
    excused = _excuse(found, history)
    unprotected = _unprotected(scenario, found, history)
    undeclared |= {name: str(scenario.relies_on[name]) for name in unprotected}
    return Verdict(
        scenario,
        conditions,
        {item.name: violations for item, violations in found.items() if not item.is_cost},
        {item.name: item.find(history) for item in scenario.witnesses if item.name not in {*not_judged, *undeclared}},
        len(recovered(history)),
        not_judged,
        tuple(dict.fromkeys(history.name(record["message_id"]) for record in duplicated_by_queue(history))),
        clock_step(history, conditions.speed),
        undeclared,
        {item.name: violations for item, violations in found.items() if item.is_cost and violations},
        excused,
        unprotected,
        raised_in(history),
    )


def raised_in(history: History) -> tuple[str, ...]:
    """Return the errors that a consumer's own code raised, the most frequent first, each with its place."""
    steps = [(record["error"], record["place"]) for record in history.events("failed") if record.get("place")]
    ends = [
        (record["why"], record["place"]) for record in history.events("exited") if "why" in record and "place" in record
    ]
    counts = Counter((*steps, *ends))
    return tuple(
        f"{error} at {place}{f', {times} times' if times > 1 else ''}"
        for (error, place), times in counts.most_common(MOST_RAISED)
    )


def _unprotected(scenario: Scenario, found: dict[Invariant, tuple[Violation, ...]], history: History) -> dict[str, int]:
    """Take back what a consumer violates for want of a pattern that it does not declare; return how often, by name."""
    follows = history.facts.follows
    if follows is None:
        return {}
    named = {name for name, pattern in scenario.relies_on.items() if pattern not in follows}
    accused = [item for item, violations in found.items() if item.name in named and violations]
    return {item.name: len(found.pop(item)) for item in accused}


def _excuse(found: dict[Invariant, tuple[Violation, ...]], history: History) -> tuple[Excuse, ...]:
    """Take back the violations that convict no consumer; return what is excused."""
    accused = [item for item, violations in found.items() if violations]
    deleted = deleted_for_good(history)
    reasons = acquitted(history) if any(item.excusable for item in accused) else {}
    excused: list[Excuse] = []
    for item in accused:
        for violation in found[item]:
            why = deleted if item.eventual else ""
            why = why or (next(filter(None, map(reasons.get, violation.message_ids)), "") if item.excusable else "")
            why = why or (late_by_starvation(history, violation) if item.of_leases else "")
            if why:
                concerned = (*violation.message_ids, *violation.keys, item.name)[0]
                excused.append(Excuse(item.name, concerned, why))
                found[item] = tuple(other for other in found[item] if other is not violation)
    return tuple(excused)


def _undeclared(scenario: Scenario, history: History) -> dict[str, str]:
    """Return the invariants and witnesses that are about a pattern which the consumer does not declare."""
    follows = history.facts.follows
    if follows is None:
        return {}
    checks: tuple[Invariant | Witness, ...] = (*scenario.invariants, *scenario.witnesses)
    return {item.name: str(item.pattern) for item in checks if item.pattern is not None and item.pattern not in follows}


def clock_step(history: History, speed: float) -> float:
    """Return by how many seconds the wall clock was stepped during a run; 0 where it is no more than patterns allow.

    Args:
        history: of the run.
        speed: how many of the lab's seconds a real one was.
    """
    allowed = min(MAX_SKEW_PART * history.facts.visibility_timeout / speed, MAX_CLOCK_STEP)
    step = history.clock_change
    return round(step, 3) if step > max(allowed, MIN_CLOCK_STEP) else 0.0


#: So many errors of the consumer's own a verdict tells at most.
MOST_RAISED = 3
_ANOTHER_PATTERN = "What this scenario is about is a pattern that this consumer does not declare."
_SPARED = "The naive twin violated nothing: the failure that it does not survive did not occur."


def _reason(verdict: Verdict) -> str:
    match verdict.outcome:
        case Outcome.FAIL:
            first = next(items[0] for items in verdict.violations.values() if items)
            counts = Counter({name: len(items) for name, items in verdict.violations.items() if items})
            listed = ", ".join(f"{name} ({count})" for name, count in counts.items())
            late = f" {verdict.conditions.missed}" if verdict.conditions.missed else ""
            return f"Violated: {listed}; for example {first.summary}{_of_the_queue(verdict)}{late}"
        case Outcome.INCONCLUSIVE if verdict.clock_step:
            return (
                f"The wall clock of this machine was stepped by {verdict.clock_step:g} s during the run, and leases "
                "compare it; keep it steady and run again."
            )
        case Outcome.INCONCLUSIVE:
            late = verdict.conditions.missed
            excused = next((item.why for item in verdict.excused), "")
            other = _ANOTHER_PATTERN if verdict.is_about_another_pattern else _want_of_a_pattern(verdict)
            absent = (
                f"No invariant is violated, but a witness is missing: {', '.join(verdict.missing)}."
                if verdict.missing
                else ""
            )
            partly = "" if absent or excused or not verdict.conditions.strict else "What could be judged holds."
            naive = verdict.conditions.naive and not (late or absent or excused)
            spared = _SPARED if naive else ""
            return " ".join(filter(None, (_not_judged(verdict), late, absent, excused, other, partly, spared)))
    if verdict.not_judged or verdict.undeclared:
        holds = "Every invariant that was judged holds, and the failure under study occurred."
        return " ".join(filter(None, (_not_judged(verdict), _not_declared(verdict), holds)))
    return "Every invariant holds, and the failure under study occurred."


def _not_judged(verdict: Verdict) -> str:
    return f"Not judged: {', '.join(verdict.not_judged)}." if verdict.not_judged else ""


def _not_declared(verdict: Verdict) -> str:
    patterns = dict.fromkeys(verdict.undeclared.values())
    return f"Not declared: {', '.join(patterns)}." if patterns else ""


def _want_of_a_pattern(verdict: Verdict) -> str:
    """Say what only a pattern would have survived that the consumer does not declare; empty where it declares it."""
    if not verdict.unprotected:
        return ""
    patterns = ", ".join(dict.fromkeys(verdict.undeclared[name] for name in verdict.unprotected))
    listed = ", ".join(f"{name} ({count})" for name, count in verdict.unprotected.items())
    return (
        f"What this scenario stages takes the pattern {patterns}, which this consumer does not declare: {listed}. "
        "If it follows the pattern, declare it (`follows`); if not, this run says nothing against it."
    )


def _of_the_queue(verdict: Verdict) -> str:
    """Say which deliveries the queue duplicated, where a duplicate is what convicts."""
    names = verdict.queue_duplicates
    if not names or not verdict.violations.get(DUPLICATED_SIDE_EFFECT.name):
        return ""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""  # noqa: PLR2004 - enough for an example
    return f" The queue itself delivered twice, as SQS may: {', '.join(names[:3])}{more}."


def _violation_as_json(violation: Violation) -> dict[str, Any]:
    return {
        "summary": violation.summary,
        "keys": list(violation.keys),
        "message_ids": list(violation.message_ids),
        "records": list(violation.records),
    }


def _evidence_as_json(evidence: Evidence | None) -> dict[str, Any] | None:
    if evidence is None:
        return None
    return {"summary": evidence.summary, "count": evidence.count, "records": list(evidence.records)}
