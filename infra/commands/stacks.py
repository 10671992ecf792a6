"""What the tasks call: ``up``, ``preview``, ``status``, ``outputs``, ``refresh``, ``down``.

Each prints what it does and returns an exit code; what goes wrong is an ``InfraError`` with one sentence.
"""

import json as json_format
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from infra.commands.printing import Printer
from infra.engines.choice import read_stack_snapshot
from infra.engines.plan import Operation, Plan
from infra.engines.state import STACK_TYPE, ResourceState, Snapshot
from infra.errors import InfraError, StackBusyError, StackNotUpError, StateError
from infra.files import write_atomically
from infra.provider.aws import PROVIDER_TYPE
from infra.provider.naming import name_of
from infra.provider.values import redact, reveal
from infra.stack.aws_account import ask, caller_identity, estimate
from infra.stack.check import check_target, reach
from infra.stack.discovery import choose_stack_target, find_target
from infra.stack.dotenv import clear_dotenv, read_dotenv, write_dotenv
from infra.stack.endpoint import Endpoint, find_endpoint, read_endpoint, stop_unnoted_endpoints
from infra.stack.left_over import find_left_over
from infra.stack.lock import is_locked
from infra.stack.names import TEMPORARY_PREFIX, choose_stack, short_name, stack_in
from infra.stack.paths import StackPaths, project_root, stack_paths, state_directory
from infra.stack.project import StackConfig, read_stack_config
from infra.stack.stacks import find_stack
from infra.stack.target import EngineName, Options, Target, TierName
from infra.stack.workspace import Place, Workspace, open_workspace
from infra.stack.workspace import preview as preview_stack
from infra.topology import SCENARIO_NAMES

DOTENV_SCENARIO = "happy"
"""The scenario whose resources ``.env`` names, for services that are run by hand."""


def up(stack: str | None = None, *, json: bool = False, yes: bool = False, **options: str | None) -> int:
    """Make what exists what the program describes, and write ``.env``.

    Args:
        stack: The stack's name; None for ``PULUMI_STACK``, else one of the login name.
        json: Print one JSON object instead of text.
        yes: Do not ask before work on the aws tier.
        **options: ``engine``, ``tier`` and ``endpoint``: where to, and by which engine.
    """
    begin = time.monotonic()
    name = choose_stack(stack)
    printer = Printer(json=json)
    read_dotenv(_dotenv_path())  # what cannot be read cannot be added to: that is said before anything is made
    with open_workspace(name, options=Options(**options), tell=printer.note) as workspace:
        _tell_scopes(workspace.config, printer)
        _confirm(workspace, printer, "make or change", yes=yes)
        plan, place = workspace.up(printer.step)
        outputs = reveal(plan.outputs)
        _write_services_file(workspace.paths, outputs, place.url)
    variables = _dotenv_variables(outputs, place.url)
    if variables:
        write_dotenv(_dotenv_path(), variables)
    seconds = time.monotonic() - begin
    if plan.changes:
        scenarios = sum(key in SCENARIO_NAMES for key in outputs)
        noun = "scenario" if scenarios == 1 else "scenarios"
        printer.summary(f"{scenarios} {noun} up in {seconds:.1f} s: {plan.summary()}. Endpoint: {place}")
    else:
        count = plan.count(Operation.SAME)
        printer.summary(f"Nothing to change in {seconds:.1f} s, {count} resources are as described. {place}")
    for scenario, consumer in outputs.get("lambdaConsumers", {}).items():
        function = consumer["function"]
        printer.summary(f"Function {function} consumes the queue of {scenario}. Its log group: /aws/lambda/{function}")
    printer.json_plan(name, plan, seconds=round(seconds, 3), endpoint=place.url)
    return 0


def preview(stack: str | None = None, *, json: bool = False, **options: str | None) -> int:
    """Tell what an ``up`` would do, and touch nothing.

    Args:
        stack: The stack's name.
        json: Print one JSON object instead of text.
        **options: ``engine``, ``tier`` and ``endpoint``.
    """
    name = choose_stack(stack)
    printer = Printer(json=json)
    target, config = _checked(name, Options(**options))
    _tell_scopes(config, printer)
    plan = preview_stack(name, config, target, printer.step, printer.note)
    printer.summary(
        f"`invoke up` would leave: {plan.summary()}." if plan.changes else f"Nothing to change: {plan.summary()}."
    )
    printer.json_plan(name, plan)
    return 0


def status(stack: str | None = None, *, json: bool = False, **options: str | None) -> int:
    """Show a stack, its endpoint and its resources by scenario, as the state knows them.

    A stack without a note is looked for in the backend and, on an endpoint that is named or on AWS, by its tags.

    Args:
        stack: The stack's name.
        json: Print one JSON object instead of text.
        **options: ``engine``, ``tier`` and ``endpoint``.

    Returns:
        0, or 1 if something carries the tags of a stack that is not up.
    """
    name = choose_stack(stack)
    paths = stack_paths(name)
    target, config = _checked(name, Options(**options))
    snapshot = read_stack_snapshot(name, target, paths)
    printer = Printer(json=json)
    if snapshot is None or not (snapshot.resources or snapshot.pending):
        left = _find_left_over(name, target, config)
        printer.summary(_sentence_of_left_over(name, left) or f"Stack {name} is not up; `invoke up` makes it.")
        printer.json_object({"stack": name, "up": False, "left": list(left)})
        return 1 if left else 0
    endpoint, alive = read_endpoint(paths), find_endpoint(paths)
    hint = _hint(snapshot, alive) if target.embeds_endpoint else _hint_of_state(snapshot)
    by_scenario = _by_scenario(snapshot)
    fields = {"stack": name, "project": snapshot.project, "engine": target.engine, "tier": target.tier}
    if not target.embeds_endpoint:
        fields["endpoint"] = str(Place.named(target))
    elif endpoint is None:
        fields |= {"endpoint": "none noted", "process": "none noted"}
    else:
        fields["endpoint"] = endpoint.url
        fields["process"] = f"{endpoint.pid} ({'alive' if alive else 'not running'})"
    if target.engine is EngineName.EMBEDDED:
        fields["state"] = str(paths.state)
    else:
        fields["state"] = target.backend or ""
    if target.account is not None:
        fields["account"] = target.account
    fields["region"] = target.deployed_region or ""
    printer.fields(fields)
    printer.resources(by_scenario)
    printer.summary(hint)
    printer.json_object(
        {
            "stack": name,
            "up": True,
            "engine": target.engine,
            "tier": target.tier,
            "account": target.account,
            "region": target.deployed_region,
            "endpoint": None if endpoint is None else {"url": endpoint.url, "pid": endpoint.pid, "alive": bool(alive)},
            "resources": {
                scenario: [{"urn": entry.urn, "type": entry.type, "id": entry.id} for entry in entries]
                for scenario, entries in by_scenario.items()
            },
            "hint": hint,
        }
    )
    return 0


def outputs(stack: str | None = None, *, json: bool = False, **options: str | None) -> int:
    """Show a stack's outputs.

    Args:
        stack: The stack's name.
        json: Print one JSON object instead of text.
        **options: ``engine``, ``tier`` and ``endpoint``, to be the ones that the stack is deployed with.

    Raises:
        StackNotUpError: The stack is not up.
    """
    name = choose_stack(stack)
    target, _ = _checked(name, Options(**options))
    snapshot = read_stack_snapshot(name, target, stack_paths(name))
    values = {} if snapshot is None else snapshot.outputs
    if not values:
        raise StackNotUpError(f"Stack {name} has no outputs: it is not up; `invoke up` makes it.")
    printer = Printer(json=json)
    url = _address(target, stack_paths(name))
    if "region" in values and (url is not None or target.is_aws):
        _write_services_file(stack_paths(name), reveal(values), url)
    printer.outputs(redact(values))
    printer.json_object(redact(values))
    return 0


def refresh(stack: str | None = None, *, json: bool = False, **options: str | None) -> int:
    """Hold the state against what exists: what is gone is dropped from it, what differs is taken over.

    Args:
        stack: The stack's name.
        json: Print one JSON object instead of text.
        **options: ``engine``, ``tier`` and ``endpoint``, to be the ones that the stack is deployed with.
    """
    name = choose_stack(stack)
    printer = Printer(json=json)
    if find_target(name) is None:
        printer.summary(f"Stack {name} is not up; there is nothing to refresh.")
        printer.json_plan(name, Plan())
        return 0
    with open_workspace(name, options=Options(**options), tell=printer.note) as workspace:
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


def down(stack: str | None = None, *, json: bool = False, yes: bool = False, **options: str | None) -> int:
    """Delete everything that the stack has, stop its endpoint and remove its files.

    On the aws tier, and on an endpoint that was named, what still carries the stack's tags afterwards is named.

    Args:
        stack: The stack's name.
        json: Print one JSON object instead of text.
        yes: Do not ask before work on the aws tier.
        **options: ``engine``, ``tier`` and ``endpoint``, to be the ones that the stack is deployed with.

    Returns:
        0, or 1 if something is left.
    """
    begin = time.monotonic()
    name = choose_stack(stack)
    paths = stack_paths(name)
    printer = Printer(json=json)
    if find_target(name) is None and not paths.endpoint.exists():
        return _down_without_a_note(name, Options(**options), printer)
    with open_workspace(name, options=Options(**options), tell=printer.note) as workspace:
        _refuse_while_in_use(name, paths)
        _confirm(workspace, printer, "delete", yes=yes)
        variables = _noted_variables(name, workspace)
        plan = workspace.down(printer.step)
        left = _find_left_over(name, workspace.target, workspace.config)
        if left:
            workspace.target.note(paths, None, complete=False)  # so that the next command knows where to look
    _take_out_of_dotenv(variables, printer)
    seconds = time.monotonic() - begin
    if left:
        printer.summary(
            f"Stack {name} is down, and these still carry its tags: {', '.join(left)}; delete them by hand."
        )
    elif not workspace.target.embeds_endpoint:
        printer.summary(
            f"Stack {name} is down in {seconds:.1f} s: {plan.summary()}; nothing carries its tags any more."
        )
    elif plan.steps:
        printer.summary(f"Stack {name} is down in {seconds:.1f} s: {plan.summary()}, its endpoint has ended.")
    else:
        printer.summary(f"Stack {name} is down: its endpoint had nothing in it any more.")
    printer.json_plan(name, plan, seconds=round(seconds, 3), left=list(left))
    return 1 if left else 0


def _refuse_while_in_use(stack: str, paths: StackPaths) -> None:
    """Leave a stack to a run that is under way, which holds a lock beside the stack's."""
    for lock in sorted(paths.directory.glob("*.lock")):
        if is_locked(lock):
            raise StackBusyError(
                f"A run ({lock.stem}) is at work on stack {stack}; wait for its end, then take the stack down."
            )


def _confirm(workspace: Workspace, printer: Printer, what: str, *, yes: bool) -> None:
    """On the aws tier: show whose account it is and what it costs, and ask."""
    target = workspace.target
    if target.tier is not TierName.AWS:
        return
    config = workspace.config
    identity = caller_identity(config.region, endpoint_url=target.endpoint_url, login=config.login)
    printer.note(
        f"Account {identity.account} ({identity.arn}), region {config.region}, stack {workspace.stack}. "
        f"It costs {estimate(config.program(), plugin=target.is_aws)}."
    )
    if not yes:
        ask(f"{what.capitalize()} resources of stack {workspace.stack} in account {identity.account}?")


def _checked(name: str, options: Options) -> tuple[Target, StackConfig]:
    """Where a command acts, once it is known to be where the stack is; and the stack's configuration."""
    target = choose_stack_target(name, options)
    config = read_stack_config(name, region=target.region)
    return check_target(name, target, config), config


def _tell_scopes(config: StackConfig, printer: Printer) -> None:
    """Name the scenarios that a value holds for, where others have a value of their own."""
    program = config.program()
    for key, names in program.scope().items():
        value = config.values.get(f"{config.project}:{key}")
        others = len(program.topology()) - len(names)
        if others and f"{config.project}:{key}" in config.chosen:
            scenarios = ", ".join(names) or "none of the scenarios"
            printer.note(f"{key} {value} holds for {scenarios}; the other {others} have their own.")


def _find_left_over(name: str, target: Target, config: StackConfig) -> tuple[str, ...]:
    """What carries the stack's tags; an endpoint of its own has nothing that outlives it."""
    if target.embeds_endpoint:
        return ()
    reach(target)
    return find_left_over(
        config.program().project_name,
        short_name(name),
        config.region,
        endpoint_url=target.endpoint_url,
        login=config.login,
    )


def _sentence_of_left_over(name: str, left: Sequence[str]) -> str:
    if not left:
        return ""
    return (
        f"Stack {name} has no state, and {len(left)} resources carry its tags: {', '.join(left)}. "
        "Give its backend or its credentials, or delete them by hand."
    )


def _down_without_a_note(name: str, options: Options, printer: Printer) -> int:
    """Stop an endpoint that no file names, and tell what carries the stack's tags."""
    stopped = stop_unnoted_endpoints(stack_paths(name))
    target, config = _checked(name, options)
    left = _find_left_over(name, target, config)
    if stopped:
        printer.summary(f"Stack {name} is down: an endpoint without a note has been stopped.")
    else:
        printer.summary(_sentence_of_left_over(name, left) or f"Stack {name} is not up; there is nothing to take down.")
    printer.json_plan(name, Plan(), left=list(left))
    return 1 if left else 0


def _take_out_of_dotenv(variables: Mapping[str, str], printer: Printer) -> None:
    """Take a stack's values out of ``.env``; where another stack is up, it gets its place."""
    path = _dotenv_path()
    present = read_dotenv(path)
    if not variables or any(present.get(key) != value for key, value in variables.items()):
        return
    try:
        for name in _noted_stacks():
            others = _dotenv_variables_of(name)
            if others:
                write_dotenv(path, others)
                printer.note(f".env names the queue of stack {name} now.")
                return
        clear_dotenv(path, variables)
    except OSError as error:
        printer.note(f"{path} still names the stack that is down: {error.strerror}.")


def _noted_stacks() -> list[str]:
    """The stacks with a note, those that were changed last first; temporary ones left aside."""
    notes = [path for path in state_directory().glob("*/target.json") if path.is_file()]
    names = [stack_in(path.parent.name) for path in sorted(notes, key=lambda path: -path.stat().st_mtime)]
    return [name for name in names if not name.startswith(TEMPORARY_PREFIX)]


def _dotenv_variables_of(name: str) -> dict[str, str]:
    try:
        found = find_stack(name)
    except InfraError:
        return {}  # it is not up as a whole, or cannot be asked now
    return {} if found is None else _dotenv_variables(found.outputs, found.endpoint_url)


def _address(target: Target, paths: StackPaths) -> str | None:
    if not target.embeds_endpoint:
        return target.endpoint_url
    endpoint = read_endpoint(paths)
    return None if endpoint is None else endpoint.url


def _dotenv_path() -> Path:
    return project_root() / ".env"


def _dotenv_variables(outputs: Mapping[str, Any], endpoint_url: str | None) -> dict[str, str]:
    return _service_variables(outputs, DOTENV_SCENARIO, endpoint_url)


_OUTPUTS = {
    "QUEUE_URL": "queueUrl",
    "DLQ_ARN": "deadLetterQueueArn",
    "MESSAGE_STATUS_TABLE": "statusTable",
    "MESSAGE_SIDE_EFFECTS_TABLE": "sideEffectsTable",
}
"""The variables of the services, and the outputs that they come from."""


def _output(resources: Mapping[str, Any], scenario: str, name: str) -> str:
    value = resources.get(name)
    if not isinstance(value, str):
        raise StateError(f"The output {scenario}.{name} is {value!r}: the state is corrupt; `invoke up` makes it anew.")
    return value


def _service_variables(outputs: Mapping[str, Any], scenario: str, endpoint_url: str | None) -> dict[str, str]:
    """The variables of the services of one scenario; empty where the stack has no resources for it."""
    resources = outputs.get(scenario)
    if not isinstance(resources, Mapping):
        return {}
    variables = {
        **{variable: _output(resources, scenario, name) for variable, name in _OUTPUTS.items()},
        "AWS_REGION": str(outputs["region"]),
        # Empty for AWS itself: the SDK takes no endpoint then, and one that stood there before is gone.
        "AWS_ENDPOINT_URL": endpoint_url or "",
    }
    return variables | ({"PAYLOAD_BUCKET": resources["bucket"]} if resources.get("bucket") else {})


def _write_services_file(paths: StackPaths, outputs: Mapping[str, Any], endpoint_url: str | None) -> None:
    variables = {name: _service_variables(outputs, name, endpoint_url) for name in SCENARIO_NAMES if name in outputs}
    write_atomically(paths.services, json_format.dumps(variables, indent=1) + "\n")


def _noted_variables(stack: str, workspace: Workspace) -> dict[str, str]:
    """What this stack's last ``up`` wrote into ``.env``."""
    target = workspace.target
    snapshot, endpoint = read_stack_snapshot(stack, target, workspace.paths), read_endpoint(workspace.paths)
    if snapshot is None or "region" not in snapshot.outputs or (target.embeds_endpoint and endpoint is None):
        return {}
    url = target.endpoint_url if endpoint is None else endpoint.url
    return _dotenv_variables(reveal(snapshot.outputs), url)


def _hint(snapshot: Snapshot, endpoint: Endpoint | None) -> str:
    if endpoint is None:
        return "The endpoint is not running, and what was in it is gone: `invoke up` makes all of it anew."
    if endpoint.instance != snapshot.endpoint:
        return "The endpoint was started anew and is empty: `invoke up` makes all of it anew."
    return _hint_of_state(snapshot)


def _hint_of_state(snapshot: Snapshot) -> str:
    if snapshot.pending:
        return "The last `invoke up` was cut off: run it again."
    return "This is what the state knows; `invoke refresh` holds it against what exists."


def _by_scenario(snapshot: Snapshot) -> dict[str, list[ResourceState]]:
    """The resources that exist outside, by scenario."""
    groups: dict[str, list[ResourceState]] = {}
    by_urn = {resource.urn: resource for resource in snapshot.resources}
    for resource in snapshot.resources:
        if resource.custom and resource.type != PROVIDER_TYPE:
            groups.setdefault(_scenario_of(resource, by_urn, snapshot.stack), []).append(resource)
    return groups


def _scenario_of(resource: ResourceState, by_urn: dict[str, ResourceState], stack: str) -> str:
    """The scenario in the name of the component that everything of a scenario stands under."""
    top = resource
    while top.parent in by_urn and by_urn[top.parent].type != STACK_TYPE:
        top = by_urn[top.parent]
    return name_of(top.urn).rpartition(f"-{stack}-")[2]
