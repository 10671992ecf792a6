"""An outage ends every consumer that runs, however little it has done, and none of them sleeps for ever."""

from signal import SIGKILL

from scenarios.simulation.random_faults import Kind, RandomFault
from scenarios.strategies import FaultSchedule
from scenarios.verdict import Outcome
from services.consumer.consumer import Consumer
from services.operations import Delete, OperationFailed, PerformSideEffect, Receive


class StraightAway(Consumer):
    """A loop that asks for nothing before its first receive, so its first operations are already work."""

    def poll(self):
        while not self.stopping:
            for message in (yield Receive(1, 1)):
                delivery = self.open(message, 0.0)
                try:
                    yield PerformSideEffect(delivery.key, message.message_id)
                except OperationFailed:
                    continue
                yield Delete((message,))
        return self.done


def test_an_outage_at_the_first_operation_ends_the_consumer_that_it_strikes(simulated, monkeypatch):
    monkeypatch.setattr("scenarios.exploration.targets.consumer_class", lambda spec: StraightAway)
    schedule = FaultSchedule(consumers=((RandomFault(Kind.OUTAGE, 1),),))
    simulation = simulated("poison", 4, with_faults=True, schedule=schedule)
    history = simulation.history
    assert [strike.kind for strike in history.faults][:1] == ["outage"]
    killed = history.faults[0].process
    assert history.exits[killed].code == -SIGKILL
    assert not simulation.verdict.conditions.missed, simulation.counterexample()


def test_an_outage_ends_those_that_are_not_ready_yet_and_they_come_back(simulated):
    schedule = FaultSchedule(consumers=((RandomFault(Kind.OUTAGE, 3),),))
    met = 0
    for seed in range(20):
        simulation = simulated("visibility-too-short", seed, with_faults=True, schedule=schedule)
        history = simulation.history
        assert simulation.verdict.outcome is not Outcome.FAIL, simulation.counterexample()
        assert not simulation.verdict.conditions.missed, simulation.counterexample()
        for strike in history.faults:
            if strike.kind == "outage":
                ended = [end for end in history.exits.values() if end.code == -SIGKILL]
                ready = {record["process"] for record in history.events("started")}
                met += any(end.process not in ready for end in ended)
    assert met
