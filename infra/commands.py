"""What the tasks call: ``up``, ``preview``, ``status``, ``outputs``, ``refresh``, ``down``.

Each prints what it does and returns an exit code; what goes wrong is an ``InfraError`` with one sentence.
"""

import time
from pathlib import Path

from infra.dotenv import clear_dotenv, write_dotenv
from infra.endpoint import Endpoint, find_endpoint, read_endpoint
from infra.engines.plan import Operation, Plan
from infra.engines.state import STACK_TYPE, ResourceState, Snapshot, read_snapshot
from infra.errors import StackNotUpError
from infra.names import choose_stack
from infra.paths import StackPaths, project_root, stack_paths
from infra.printing import Printer
from infra.project import read_stack_config
from infra.provider.naming import name_of
from infra.provider.values import redact, reveal
from infra.topology import SCENARIO_NAMES
from infra.workspace import open_workspace
from infra.workspace import preview as preview_stack

DOTENV_SCENARIO = "happy"
"""The scenario whose resources ``.env`` names, for services that are run by hand."""


def up(stack: str | None = None, *, json: bool = False) -> int:
    """Make what exists what the program describes, and write ``.env``.

    Args:
        stack: The stack's name; None for ``PULUMI_STACK``, else one of the login name.
        json: Print one JSON object instead of text.
    """
    begin = time.monotonic()
    name = choose_stack(stack)
    printer = Printer(json=json)
    with open_workspace(name, tell=printer.note) as workspace:
        plan, endpoint = workspace.up(printer.step)
    outputs = reveal(plan.outputs)
    variables = _dotenv_variables(outputs, endpoint.url)
    if variables:
        write_dotenv(_dotenv_path(), variables)
    seconds = time.monotonic() - begin
    if plan.changes:
        scenarios = sum(key in SCENARIO_NAMES for key in outputs)
        printer.summary(f"{scenarios} scenarios up in {seconds:.1f} s: {plan.summary()}. Endpoint: {endpoint.url}")
    else:
        count = plan.count(Operation.SAME)
        printer.summary(f"Nothing to change in {seconds:.1f} s, {count} resources are as described. {endpoint.url}")
    printer.json_plan(name, plan, seconds=round(seconds, 3), endpoint=endpoint.url)
    return 0


def preview(stack: str | None = None, *, json: bool = False) -> int:
    """Tell what an ``up`` would do, and touch nothing.

    Args:
        stack: The stack's name.
        json: Print one JSON object instead of text.
    """
    name = choose_stack(stack)
    printer = Printer(json=json)
    plan = preview_stack(name, read_stack_config(name), printer.step, printer.note)
    printer.summary(
        f"`invoke up` would leave: {plan.summary()}." if plan.changes else f"Nothing to change: {plan.summary()}."
    )
    printer.json_plan(name, plan)
    return 0


def status(stack: str | None = None, *, json: bool = False) -> int:
    """Show a stack, its endpoint and its resources by scenario, as the state knows them.

    Args:
        stack: The stack's name.
        json: Print one JSON object instead of text.
    """
    name = choose_stack(stack)
    paths = stack_paths(name)
    snapshot = read_snapshot(paths.state)
    printer = Printer(json=json)
    endpoint, alive = read_endpoint(paths), find_endpoint(paths)
    if snapshot is None or not (snapshot.resources or snapshot.pending):
        printer.summary(f"Stack {name} is not up; `invoke up` makes it.")
        printer.json_object({"stack": name, "up": False})
        return 0
    hint = _hint(snapshot, alive)
    by_scenario = _by_scenario(snapshot)
    printer.fields(
        {
            "stack": name,
            "project": snapshot.project,
            "endpoint": "none noted" if endpoint is None else endpoint.url,
            "process": "none noted" if endpoint is None else f"{endpoint.pid} ({'alive' if alive else 'not running'})",
            "state": str(paths.state),
        }
    )
    printer.resources(by_scenario)
    printer.summary(hint)
    printer.json_object(
        {
            "stack": name,
            "up": True,
            "endpoint": None if endpoint is None else {"url": endpoint.url, "pid": endpoint.pid, "alive": bool(alive)},
            "resources": {
                scenario: [{"urn": entry.urn, "type": entry.type, "id": entry.id} for entry in entries]
                for scenario, entries in by_scenario.items()
            },
            "hint": hint,
        }
    )
    return 0


def outputs(stack: str | None = None, *, json: bool = False) -> int:
    """Show a stack's outputs.

    Args:
        stack: The stack's name.
        json: Print one JSON object instead of text.

    Raises:
        StackNotUpError: The stack is not up.
    """
    name = choose_stack(stack)
    snapshot = read_snapshot(stack_paths(name).state)
    values = {} if snapshot is None else snapshot.outputs
    if not values:
        raise StackNotUpError(f"Stack {name} has no outputs: it is not up; `invoke up` makes it.")
    printer = Printer(json=json)
    printer.outputs(redact(values))
    printer.json_object(redact(values))
    return 0


def refresh(stack: str | None = None, *, json: bool = False) -> int:
    """Hold the state against what exists: what is gone is dropped from it, what differs is taken over.

    Args:
        stack: The stack's name.
        json: Print one JSON object instead of text.
    """
    name = choose_stack(stack)
    paths = stack_paths(name)
    printer = Printer(json=json)
    if not paths.state.exists():
        printer.summary(f"Stack {name} is not up; there is nothing to refresh.")
        printer.json_plan(name, Plan())
        return 0
    with open_workspace(name, tell=printer.note) as workspace:
        plan = workspace.refresh(printer.step)
    gone, differ = plan.count(Operation.DELETE), plan.count(Operation.UPDATE)
    if plan.changes:
        printer.summary(
            f"{gone} resources are gone and {differ} differ from what was deployed; "
            "`invoke up` makes them as described again."
        )
    else:
        printer.summary(f"All {plan.count(Operation.SAME)} resources are as they were deployed.")
    printer.json_plan(name, plan)
    return 0


def down(stack: str | None = None, *, json: bool = False) -> int:
    """Delete everything that the stack has, stop its endpoint and remove its files.

    Args:
        stack: The stack's name.
        json: Print one JSON object instead of text.
    """
    begin = time.monotonic()
    name = choose_stack(stack)
    paths = stack_paths(name)
    printer = Printer(json=json)
    if not paths.state.exists() and not paths.endpoint.exists():
        printer.summary(f"Stack {name} is not up; there is nothing to take down.")
        printer.json_plan(name, Plan())
        return 0
    variables = _noted_variables(paths)
    with open_workspace(name, tell=printer.note) as workspace:
        plan = workspace.down(printer.step)
    clear_dotenv(_dotenv_path(), variables)
    seconds = time.monotonic() - begin
    if plan.steps:
        printer.summary(f"Stack {name} is down in {seconds:.1f} s: {plan.summary()}, its endpoint has ended.")
    else:
        printer.summary(f"Stack {name} is down: its endpoint had nothing in it any more.")
    printer.json_plan(name, plan, seconds=round(seconds, 3))
    return 0


def _dotenv_path() -> Path:
    return project_root() / ".env"


def _dotenv_variables(outputs: dict[str, dict[str, str]], endpoint_url: str) -> dict[str, str]:
    resources = outputs.get(DOTENV_SCENARIO)
    if resources is None:
        return {}
    return {
        "QUEUE_URL": resources["queueUrl"],
        "DLQ_ARN": resources["deadLetterQueueArn"],
        "AWS_REGION": str(outputs["region"]),
        "MESSAGE_STATUS_TABLE": resources["statusTable"],
        "MESSAGE_SIDE_EFFECTS_TABLE": resources["sideEffectsTable"],
        "AWS_ENDPOINT_URL": endpoint_url,
    }


def _noted_variables(paths: StackPaths) -> dict[str, str]:
    """What this stack's last ``up`` wrote into ``.env``."""
    snapshot, endpoint = read_snapshot(paths.state), read_endpoint(paths)
    if snapshot is None or endpoint is None or "region" not in snapshot.outputs:
        return {}
    return _dotenv_variables(reveal(snapshot.outputs), endpoint.url)


def _hint(snapshot: Snapshot, endpoint: Endpoint | None) -> str:
    if endpoint is None:
        return "The endpoint is not running, and what was in it is gone: `invoke up` makes all of it anew."
    if endpoint.instance != snapshot.endpoint:
        return "The endpoint was started anew and is empty: `invoke up` makes all of it anew."
    if snapshot.pending:
        return "The last `invoke up` was cut off: run it again."
    return "This is what the state knows; `invoke refresh` holds it against what exists."


def _by_scenario(snapshot: Snapshot) -> dict[str, list[ResourceState]]:
    """The resources that exist outside, by scenario."""
    groups: dict[str, list[ResourceState]] = {}
    by_urn = {resource.urn: resource for resource in snapshot.resources}
    for resource in snapshot.resources:
        if resource.custom and "region" in resource.outputs:
            groups.setdefault(_scenario_of(resource, by_urn, snapshot.stack), []).append(resource)
    return groups


def _scenario_of(resource: ResourceState, by_urn: dict[str, ResourceState], stack: str) -> str:
    """The scenario in the name of the component that everything of a scenario stands under."""
    top = resource
    while top.parent in by_urn and by_urn[top.parent].type != STACK_TYPE:
        top = by_urn[top.parent]
    return name_of(top.urn).rpartition(f"-{stack}-")[2]
