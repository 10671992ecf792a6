"""Lambda handlers of other makes, each correct and with a true bug; docs/lambda.md has the table.

``.ci/consumers`` installs what they need.
"""

from pathlib import Path

import pytest

from scenarios.checks.functions import Handler
from scenarios.runs.run import RunRequest, run_scenario
from tests.consumers.test_consumers import installed

pytestmark = [pytest.mark.processes, pytest.mark.thorough]

REPORTS = {"report_batch_item_failures": True}


@pytest.fixture
def handler(monkeypatch):
    """Return a handler of a make by the name of its variant."""

    def found(make, variant):
        directory = Path(installed(make))
        if make == "powertools":
            (packages,) = directory.glob("venv/lib/python3*/site-packages")
            monkeypatch.setenv("PYTHONPATH", str(packages))
            return Handler(f"powertools.{variant}", code=Path(__file__).parent / "handlers", settings=REPORTS)
        if make == "powertools-ts":
            return Handler(f"index.{variant}", "node", directory, REPORTS)
        return Handler(f"./{variant}", code=directory, settings=REPORTS)

    return found


@pytest.mark.parametrize(
    "case",
    [
        ("powertools", "careful", "lambda-timeout", set()),
        ("powertools", "forgets_context", "lambda-timeout", {"wrongly-dead-lettered"}),
        ("powertools", "without_ledger", "lambda-timeout", {"duplicated-side-effect"}),
        ("powertools", "without_idempotency", "lambda-timeout", {"duplicated-side-effect"}),
        ("powertools", "careful", "lambda-partial-response", set()),
        ("powertools", "silent", "lambda-partial-response", {"poison-acknowledged"}),
        ("powertools-ts", "careful", "lambda-partial-response", set()),
        ("powertools-ts", "floating", "lambda-partial-response", {"lost"}),
        ("go-lambda", "careful", "crash", set()),
        ("go-lambda", "hasty", "crash", {"duplicated-side-effect"}),
    ],
    ids=lambda case: "-".join(case[:3]),
)
def test_which_scenario_convicts_which_handler(project, handler, case):
    make, variant, scenario, violated = case
    verdict = run_scenario(RunRequest(scenario, seed=1, handler=handler(make, variant))).verdict
    # Whether a frozen side effect is thawed after its message was deleted, or never, the next invocation decides.
    found = {name for name, found in verdict.violations.items() if found} - {"deleted-before-done"}
    assert found == violated, verdict.reason
    assert violated or str(verdict.outcome) == "pass", verdict.reason
