"""Abstract states: what tells them apart, what does not, and what campaigns do with them."""

import json
import pickle
from dataclasses import replace

import pytest

from scenarios.commands.explore import explore as explore_command
from scenarios.commands.options import BAD_REQUEST
from scenarios.exploration.bounded import ScheduledFaults
from scenarios.exploration.campaign import CHUNK, MUTATED_ONE_IN, Campaign, Shard, explore, history_of
from scenarios.exploration.corpus import Entry, MutatedChoices, best_of, corpus_path, read_corpus, write_corpus
from scenarios.exploration.shards import merge, write_shard
from scenarios.exploration.state_coverage import BITS, MOST_POINTS, Coverage, Growth, states_of
from scenarios.exploration.targets import make_target
from scenarios.simulation.choices import RecordedChoices, ReplayedChoices, SeededChoices
from scenarios.simulation.lab import NoFaults
from scenarios.simulation.random_faults import Kind, RandomFault
from scenarios.simulation.run import simulate


class TestStates:
    def test_names_and_seeds_make_no_state(self):
        target = make_target("orders")
        first, second = (simulate(target.plan(seed), ReplayedChoices(()), NoFaults()).history for seed in (1, 2))
        assert list(first.records) != list(second.records)
        assert states_of(first) == states_of(second)

    @pytest.mark.parametrize(
        "fault",
        [Kind.CRASH_BEFORE, Kind.CRASH_DURING, Kind.CRASH_AFTER, Kind.THROTTLE, Kind.REPLY_LOST, Kind.SIGTERM],
    )
    def test_a_fault_leads_to_states_that_a_calm_history_does_not_have(self, fault):
        plan = make_target("orders", count=2).plan(0)
        calm = states_of(simulate(plan, ReplayedChoices(()), NoFaults()).history)
        faults = ScheduledFaults((("consumer-1", RandomFault(fault, 5)),))
        struck = simulate(plan, ReplayedChoices(()), faults).history
        assert struck.faults
        assert states_of(struck) - calm

    def test_they_are_the_same_bits_in_each_process(self):
        history = simulate(make_target("groups").plan(3), SeededChoices(3)).history
        states = states_of(history)
        assert all(0 <= state < BITS for state in states)
        assert states == states_of(history)


class TestCoverage:
    def test_it_counts_each_state_once_and_adds_up(self):
        one, other = Coverage(), Coverage()
        assert one.add([1, 5, 9, 5]) == 3
        assert one.add([5]) == 0
        assert other.add([9, BITS - 1]) == 2
        assert one.merge(other) == 1
        assert one.count == 4
        assert one.add([1, 5, 9, BITS - 1]) == 0

    def test_it_travels_in_few_bytes(self):
        coverage = Coverage()
        coverage.add(range(0, BITS, 5_000))
        packed = pickle.dumps(coverage)
        assert pickle.loads(packed) == coverage == Coverage.unpack(coverage.packed())  # noqa: S301 - it was just made
        assert len(packed) < BITS // 8 / 20

    @pytest.mark.parametrize("packed", [b"", b"no map", Coverage().packed()[:-5]])
    def test_what_is_no_map_is_refused(self, packed):
        with pytest.raises(ValueError, match=r"."):
            Coverage.unpack(packed)

    def test_growth_tells_new_states_by_part_and_keeps_few_points(self):
        growth = Growth()
        for histories, states in ((500, 40), (1_000, 60), (1_500, 70), (2_000, 80)):
            growth.note(histories, states)
        assert growth.new_per_thousand() == [(1_000, 60.0), (2_000, 20.0)]
        for thousand in range(3, 3_000):
            growth.note(thousand * 1_000, 80 + thousand)
        assert len(growth.points) <= MOST_POINTS
        assert growth.new_per_thousand()[-1][1] == pytest.approx(1.0)


class TestCampaign:
    def test_a_campaign_that_sees_nothing_new_ends(self):
        # Without faults and with one history after the other alike, there is nothing new after the first.
        target = make_target("happy", count=1)
        endless = Campaign(target, 100_000, 1, saturated=CHUNK)
        explored = explore(endless)
        assert explored.is_saturated
        assert explored.tally.histories < 100_000

    def test_a_campaign_that_still_sees_new_states_goes_on(self):
        explored = explore(Campaign(make_target("orders"), 3 * CHUNK, 1, bounded=False, saturated=CHUNK))
        assert not explored.is_saturated
        assert explored.tally.histories == 3 * CHUNK

    def test_shards_see_the_states_of_one_machine(self, tmp_path):
        whole = Campaign(make_target("poison"), 250, 4)
        for number in (1, 2):
            (tmp_path / str(number)).mkdir()
            write_shard(tmp_path / str(number), explore(replace(whole, shard=Shard(number, 2))))
        merged = merge([tmp_path / "1", tmp_path / "2"])
        assert merged.tally.coverage == explore(whole).tally.coverage
        assert merged.tally.coverage.count > 100


class TestCorpus:
    def test_a_mutation_keeps_most_of_an_entry_and_follows_from_its_seed(self):
        target = make_target("orders")
        recorded = RecordedChoices(SeededChoices(5))
        simulate(target.plan(5), recorded)
        entry = Entry(5, bytes(recorded.taken))
        histories = []
        for seed in (1, 1, 2, 3, 4, 5):
            again = RecordedChoices(MutatedChoices(entry, seed))
            simulate(target.plan(5), again)
            histories.append(bytes(again.taken))
        assert histories[0] == histories[1]
        assert len({*histories} - {entry.choices}) >= 3
        assert any(taken[:10] == entry.choices[:10] for taken in histories)

    def test_what_covers_most_comes_first_and_what_adds_nothing_is_left_out(self):
        target = make_target("orders")
        calm = (0, ReplayedChoices(()))
        rich = [(seed, SeededChoices(seed)) for seed in range(6)]
        entries = best_of(target, [calm, (0, ReplayedChoices(())), *rich])
        assert 1 < len(entries) <= 7
        covered = [
            len(states_of(simulate(target.plan(entry.seed), ReplayedChoices(entry.choices)).history))
            for entry in entries
        ]
        assert covered[0] == max(covered)

    def test_a_campaign_mutates_it_and_can_tell_each_history_again(self, tmp_path):
        target = make_target("orders", mutant="fails-open")
        entries = best_of(target, [(seed, SeededChoices(seed)) for seed in range(4)])
        campaign = Campaign(target, 40, 1, bounded=False, corpus=entries)
        assert isinstance(history_of(campaign, MUTATED_ONE_IN).choices, MutatedChoices)
        assert isinstance(history_of(campaign, 1).choices, SeededChoices)
        assert explore(campaign).tally == explore(campaign).tally
        assert explore(campaign).tally != explore(Campaign(target, 40, 1, bounded=False)).tally

    def test_it_is_written_and_read(self, tmp_path):
        target = make_target("orders")
        path = corpus_path(tmp_path, target)
        assert read_corpus(path) == ()
        entries = (Entry(3, bytes([1, 2, 127])), Entry(4, b""))
        write_corpus(path, target, entries)
        assert read_corpus(path) == entries
        assert corpus_path(tmp_path, make_target("orders", mutant="fails-open")) != path

    def test_the_command_leaves_it_and_begins_with_it(self, tmp_path, capsys):
        options = {"histories": 60, "seed": 1, "jobs": 1, "corpus": True, "runs": tmp_path, "json": True}
        assert explore_command("orders", **options) == 0
        first = json.loads(capsys.readouterr().out)["states"]
        assert first["mutated_from"] == 0
        assert explore_command("orders", **options) == 0
        second = json.loads(capsys.readouterr().out)["states"]
        assert second["mutated_from"] > 0

    @pytest.mark.parametrize("content", ["", "[]", '{"form": 0, "entries": []}', '{"form": 1, "entries": [{}]}'])
    def test_a_damaged_file_is_a_sentence(self, tmp_path, capsys, content):
        path = corpus_path(tmp_path, make_target("orders"))
        path.parent.mkdir()
        path.write_text(content)
        code = explore_command("orders", histories=10, seed=1, jobs=1, corpus=True, runs=tmp_path)
        assert code == BAD_REQUEST
        assert "holds no corpus of this version" in capsys.readouterr().err

    @pytest.mark.parametrize("option", [{"saturated": 5}, {"corpus": True}])
    def test_a_shard_takes_neither(self, tmp_path, capsys, option):
        code = explore_command("orders", histories=10, seed=1, shard="1/2", runs=tmp_path, **option)
        assert code == BAD_REQUEST
        assert "--shard takes no" in capsys.readouterr().err
