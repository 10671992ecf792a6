"""Campaigns, shrinking, replays, and what the commands say."""

import json
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from scenarios.commands.exploration_output import bounded_as_json, print_campaign
from scenarios.commands.explore import explore as explore_command
from scenarios.commands.replay import replay as replay_command
from scenarios.commands.scenario import scenario as scenario_command
from scenarios.errors import RequestError
from scenarios.exploration.bounded import SIZES_OF, space_of
from scenarios.exploration.campaign import CHUNK, Campaign, Explored, Found, Tally, _is_over, explore, history_of
from scenarios.exploration.case import Case, case_of, record_case
from scenarios.exploration.replay import CHOICES, FORM, history_bytes
from scenarios.exploration.shrink import shrink
from scenarios.exploration.targets import find, find_mutant, history_seed, make_target
from scenarios.runs.index import find_run
from scenarios.simulation.choices import SeededChoices
from scenarios.simulation.lab import consumer_class
from scenarios.simulation.random_faults import CONSUMER_KINDS, Kind, kinds_of
from scenarios.simulation.run import simulate
from scenarios.verdict import Outcome
from services.consumer.assumptions import ALL, Assumption
from services.consumer.patterns import Pattern
from tests.speeds import first_then_thorough


def run_command(capsys, command, *arguments, **options):
    code = command(*arguments, **options)
    said = capsys.readouterr()
    return code, said.out, said.err


class TestCampaign:
    @pytest.mark.processes
    def test_the_number_of_processes_changes_nothing_but_the_time(self):
        target = make_target("orders", mutant="fails-open")
        breaks = frozenset({"duplicated-side-effect"})
        alone, shared = (explore(Campaign(target, 500, 3, jobs, breaks)).tally for jobs in (1, 2))
        assert alone == shared
        assert alone.found is not None

    def test_it_counts_in_chunks_and_stops_at_the_first_violation(self):
        seen = []
        clean = explore(Campaign(make_target("happy"), CHUNK + 20, 1), lambda tally, _: seen.append(tally.histories))
        assert seen == [CHUNK, CHUNK + 20]
        assert clean.tally.found is None
        broken = explore(Campaign(make_target("happy", naive=True), CHUNK, 1, bounded=False)).tally
        assert broken.found == Found(0, history_seed(1, 0), frozenset({"duplicated-side-effect"}))
        assert broken.histories == 1

    @pytest.mark.parametrize("name", ["business-idempotency", "dlq-redrive"])
    def test_a_payment_that_is_repeated_because_its_reply_was_lost_is_a_violation(self, name):
        consumer = "scenarios.mutants.consumers:RepeatsAnUnclearSideEffect"
        found = explore(Campaign(make_target(name, consumer=consumer), 4 * CHUNK, 1)).tally.found
        assert found is not None
        assert found.invariants == {"paid-twice"}

    def test_a_campaign_in_which_no_fault_struck_shows_nothing(self):
        passed = {"histories": 4, "outcomes": Counter({Outcome.PASS: 4})}
        for with_faults, faults, outcome in (
            (True, {}, Outcome.INCONCLUSIVE),
            (True, {"reply lost": 1}, Outcome.PASS),
            (False, {}, Outcome.PASS),
        ):
            campaign = Campaign(make_target("deliveries", with_faults=with_faults), 4, 1)
            assert Explored(campaign, Tally(**passed, faults=Counter(faults)), 1.0).outcome is outcome

    @pytest.mark.parametrize(("consumer", "histories"), [("python3 my.py", 2), ("", 3)])
    def test_a_history_of_a_program_that_no_longer_fits_in_the_time_is_not_begun(
        self, consumer, histories, monkeypatch
    ):
        clock = iter(range(0, 1000, 24))
        monkeypatch.setattr("scenarios.exploration.campaign.time.monotonic", lambda: next(clock))
        target = replace(make_target("deliveries"), consumer=consumer)
        campaign = Campaign(target, 1000, 1, seconds=60.0)
        began = 0
        next(clock)
        over = [_is_over(campaign, began, chunks) for chunks in range(1, 4)]
        assert over.index(True) + 1 == histories

    def test_the_histories_follow_from_the_seed(self):
        first, again, other = (explore(Campaign(make_target("poison"), 30, seed)).tally for seed in (1, 1, 2))
        assert first == again
        assert first.faults != other.faults

    def test_what_it_keeps_does_not_grow_with_the_histories(self):
        tallies = [explore(Campaign(make_target("duplicates"), count, 1)).tally for count in (50, 200)]
        short, long = (len(tally.faults) + len(tally.outcomes) + len(tally.witnesses) for tally in tallies)
        assert long <= short + 10


class TestShrinking:
    @pytest.mark.parametrize("seed", [1, 2, 3])
    def test_a_violation_is_shrunk_to_the_messages_and_faults_that_it_needs(self, seed):
        target = make_target("orders", mutant="never-looks-up")
        campaign = Campaign(target, 500, seed, 1, frozenset({"duplicated-side-effect"}), bounded=False)
        case = case_of(campaign, explore(campaign).tally.found)
        assert case.violated() & case.violates
        shrunk = shrink(case)
        simulation = shrunk.case.simulate()
        assert shrunk.complete
        assert simulation.verdict.violations["duplicated-side-effect"]
        assert shrunk.case.messages <= 2
        # A message comes again after one fault that costs a receive, or after two delays that do so together.
        faults = shrunk.case.faults
        assert len(faults) == 1 or [fault.kind for _, fault in faults] == [Kind.DELAY] * 2
        # What a lasting fault goes on to strike is a part of it.
        assert len([strike for strike in simulation.history.faults if "during" not in strike.fault]) == len(faults)
        # Each reply of a partition is lost, and so is the one that would have told of the second time.
        assert simulation.counterexample().count("PERFORMS") > 1
        again = shrink(case)
        assert (again.case, again.histories) == (shrunk.case, shrunk.histories)
        for without in ((), *(faults[:n] + faults[n + 1 :] for n in range(len(faults)))):
            assert not replace(shrunk.case, faults=without).violated() & case.violates

    def test_messages_and_consumers_are_left_out_of_the_history_itself(self):
        campaign = Campaign(make_target("orders", mutant="deletes-malformed"), 100, 1, bounded=False)
        case = case_of(campaign, explore(campaign).tally.found)
        assert case.violated() & case.violates
        shrunk = shrink(case).case
        history = shrunk.simulate().history
        assert len(history.sends) == 1
        assert len({call.process for call in history.calls("Receive") if not call.process.startswith("lab")}) == 1

    def test_what_a_correct_consumer_would_violate_as_well_is_no_simpler_case(self):
        target = make_target("orders", mutant="ends-at-a-failed-receive")
        campaign = Campaign(target, 500, 1, 1, frozenset({"in-flight-at-end"}))
        shrunk = shrink(case_of(campaign, explore(campaign).tally.found)).case
        assert shrunk.violated() & shrunk.violates
        assert not replace(shrunk, target=replace(shrunk.target, mutant="")).violated()

    def test_its_budget_of_seconds_ends_it_with_what_it_has(self):
        campaign = Campaign(make_target("orders", mutant="deletes-malformed"), 100, 1, bounded=False)
        case = case_of(campaign, explore(campaign).tally.found)
        shrunk = shrink(case, seconds=0.0)
        assert not shrunk.complete
        assert shrunk.case.violated() & case.violates

    def test_a_case_is_what_its_seed_made(self):
        for with_faults in (True, False):
            target = make_target("crash", with_faults=with_faults)
            case = record_case(target, 5)
            assert history_bytes(case.simulate().history) == history_bytes(
                simulate(target.plan(5), SeededChoices(5)).history
            )


def schedule_at(campaign, index):
    """Return the faults of a bounded history of a campaign; None for one that is drawn."""
    return history_of(campaign, index).schedule


def bounded_case(campaign, index):
    """Return a bounded history of a campaign as a case."""
    return case_of(campaign, Found(index, history_seed(campaign.seed, 0), frozenset(), schedule_at(campaign, index)))


class TestBounded:
    def test_it_begins_with_the_calm_history_and_each_fault_alone(self):
        space = space_of(make_target("orders"))
        assert space.schedule(0) == ()
        singles = [space.schedule(number) for number in range(1, space.with_one)]
        assert len(set(singles)) == len(singles) > 100
        assert {len(single) for single in singles} == {1}
        kinds = {fault.kind for single in singles for _, fault in single}
        left_out = {kind for kind, sizes in SIZES_OF.items() if not sizes}
        assert kinds == {*CONSUMER_KINDS, *kinds_of("producer", ALL, fifo=False), Kind.CLOCK_SKEW} - left_out

    def test_the_pairs_follow_and_none_comes_twice(self):
        space = space_of(make_target("groups"))
        pairs = [space.schedule(number) for number in range(space.with_one, space.total())]
        assert len(set(pairs)) == len(pairs) > 5_000
        assert {len(pair) for pair in pairs} == {2}
        assert space.schedule(space.total()) is None

    @pytest.mark.parametrize(
        ("mutant", "faults"),
        first_then_thorough(1, [("fails-open", 1), ("does-it-again-after-a-failed-complete", 2), ("without-guard", 1)]),
    )
    def test_it_finds_a_bug_of_few_faults_and_the_history_is_small_from_the_start(self, mutant, faults):
        target = make_target("orders", mutant=mutant)
        campaign = Campaign(target, 24_000, 1)
        cases = (bounded_case(campaign, index) for index in range(0, 2 * campaign.most_bounded, 2))
        case, found = next((case, violated) for case in cases if (violated := case.violated()))
        assert len(case.faults) == faults
        assert case.target.count == 2
        assert found & find_mutant(mutant).breaks

    def test_bounded_and_drawn_histories_take_turns(self):
        campaign = Campaign(make_target("orders"), 40, 1)
        schedules = [schedule_at(campaign, index) for index in range(24)]
        assert schedules[::2][:10] == [space_of(campaign.target).schedule(number) for number in range(10)]
        assert schedules[1::2] == [None] * 12
        assert schedules[20:] == [None] * 4, "a quarter of it is bounded"

    @pytest.mark.parametrize("name", first_then_thorough(1, ["happy", "orders", "groups"]))
    def test_our_consumer_violates_nothing_with_one_fault(self, name):
        space = space_of(make_target(name))
        for number in range(space.with_one):
            case = Case(space.target, 0, (), frozenset(), space.schedule(number))
            assert not case.violated(), space.schedule(number)

    @pytest.mark.thorough
    def test_our_consumer_violates_nothing_with_two_faults(self):
        space = space_of(make_target("happy"))
        for number in range(space.with_one, space.total()):
            case = Case(space.target, 0, (), frozenset(), space.schedule(number))
            assert not case.violated(), space.schedule(number)

    @pytest.mark.thorough
    def test_faults_that_come_to_the_same_are_tried_once_as_the_second_of_a_pair(self):
        ours, mutant = (
            Counter(
                space.schedule(number)[1][1].kind
                for number in range(space.with_one, space.total())
                if space.schedule(number)[0][1].kind is Kind.DELAY
            )
            for space in (
                space_of(make_target("orders")),
                space_of(make_target("orders", mutant="takes-a-server-error-as-done")),
            )
        )
        # To our consumer a server error is like throttling. The mutant tells them apart at its side effects.
        assert ours[Kind.SERVER_ERROR] < mutant[Kind.SERVER_ERROR]
        assert ours[Kind.SERVER_ERROR] < ours[Kind.THROTTLE]

    def test_a_fault_that_shows_in_times_alone_is_not_taken_for_none(self):
        space = space_of(make_target("orders"))
        firsts = {space.schedule(number)[0][1].kind for number in range(space.with_one, space.total())}
        assert firsts >= {Kind.DELAY, Kind.PAUSE, Kind.CLOCK_SKEW, Kind.LATE_REQUEST}

    def test_a_campaign_has_all_pairs_where_they_are_no_more_than_half_of_it(self):
        target = make_target("happy")
        total = space_of(target).total()
        assert Campaign(target, 2 * total, 1).most_bounded == total
        assert Campaign(target, 2 * total - 1, 1).most_bounded < total
        explored = explore(Campaign(target, 20, 1))
        assert bounded_as_json(explored)["faults"] is None
        cut_short = replace(explored, campaign=Campaign(target, 10**8, 1, seconds=1.0))
        cut_short.tally.bounded = space_of(target).with_one + 1
        assert bounded_as_json(cut_short)["faults"] == 1
        cut_short.tally.bounded = total
        assert bounded_as_json(cut_short)["faults"] == 2

    def test_it_never_dominates_and_the_rest_is_as_without_it(self):
        tally = explore(Campaign(make_target("happy"), 80, 1)).tally
        assert (tally.bounded, tally.histories) == (20, 80)
        assert explore(Campaign(make_target("happy"), 20, 1, bounded=False)).tally.bounded == 0

    @pytest.mark.thorough
    def test_the_campaign_says_what_is_ruled_out(self, capsys, tmp_path, monkeypatch):
        code, out, _ = run_command(capsys, explore_command, "orders", histories=500, jobs=1, seed=1, runs=tmp_path)
        assert code == 0
        assert "bounded  125 histories of 2 messages with one fault" in out
        small = replace(space_of(make_target("orders")), singles=space_of(make_target("orders")).singles[:20])
        monkeypatch.setattr("scenarios.exploration.campaign.space_of", lambda _target: small)
        monkeypatch.setattr("scenarios.commands.exploration_output.space_of", lambda _target: small)
        _, out, _ = run_command(capsys, explore_command, "orders", histories=500, jobs=1, seed=1, runs=tmp_path)
        assert "bounded  none up to one fault on 2 messages, and some pairs: 125 histories" in out
        monkeypatch.setattr("scenarios.exploration.bounded._Pairs.total", 30)
        _, out, _ = run_command(capsys, explore_command, "orders", histories=500, jobs=1, seed=1, runs=tmp_path)
        assert "bounded  none up to two faults on 2 messages: 51 histories" in out


@pytest.fixture
def explored(tmp_path, capsys):
    """A run that violates something, and where it is."""
    code, out, _ = run_command(
        capsys, explore_command, "duplicates", histories="50", jobs="1", seed="3", naive=True, json=True, runs=tmp_path
    )
    document = json.loads(out)
    return code, document, tmp_path / document["run"].rpartition("/")[2]


class TestCommands:
    def test_a_clean_campaign_says_what_was_met_and_what_never_was(self, capsys, tmp_path):
        code, out, _ = run_command(capsys, explore_command, "poison", histories=3, jobs=1, seed=1, runs=tmp_path)
        assert code == 0
        assert "0 VIOLATIONS  3 histories" in out
        assert "NEVER INJECTED: " in out
        assert "dead-lettered-exactly" in out
        (directory,) = tmp_path.iterdir()  # and no link to it: it has nothing to show
        written = json.loads((directory / "campaign.json").read_text())
        assert (written["histories"], written["violated"]) == (3, [])
        assert written["never_injected"]
        code, _, err = run_command(capsys, replay_command, directory.name, runs=tmp_path)
        assert (code, err) == (
            64,
            f"error: In the campaign {directory.name} nothing was violated, so there is no history to replay.\n",
        )
        with pytest.raises(RequestError, match="nothing was violated, so there is no history to report"):
            find_run(tmp_path, directory.name)

    def test_a_violation_is_printed_as_a_counterexample_with_the_command_that_repeats_it(self, capsys, tmp_path):
        code, out, _ = run_command(
            capsys, explore_command, "fifo-order", histories=50, jobs=1, seed=3, naive=True, runs=tmp_path
        )
        assert code == 1
        assert "order-violated: in group g0" in out
        assert "PerformSideEffect fails: ServiceUnavailable" in out
        assert "reproduce  invoke replay " in out

    def test_a_campaign_in_which_no_history_passes_proves_nothing_and_says_so(self, capsys, tmp_path):
        keeps_what_it_lost = "scenarios.mutants.consumers:ExtendsTheMessageAlone"
        options = {"histories": 3, "jobs": 1, "seed": 1, "consumer": keeps_what_it_lost, "runs": tmp_path}
        code, out, _ = run_command(capsys, explore_command, "heartbeat", **options)
        assert code == 2
        assert "NEVER SEEN: lost-lease. The failure under study did not occur" in out
        assert "INCONCLUSIVE  0 violations, and none passed; 3 histories (3 inconclusive)" in out
        (directory,) = tmp_path.iterdir()
        document = json.loads((directory / "campaign.json").read_text())
        assert document["never_seen"] == ["lost-lease"]
        assert document["exit_code"] == 2

    @pytest.mark.parametrize(
        ("passed", "outcome"),
        [(0, Outcome.INCONCLUSIVE), (4, Outcome.INCONCLUSIVE), (9, Outcome.PASS)],
        ids=["none passed", "too few passed", "half passed"],
    )
    def test_a_campaign_passes_if_half_of_its_histories_do_and_none_violates_anything(self, passed, outcome):
        outcomes = Counter({Outcome.INCONCLUSIVE: 9, Outcome.PASS: passed})
        tally = Tally(9 + passed, outcomes, Counter({"reply lost": 1}), inconclusive="It came too late.")
        assert Explored(Campaign(make_target("orders"), 10, 1), tally, 1.0).outcome is outcome

    @pytest.mark.parametrize(
        ("bounded", "in_vain", "outcome"),
        [(5, 5, Outcome.PASS), (5, 4, Outcome.INCONCLUSIVE), (13, 9, Outcome.INCONCLUSIVE)],
        ids=["those drawn pass", "one of them does not", "none was drawn"],
    )
    def test_a_bounded_history_that_shows_nothing_is_not_held_against_those_that_were_drawn(
        self, bounded, in_vain, outcome
    ):
        outcomes = Counter({Outcome.INCONCLUSIVE: 9, Outcome.PASS: 4})
        tally = Tally(13, outcomes, Counter({"reply lost": 1}), bounded=bounded, bounded_in_vain=in_vain)
        assert Explored(Campaign(make_target("orders"), 10, 1), tally, 1.0).outcome is outcome

    def test_where_every_witness_was_seen_and_no_history_passed_the_first_says_why(self, capsys, tmp_path):
        tally = Tally(1, Counter({Outcome.INCONCLUSIVE: 1}), inconclusive="It came too late.")
        print_campaign(Explored(Campaign(make_target("orders"), 1, 1), tally, 1.0), None, {}, tmp_path)
        assert "NONE PASSED. This campaign proves nothing; e.g. It came too late." in capsys.readouterr().out

    def test_as_json_it_says_the_same(self, explored):
        code, document, directory = explored
        assert code == 1
        assert document["violated"] == ["duplicated-side-effect"]
        assert document["verdict"]["tier"] == "sim"
        assert any("for the second time" in line for line in document["story"])
        assert sorted(path.name for path in directory.iterdir()) == [
            "campaign.json", "choices.json", "counterexample.txt", "history.jsonl", "report.html", "verdict.json",
        ]  # fmt: skip

    def test_a_replay_is_the_same_byte_for_byte_and_says_so(self, capsys, explored):
        _, _, directory = explored
        for run in (str(directory), directory.name, None):
            code, out, _ = run_command(capsys, replay_command, run, runs=directory.parent)
            assert code == 0
            assert "THE SAME  byte for byte" in out

    def test_a_replay_that_differs_says_where(self, capsys, explored):
        _, _, directory = explored
        history = directory / "history.jsonl"
        lines = history.read_bytes().splitlines(keepends=True)
        history.write_bytes(b"".join([*lines[:4], lines[4].replace(b'"time":', b'"time": '), *lines[5:]]))
        code, out, _ = run_command(capsys, replay_command, str(directory))
        assert code == 1
        assert "DIFFERENT  from line 5 on" in out

    @pytest.mark.parametrize(
        ("change", "sentence"),
        [
            (lambda text: text[: len(text) // 2], "was cut or is no JSON"),
            (lambda text: "{}", "holds no choices of a simulation"),
            (lambda text: text.replace(f'"form": {FORM}', '"form": 99'), "was made by version"),
            (lambda text: text.replace('"seed": ', '"seed": 1'), "was edited"),
            (lambda text: text.replace('"batch_size": 1', '"batch_size": 2'), "was edited"),
        ],
    )
    def test_a_file_of_choices_that_cannot_be_used_is_one_sentence(self, capsys, explored, change, sentence):
        _, _, directory = explored
        path = directory / CHOICES
        path.write_text(change(path.read_text()))
        code, out, err = run_command(capsys, replay_command, str(directory))
        assert (code, out) == (64, "")
        assert sentence in err
        assert err.startswith("error: ")
        assert err.count("\n") == 1

    @pytest.mark.parametrize(
        ("options", "sentence"),
        [
            ({"name": ""}, "What to explore?"),
            ({"name": "crsh"}, "did you mean crash?"),
            ({"jobs": "0"}, "--jobs must be a whole number, from 1 to 256, and is 0."),
            ({"jobs": "two"}, "--jobs must be a whole number"),
            ({"histories": "-5"}, "--histories must be a whole number"),
            ({"histories": "0"}, "--histories must be a whole number"),
            ({"count": "1"}, "--count is 1; the scenario crash needs 6 to"),
            ({"mutant": "fails-opn"}, "did you mean fails-open?"),
            ({"consumer": "nowhere:Nobody"}, "cannot be loaded"),
            ({"naive": True, "mutant": "fails-open"}, "give one of them"),
        ],
    )
    def test_what_cannot_be_explored_is_one_sentence(self, capsys, tmp_path, options, sentence):
        name = options.pop("name", "crash")
        code, out, err = run_command(capsys, explore_command, name, runs=tmp_path, **options)
        assert (code, out) == (64, "")
        assert sentence in err
        assert err.count("\n") == 1
        assert list(tmp_path.iterdir()) == []

    def test_a_run_that_is_not_there_is_one_sentence(self, capsys, tmp_path):
        code, _, err = run_command(capsys, replay_command, "nowhere", runs=tmp_path)
        assert (code, "There is no simulated run nowhere" in err) == (64, True)
        code, _, err = run_command(capsys, replay_command, None, runs=tmp_path)
        assert (code, "is not of the simulation" in err) == (64, True)

    @pytest.mark.parametrize(("naive", "code"), [(False, 0), (True, 1)])
    def test_a_scenario_runs_in_this_tier_as_in_the_others(self, capsys, tmp_path, naive, code):
        got, out, _ = run_command(capsys, scenario_command, "crash", tier="sim", seed="4", naive=naive, runs=tmp_path)
        assert got == code
        assert ("FAIL  Violated: duplicated-side-effect" if naive else "PASS  Every invariant holds") in out
        assert f"reproduce  invoke scenario --name crash --tier sim --seed 4{' --naive' if naive else ''}" in out
        code, out, _ = run_command(capsys, replay_command, None, runs=tmp_path)
        assert code == 0

    def test_a_scenario_as_json_is_its_verdict(self, capsys, tmp_path):
        code, out, _ = run_command(capsys, scenario_command, "happy", tier="sim", seed=1, json=True, runs=tmp_path)
        assert (code, json.loads(out)["verdict"], json.loads(out)["tier"]) == (0, "pass", "sim")


def test_workloads_can_be_explored_by_name():
    assert find("orders")[0].name == "orders"
    with pytest.raises(RequestError, match="did you mean orders"):
        find("order")


def test_a_workload_that_is_run_as_a_scenario_is_named_as_one(capsys, tmp_path):
    code, _, err = run_command(capsys, scenario_command, "orders", runs=tmp_path, seed=1)
    assert code == 64
    assert "orders is a workload, and no scenario; `invoke explore --name orders` explores it." in err


OF_A_USER = """
import asyncio
import os
import sys
print("of a module")
from services.consumer.assumptions import ALL
from services.consumer.consumer import Consumer
from services.operations import Delete, OperationFailed

class Leaves(Consumer):
    def perform(self, delivery):
        yield from super().perform(delivery)
        sys.exit(0)

class LeavesAtTheEnd(Consumer):
    def poll(self):
        yield from super().poll()
        sys.exit(0)

class Cancelled(Consumer):
    def perform(self, delivery):
        raise asyncio.CancelledError
        yield

class Exits(Consumer):
    def perform(self, delivery):
        raise GeneratorExit
        yield

class Vanishes(Consumer):
    def perform(self, delivery):
        os._exit(7)
        yield

class CannotBegin(Consumer):
    def __init__(self, options):
        super().__init__(options)
        raise asyncio.CancelledError

class Prints(Consumer):
    def perform(self, delivery):
        print("of a consumer")
        yield from super().perform(delivery)

class TakesNothing(Consumer):
    def __init__(self):
        pass

class NoGenerator(Consumer):
    def poll(self):
        return 3

class YieldsNone(Consumer):
    def poll(self):
        yield None

class YieldsText(Consumer):
    def perform(self, delivery):
        yield "PerformSideEffect"

class Misspells(Consumer):
    assumes = {"short-pause"}

class FollowsText(Consumer):
    follows = "claims"

class WithoutSuper(Consumer):
    def __init__(self, options):
        pass

class NamesTexts(Consumer):
    assumes = {"short-pauses", "close-clocks"}
    follows = ["claims"]

class RaisesAlways(Consumer):
    def perform(self, delivery):
        yield from ()
        raise KeyError("amount")

class EndsAlways(Consumer):
    def poll(self):
        yield from ()
        raise ValueError("no")

class Forgets(Consumer):
    def delete(self, messages):
        try:
            if messages:
                yield Delete(tuple(messages))
        except OperationFailed:
            pass

class ForgetsAndSaysSo(Forgets):
    follows = ()

class WithoutKey(Consumer):
    def key_of(self, payload, message_id):
        return None
"""


@pytest.fixture
def of_a_user(tmp_path, monkeypatch):
    (tmp_path / "of_a_user.py").write_text(OF_A_USER)
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("Leaves", "of_a_user:Leaves has called sys.exit, which would end the simulation"),
        ("LeavesAtTheEnd", "of_a_user:LeavesAtTheEnd has called sys.exit, which would end the simulation"),
        ("CannotBegin", "of_a_user:CannotBegin cannot be made: CancelledError()"),
    ],
)
def test_a_consumer_that_would_end_or_break_the_simulation_is_one_sentence(of_a_user, capsys, tmp_path, name, sentence):
    for command, options in (
        (scenario_command, {"seed": 1, "tier": "sim"}),
        (explore_command, {"histories": 3, "jobs": 1}),
    ):
        code, _, err = run_command(capsys, command, "happy", runs=tmp_path, consumer=f"of_a_user:{name}", **options)
        # A consumer that ends by itself, or cannot be made, is broken.
        assert code == 3
        assert sentence in err


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("NoGenerator", "of_a_user:NoGenerator.poll returns 3, and has to be a generator"),
        ("YieldsNone", "YieldsNone.poll yields None, which is no operation (of_a_user.py:"),
        ("YieldsText", "YieldsText.perform yields 'PerformSideEffect', which is no operation (of_a_user.py:"),
        ("Misspells", "Misspells.assumes names 'short-pause', which is no member"),
        ("FollowsText", "FollowsText.follows is 'claims', and has to be a set of members"),
        ("TakesNothing", "TakesNothing.__init__ has to call super().__init__(options), and does not"),
        ("WithoutSuper", "WithoutSuper.__init__ has to call super().__init__(options), and does not"),
    ],
)
def test_a_class_that_is_written_wrongly_is_bad_usage_and_one_sentence(of_a_user, capsys, tmp_path, name, sentence):
    for command, options in (
        (scenario_command, {"seed": 1, "tier": "sim"}),
        (explore_command, {"histories": 3, "jobs": 1}),
        *([(scenario_command, {"seed": 1})] if name in ("Misspells", "FollowsText", "WithoutSuper") else []),
    ):
        code, out, err = run_command(capsys, command, "happy", runs=tmp_path, consumer=f"of_a_user:{name}", **options)
        assert code == 64
        assert sentence in err.splitlines()[-1]
        assert "VIOLATED" not in out


def test_a_declaration_takes_a_set_or_list_of_texts(of_a_user):
    found = consumer_class("of_a_user:NamesTexts")
    assert found.assumes == {Assumption.SHORT_PAUSES, Assumption.CLOSE_CLOCKS}
    assert found.follows == {Pattern.CLAIMS}
    assert isinstance(found.assumes, frozenset)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("RaisesAlways", "The consumer raised KeyError: 'amount' at of_a_user.py:"),
        ("EndsAlways", "The consumer raised ValueError: no at of_a_user.py:"),
    ],
)
def test_the_verdict_names_what_the_consumer_raised_and_where(of_a_user, capsys, tmp_path, name, said):
    code, out, _ = run_command(
        capsys, explore_command, "orders", runs=tmp_path, consumer=f"of_a_user:{name}", histories=3, jobs=1, seed=1
    )
    assert code == 1
    line = next(line for line in out.splitlines() if said in line)
    assert f" in {'perform' if name == 'RaisesAlways' else 'poll'}, " in line
    assert out.index(line) > out.index("wrongly-dead-lettered: " if name == "RaisesAlways" else "in-flight-at-end: ")


def test_a_violated_promise_of_a_pattern_names_the_pattern_and_what_declares_it(of_a_user, capsys, tmp_path):
    said = "refused-and-forgotten is a promise of the pattern retried-entries alone, which this consumer declares"
    codes = []
    for name in ("Forgets", "ForgetsAndSaysSo"):
        consumer = f"of_a_user:{name}"
        code, out, _ = run_command(
            capsys, explore_command, "orders", runs=tmp_path, consumer=consumer, histories=200, jobs=1, seed=1
        )
        codes.append(code)
        assert (said in out) is (code == 1)
    assert codes == [1, 0]


def test_a_module_that_is_not_there_names_the_directories_that_were_searched(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    code, _, err = run_command(
        capsys, explore_command, "happy", runs=tmp_path, consumer="nowhere_at_all:X", histories=1
    )
    assert code == 64
    assert f"neither in the working directory {Path.cwd()} nor on PYTHONPATH (/somewhere)" in err


@pytest.mark.parametrize(("name", "why"), [("Cancelled", "CancelledError"), ("Exits", "GeneratorExit")])
def test_a_consumer_that_dies_of_an_error_is_restarted_and_gets_a_counterexample(
    of_a_user, capsys, tmp_path, name, why
):
    code, out, _ = run_command(
        capsys,
        explore_command,
        "happy",
        runs=tmp_path,
        consumer=f"of_a_user:{name}",
        histories=3,
        jobs=1,
        seed=1,
    )
    assert code == 1
    assert f"ends with exit code 1: {why}" in out


@pytest.mark.processes
@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("Leaves", "of_a_user:Leaves has called sys.exit"),
        (
            "Vanishes",
            "A process of the campaign died in the histories 1 to 100; 101 to 150, and so did the one that tried again",
        ),
    ],
)
def test_a_process_of_a_campaign_that_ends_does_not_leave_it_waiting(of_a_user, capsys, tmp_path, name, sentence):
    consumer = f"of_a_user:{name}"
    code, _, err = run_command(
        capsys, explore_command, "happy", runs=tmp_path, consumer=consumer, histories=150, jobs=2, seed=1
    )
    assert code in (2, 3, 64)
    assert sentence in err


@pytest.mark.processes
@pytest.mark.parametrize("jobs", [1, 2])
def test_what_a_consumer_prints_is_no_part_of_the_json(of_a_user, capfd, tmp_path, jobs):
    consumer = "of_a_user:Prints"
    sys.modules.pop("of_a_user", None)
    consumer_class.cache_clear()
    options = {"runs": tmp_path, "seed": 1, "consumer": consumer, "json": True}
    code, out, err = run_command(capfd, explore_command, "happy", histories=110, jobs=jobs, **options)
    assert (code, json.loads(out)["histories"]) == (0, 110)
    assert {"of a module", "of a consumer"} <= set(err.splitlines())
    code, out, err = run_command(capfd, scenario_command, "happy", tier="sim", **options)
    assert (code, json.loads(out)["verdict"]) == (0, "pass")
    assert "of a consumer" in err
    code, out, err = run_command(capfd, replay_command, None, runs=tmp_path, json=True)
    assert (code, json.loads(out)["same"]) == (0, True)
    assert "of a consumer" in err


def test_a_consumer_whose_key_is_no_text_is_judged_by_what_it_does(of_a_user, capsys, tmp_path):
    code, out, _ = run_command(
        capsys, scenario_command, "happy", tier="sim", runs=tmp_path, consumer="of_a_user:WithoutKey", seed=1
    )
    assert code == 1
    assert "lost" in out


@pytest.mark.parametrize(
    ("passed", "outcome"),
    [(0, Outcome.INCONCLUSIVE), (1, Outcome.INCONCLUSIVE), (999, Outcome.INCONCLUSIVE), (1000, Outcome.PASS)],
)
def test_a_campaign_passes_only_above_a_share_of_conclusive_histories(passed, outcome):
    outcomes = Counter({Outcome.PASS: passed, Outcome.INCONCLUSIVE: 2000 - passed})
    campaign = Campaign(make_target("crash"), 2000, seed=1)
    explored = Explored(campaign, Tally(2000, outcomes, Counter({"reply lost": 1})), 1.0)
    assert explored.outcome is outcome


def test_a_campaign_of_which_too_few_passed_says_how_many_must(capsys, tmp_path):
    tally = Tally(10, Counter({Outcome.PASS: 4, Outcome.INCONCLUSIVE: 6}), inconclusive="It came too late.")
    print_campaign(Explored(Campaign(make_target("orders"), 10, 1), tally, 1.0), None, {}, tmp_path)
    assert "TOO FEW PASSED: 4 of 10 histories, and 50% must." in " ".join(capsys.readouterr().out.split())
