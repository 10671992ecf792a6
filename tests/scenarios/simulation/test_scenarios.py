"""Every scenario in simulated time: it shows what it is to show, and nothing goes wrong beyond what may."""

import pytest

from scenarios.catalog import all_scenarios
from scenarios.checks.clean_receives import deleted_for_good
from scenarios.errors import RequestError
from scenarios.exploration.campaign import violated_by
from scenarios.exploration.fault_coverage import FAULT_KINDS, faults_met, may_meet
from scenarios.history import History
from scenarios.lab import checked_settings
from scenarios.mutants.workloads import ALL as WORKLOADS
from scenarios.simulation.lab import WAIT_TIME_SECONDS, consumer_class, consumer_options
from scenarios.verdict import Outcome
from services.consumer.assumptions import ALL
from services.consumer.consumer import Consumer
from services.consumer.options import ConsumerVariables
from services.consumer.settings import ConsumerSettings

SCENARIOS = sorted(all_scenarios())
NAMES = [workload.scenario.name for workload in WORKLOADS]


def seeds(few, many):
    """A few seeds for each scenario, and the others in the thorough tier."""
    rest = pytest.param(range(few, many), id="many", marks=pytest.mark.thorough)
    return pytest.mark.parametrize("seeds", [pytest.param(range(few), id="few"), rest])


@seeds(5, 30)
@pytest.mark.parametrize("name", SCENARIOS)
def test_a_scenario_passes_with_each_seed(simulated, name, seeds):
    for seed in seeds:
        verdict = simulated(name, seed).verdict
        assert verdict.outcome is Outcome.PASS, (seed, verdict.reason)


@seeds(5, 30)
@pytest.mark.parametrize("name", SCENARIOS)
def test_a_naive_twin_fails_with_each_seed_as_its_scenario_says(simulated, name, seeds):
    for seed in seeds:
        verdict = simulated(name, seed, naive=True).verdict
        assert (verdict.outcome, verdict.twin_met) == (Outcome.FAIL, True), (seed, verdict.reason)


@seeds(15, 75)
@pytest.mark.parametrize("name", SCENARIOS + NAMES)
def test_nothing_is_violated_whatever_goes_wrong_within_the_budget(simulated, name, seeds):
    missed = []
    for seed in seeds:
        simulation = simulated(name, seed, with_faults=True)
        assert not violated_by(simulation.verdict), (seed, simulation.counterexample())
        # Nothing comes to an end once queue or tables are deleted for good.
        if simulation.verdict.conditions.missed and not deleted_for_good(simulation.history):
            missed.append((seed, simulation.counterexample()))
    # Many faults can take from a scenario what it waits for; that stays rare.
    assert len(missed) <= 2, missed


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_largest_batch_that_a_scenario_takes_is_what_a_consumer_asks_for(simulated, name):
    most = all_scenarios()[name].max_batch_size
    received = simulated(name, 3, batch_size=most).history.calls("Receive")
    assert most in {call.arguments["max_messages"] for call in received if not call.process.startswith("lab")}


@pytest.mark.parametrize(("name", "fifo"), [("orders", False), ("groups", True)])
def test_every_kind_of_fault_that_a_queue_knows_is_injected(simulated, name, fifo):
    injected, wanted = set(), {kind for kind in FAULT_KINDS if may_meet(kind, fifo=fifo, assumes=ALL)}
    for seed in range(400):
        counts = faults_met(simulated(name, seed, with_faults=True).history)
        injected |= {kind for kind, count in counts.items() if count}
        if injected >= wanted:
            break
    assert injected == wanted


def test_the_fault_kinds_are_those_that_are_counted(simulated):
    counted = set()
    for name in ("orders", "long-work"):
        for seed in range(25):
            counted |= faults_met(simulated(name, seed, with_faults=True).history).keys()
    assert counted <= set(FAULT_KINDS)


def test_more_messages_make_a_longer_history_and_no_other_verdict(simulated):
    assert simulated("crash", 1, count=200, with_faults=True).verdict.outcome is Outcome.PASS


#: A value of each option that is not its default.
VALUES = {
    "max_messages": 7,
    "wait_time_seconds": 3,
    "message_limit": 5,
    "idle_timeout_seconds": 2.5,
    "idempotency_cache_size": 9,
    "reject_payload_marker": "bad",
    "business_idempotency_field": "order_id,action",
    "schema_version": 2,
    "claim_lease_seconds": 4.5,
    "min_lease_seconds": 0.5,
    "heartbeat_seconds": 1.5,
    "work_seconds": 3.5,
    "max_age_seconds": 6.5,
    "timestamp_field": "at",
    "side_effect_log_path": "log",
    "side_effect_log_field": "work",
}


def test_an_option_means_the_same_in_a_simulated_and_in_a_real_process():
    assert VALUES.keys() == ConsumerVariables.model_fields.keys()
    tables = {"message_status_table": "s", "message_side_effects_table": "l", "queue_url": "http://q"}
    real = ConsumerSettings(_env_file=None, **VALUES, **tables).options("me")
    assert consumer_options("me", VALUES) == real
    without = ConsumerSettings(_env_file=None, **tables).options("me")
    assert consumer_options("me", {}) == without.model_copy(update={"wait_time_seconds": WAIT_TIME_SECONDS})


@pytest.mark.parametrize("settings", [{"max_mesages": 1}, {"queue_url": "x"}, {"max_messages": 11}, {"seed": 1}])
def test_a_scenario_that_sets_an_unknown_option_is_refused(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        checked_settings(settings)


def test_a_consumer_that_raises_is_started_again_and_judged(simulated, monkeypatch):
    class Broken(Consumer):
        def open(self, message, visible_at):
            raise KeyError("a bug of yours")

    monkeypatch.setattr("scenarios.exploration.targets.consumer_class", lambda spec: Broken)
    simulation = simulated("happy", 1)
    assert violated_by(simulation.verdict) == {"wrongly-dead-lettered"}
    assert "ends with exit code 1: KeyError: 'a bug of yours'" in simulation.counterexample()
    codes = {end.process: end.code for end in simulation.history.exits.values()}
    assert (codes["consumer-1"], codes["consumer-1-2"]) == (1, 0)


@pytest.mark.parametrize("spec", ["nowhere:Class", "json:dumps", "services.consumer.consumer:Nobody", "text"])
def test_a_consumer_that_is_none_is_a_sentence(spec):
    with pytest.raises(RequestError, match="The consumer"):
        consumer_class(spec)


def test_what_died_after_a_pause_before_its_operation_may_have_done_it():
    # Only a crash says that nothing was done; a pause or a delay before an operation says nothing of the kind.
    pause = {"kind": "pause", "point": "before"}
    records = [
        {"type": "invoke", "operation": "PerformSideEffect", "arguments": {"key": "k", "message_id": "m"}},
        {"type": "fault", "invocation": 0, "operation": "PerformSideEffect", "fault": pause},
    ]
    history = History({"time": at, "process": "c", "index": at, **record} for at, record in enumerate(records))
    assert history.effects[0].status == "unknown"
