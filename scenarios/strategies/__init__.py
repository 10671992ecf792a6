"""Hypothesis strategies and a state machine, for our tests and for yours.

simulated    strategies for message mixes, fault schedules and whole simulations
machine      a state machine whose rules send, start, strike, wait and stop
"""

from scenarios.strategies.machine import ConsumerMachine
from scenarios.strategies.simulated import (
    FaultSchedule,
    bodies,
    choices,
    fault_schedules,
    message_mixes,
    messages,
    random_faults,
    simulations,
    story_faults,
)

__all__ = [
    "ConsumerMachine",
    "FaultSchedule",
    "bodies",
    "choices",
    "fault_schedules",
    "message_mixes",
    "messages",
    "random_faults",
    "simulations",
    "story_faults",
]
