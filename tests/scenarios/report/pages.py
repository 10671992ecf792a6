"""What the tests of the report share: a verdict over a told history, a long history, and what a page carries."""

import json
import re

from scenarios.catalog import find_scenario
from scenarios.parameters import Parameters
from scenarios.verdict import Conditions, judge
from tests.scenarios.recorded import Told


def judged(told, scenario="happy", **conditions):
    given = {"seed": 7, "parameters": Parameters(10, 10), "tier": "local", "command": "invoke again", **conditions}
    return judge(find_scenario(scenario), told.history, Conditions(**given))


def embedded(text):
    """Return the columns that a page carries for its plots."""
    return json.loads(re.search(r'<script type="application/json" id="plots">(.*?)</script>', text, re.DOTALL)[1])


def doubled(count):
    """Return a history of so many messages, all of them done twice."""
    told = Told()
    for number in range(count):
        identity = f"id-{number}"
        told.send(identity)
        told.receive("c", identity)
        told.effect("c", identity)
        told.effect("c", identity, executions=2)
        told.delete("c", identity)
    told.ledger(**{f"id-{number}": 2 for number in range(count)})
    return told
