"""``invoke explore`` and ``invoke replay`` with a program, from the command to what it leaves."""

import json
from types import SimpleNamespace

import pytest

from scenarios.commands.explore import explore
from scenarios.commands.replay import replay
from scenarios.errors import BrokenProgramError
from scenarios.exploration.campaign import Campaign, Chunk, Tally, _bounded_number, _confirmed, run_chunk, violated_by
from scenarios.exploration.programs import rehearse, replayed, violation_of
from scenarios.exploration.shrink import Shrunk
from scenarios.exploration.targets import Target, make_target
from scenarios.lockstep.clock import why_not
from scenarios.simulation.run import simulate
from tests.consumers.small import small_consumer
from tests.scenarios.conftest import project
from tests.scenarios.lockstep.small_programs import LOOKS, written

__all__ = ["project", "small_consumer"]

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(bool(why_not()), reason="a program's clock cannot be set here"),
]

#: Deletes and then acts: the first crash in between loses a message.
DELETES_FIRST = """
while True:
    for message in receive():
        delete(message)
        perform(key_of(message))
"""


def test_a_bug_is_found_shrunk_and_replayed_byte_for_byte(project, capsys):
    command = written(project, DELETES_FIRST)
    code = explore(
        None,
        consumer=command,
        seed=7,
        histories=40,
        jobs=1,
        count=2,
        shrink_seconds=5,
        json=True,
        runs=project / "runs",
    )
    told = json.loads(capsys.readouterr().out)
    assert code == told["exit_code"] == 1
    assert set(told["violated"]) <= {"lost", "deleted-before-done"}
    assert told["target"]["consumer"] == command
    assert told["replays"]["replays"] >= 1
    assert told["replays"]["same"] == told["replays"]["violated"] == told["replays"]["replays"]
    assert told["story"][-1].startswith(("lost", "deleted-before-done"))
    assert replay(told["run"], json=True) == 0
    assert json.loads(capsys.readouterr().out)["same"] is True


def test_bounded_and_drawn_histories_of_a_program_take_turns(small_consumer):
    program = Campaign(make_target("deliveries", consumer=small_consumer("python", "--look")), 8, 7, 1)
    assert [_bounded_number(program, index) for index in range(8)] == [0, None, 1, None, 2, None, 3, None]
    # Of a consumer of ours fewer are bounded.
    ours = Campaign(make_target("deliveries"), 8, 7, 1)
    assert [_bounded_number(ours, index) for index in range(6)] == [0, None, 1, None, None, None]


def test_a_program_without_the_bug_is_not_convicted(project, small_consumer, capsys):
    command = small_consumer("python", "--careful")
    code = explore(None, consumer=command, seed=7, histories=4, jobs=1, count=2, json=True, runs=project / "runs")
    told = json.loads(capsys.readouterr().out)
    assert (code, told["violated"], told["unsteady"], told["histories"]) == (0, [], 0, 4)


def test_a_program_that_asks_for_everything_but_messages_is_one_sentence(project):
    command = written(project, 'while True:\n    sqs("GetQueueAttributes", AttributeNames=["All"])\n    time.sleep(1)')
    with pytest.raises(BrokenProgramError, match="never asked for a message"):
        rehearse(make_target("deliveries", consumer=command, count=1))


def test_a_program_that_ends_by_itself_ends_the_campaign_with_exit_code_3(project, capsys):
    command = written(project, 'print("no luck", flush=True)\nsys.exit(4)')
    assert explore(None, consumer=command, seed=7, histories=2, jobs=1, runs=project / "runs") == 3
    said = capsys.readouterr().err
    assert "  | no luck\nerror: The program ended by itself with exit code 4, and nothing had gone wrong.\n" in said
    assert not (project / "runs").exists()


def test_what_ends_a_campaign_is_told_with_its_history(project, monkeypatch):
    told = iter([simulate, simulate])

    def simulated(*given):
        try:
            return next(told)(*given)
        except StopIteration:
            raise BrokenProgramError("The program ended by itself with exit code 5.", ["no luck"]) from None

    monkeypatch.setattr("scenarios.exploration.campaign.simulate", simulated)
    campaign = Campaign(make_target("deliveries", count=1), 4, 7)
    error = run_chunk(Chunk(campaign, 0, 4))
    assert isinstance(error, BrokenProgramError)
    said = "In history 3: the program ended by itself with exit code 5. --seed 7 --histories 3 repeats it."
    assert (str(error), error.log) == (said, ("no luck",))


def test_what_a_machine_cannot_do_is_said_before_anything_starts(project, capsys, monkeypatch):
    monkeypatch.setattr("scenarios.exploration.targets.why_not", lambda: "it takes another machine")
    assert explore(None, consumer=written(project, LOOKS), seed=7) == 64
    assert "cannot explore a program here: it takes another machine." in capsys.readouterr().err


def test_a_violation_that_does_not_come_again_convicts_nobody(project):
    command = written(project, LOOKS)
    campaign = Campaign(make_target("deliveries", consumer=command, count=1), 4, 7)
    tally = Tally()
    assert _confirmed(campaign, 0, frozenset({"lost"}), tally) == frozenset()
    assert tally.unsteady == 1
    assert Target.of_json(campaign.target.as_json()) == campaign.target


#: Deletes before it acts for as long as few programs have begun, and is careful from then on.
CHANGES = """
receive(0)
with open({path!r}, "a") as begun:
    begun.write("x")
while True:
    for message in receive():
        if not was_done(key_of(message)) and os.path.getsize({path!r}) > {until}:
            perform(key_of(message))
        delete(message)
"""


# Two or three consumers begin in the rehearsal, in the history, and in its repetition.
@pytest.mark.parametrize(("until", "code"), [(8, 2), (10**6, 1)])
def test_what_most_replays_do_not_violate_convicts_nobody(project, capsys, monkeypatch, until, code):
    monkeypatch.setattr("scenarios.exploration.programs.REPLAYS", 3)
    command = written(project, CHANGES.format(path=str(project / "begun"), until=until))
    options = {"histories": 1, "jobs": 1, "count": 1, "shrink_seconds": 1}
    assert explore(None, consumer=command, seed=7, **options, runs=project / "runs") == code, capsys.readouterr().out
    said = capsys.readouterr().out
    convicted = {"VIOLATED  lost, in history 1; ", "3 violate the same", "reproduce  ", "lost: message #"}
    told = {
        "NO PROOF: history 1 violates lost, and 0 of 3 replays of it do.",
        "INCONCLUSIVE  0 violations, and one that ",
    }
    assert {part for part in convicted | told if part in said} == (convicted if code == 1 else told), said


class _Case:
    """A case that violates in some of its replays: in each that has a 1."""

    def __init__(self, replays):
        self.violates = frozenset({"lost"})
        self._replays = iter(replays)
        self.told = 0

    def simulate(self, _=""):
        self.told += 1
        found = {"lost": ["#1"] if next(self._replays, 0) else []}
        return SimpleNamespace(verdict=SimpleNamespace(violations=found), history=SimpleNamespace(records=[]))


@pytest.mark.parametrize(
    ("shrunk", "found", "kept", "convicts"),
    [
        ([1] * 5, [1] * 5, "shrunk", True),
        # The first is what the others are compared with.
        ([0, 1, 1, 0, 0], [], "shrunk", True),
        ([1, 1, 0, 0, 0], [1, 1, 1, 0, 0], "found", True),
        ([1, 1, 0, 0, 0], [1, 0, 1, 0, 0], "shrunk", False),
    ],
)
def test_half_of_the_replays_convict_those_of_the_history_as_it_was_found_too(
    monkeypatch, shrunk, found, kept, convicts
):
    monkeypatch.setattr("scenarios.exploration.programs.REPLAYS", 4)
    cases = {"shrunk": _Case(shrunk), "found": _Case(found)}
    proven, agreed = replayed(Shrunk(cases["shrunk"], 0, 0.0), cases["found"])
    assert (proven.case is cases[kept], proven.as_found, agreed.convicts) == (True, kept == "found", convicts)


def test_a_counterexample_that_is_printed_violates():
    case = _Case([0, 0, 1, 0])
    assert violated_by(violation_of(case).verdict) == {"lost"}
    assert case.told == 3
