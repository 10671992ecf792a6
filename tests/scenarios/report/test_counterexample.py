"""The counterexample's text: what it marks, and what it tells once."""

from scenarios.checks.invariants import Violation
from scenarios.model import NaiveTwin, Scenario
from scenarios.parameters import Parameters
from scenarios.report.counterexample import format_counterexample
from scenarios.verdict import Conditions, Verdict
from tests.scenarios.recorded import Told

SCENARIO = Scenario(
    name="told",
    summary="a history told by hand",
    pace="fast",
    run=lambda _: None,
    invariants=(),
    witnesses=(),
    naive_twin=NaiveTwin("module:Twin", "nothing", "lost"),
    defaults=Parameters(1, 1),
)


def text_of(told, *evidence):
    """Return the story's lines, with some records as the evidence of a violation."""
    history = told.history
    violations = {"lost": (Violation("it is lost.", records=tuple(evidence)),)}
    conditions = Conditions(seed=1, parameters=Parameters(1, 1), tier="sim")
    return format_counterexample(Verdict(SCENARIO, conditions, violations, {}, 0), history)[2:-2]


def rounds(count):
    """Return a history in which a consumer finds the same message claimed, again and again."""
    told = Told(max_receive_count=99)
    told.send("1")
    for number in range(1, count + 1):
        told.receive("a", "1", count=number)
        held = {"type": "HeldByAnother", "owner": "b", "seconds_left": 9.0 - number}
        told.do("a", "Claim", held, key="1", owner="a", lease_seconds=1.0)
    return told


class TestRounds:
    def test_lines_that_differ_in_numbers_alone_are_told_once(self):
        lines = text_of(rounds(5))
        assert sum("receives" in line for line in lines) < 5
        assert any("these 2 lines come 3 more times" in line or "2 lines come 4 more times" in line for line in lines)

    def test_a_round_that_comes_once_stands_for_itself(self):
        assert not any("come" in line for line in text_of(rounds(1)))

    def test_evidence_in_a_later_round_is_not_left_out(self):
        told = rounds(5)
        last = [record for record in told.records if record["type"] == "ok" and record["operation"] == "Claim"][-1]
        lines = text_of(told, last)
        marked = [line for line in lines if line.startswith(">")]
        assert len(marked) == 1
        assert "claims" in marked[0]
        assert "4.000 s" in marked[0]

    def test_rounds_about_different_messages_are_different(self):
        told = Told(max_receive_count=99)
        for identity in ("1", "2", "3"):
            told.send(identity)
        for identity in ("1", "2", "3"):
            told.receive("a", identity)
            told.do("a", "LookUpSideEffect", False, key=identity)
        assert sum("looks up" in line for line in text_of(told)) == 3


class TestMarks:
    def test_what_the_violation_needs_is_marked_and_nothing_else(self):
        told = rounds(2)
        received = next(
            record for record in told.records if record["type"] == "ok" and record["operation"] == "Receive"
        )
        marked = [line for line in text_of(told, received) if line.startswith(">")]
        assert len(marked) == 1
        assert "receives" in marked[0]

    def test_a_line_that_stands_for_several_is_marked_where_one_of_them_is_evidence(self):
        told = Told(max_receive_count=99)
        told.send("1")
        for _ in range(3):
            told.do("a", "LookUpSideEffect", True, key="1")
        second = [record for record in told.records if record.get("operation") == "LookUpSideEffect"][3]
        assert second["type"] == "ok"
        marked = [line for line in text_of(told, second) if line.startswith(">")]
        assert len(marked) == 1
        assert "(3 times)" in marked[0]
