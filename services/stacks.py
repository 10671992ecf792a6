"""What a stack's outputs tell a service: which queue, tables and endpoint are its scenario's.

``invoke up`` writes them into the stack's directory, one set of variables a scenario.
"""

from __future__ import annotations

import json
from pathlib import Path

from services.errors import ConfigurationError

DIRECTORY = ".queue-fundamentals"
FILE = "services.json"
SCENARIO = "happy"
"""The scenario whose resources are taken where none is named."""


def stack_variables(stack: str, scenario: str | None = None) -> dict[str, str]:
    """Return the variables of a scenario's services on a stack.

    Args:
        stack: the stack's name, with its organization if it has one.
        scenario: the scenario's name; None for ``happy``.

    Raises:
        ConfigurationError: the stack or the scenario is not there, or the file cannot be read.
    """
    organization, slash, _ = stack.partition("/")
    directory = f"{organization}@{stack.rpartition('/')[2]}" if slash else stack
    here = Path.cwd()
    paths = [parent / DIRECTORY / directory / FILE for parent in (here, *here.parents)]
    path = next((path for path in paths if path.is_file()), None)
    if path is None:
        raise ConfigurationError(
            f"The outputs of the stack {stack} are not here; `invoke up --stack {stack}` or `invoke outputs --stack "
            f"{stack}` writes them."
        )
    try:
        scenarios = json.loads(path.read_text(encoding="utf-8"))
        variables = scenarios.get(scenario or SCENARIO)
        whole = variables is None or all(isinstance(value, str) for value in variables.values())
    except (OSError, ValueError, AttributeError) as error:
        raise ConfigurationError(f"{path} cannot be read ({error}); `invoke outputs` writes it anew.") from None
    if not whole:
        raise ConfigurationError(f"{path} holds a value that is no text; `invoke outputs` writes it anew.")
    if variables is None:
        raise ConfigurationError(
            f"The stack {stack} has no resources for the scenario {scenario or SCENARIO}; it has: "
            f"{', '.join(sorted(scenarios))}."
        )
    return {str(name): str(value) for name, value in variables.items()}
