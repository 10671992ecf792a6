"""What every test shares: Hypothesis's profiles, and an environment without anybody's AWS settings in it."""

import os

import pytest
from hypothesis import HealthCheck, settings

# On a shared machine a slow example says nothing about the code, so no example has a deadline.
settings.register_profile("dev", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("dev"), derandomize=True, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "dev")

#: What a test of ours must not inherit from whoever runs it.
FOREIGN = (
    "AWS_",
    "PULUMI_",
    "QUEUE_URL",
    "DLQ_ARN",
    "MESSAGE_",
    "HISTORY_PATH",
    "PROCESS_NAME",
    "FAULTS",
    "CONSUMER",
    "PRODUCER",
)


def pytest_terminal_summary(terminalreporter):
    """Count and show what was retried: a run that was inconclusive on a busy machine is no failure, and no secret."""
    reports = [report for reports in terminalreporter.stats.values() for report in reports]
    retried = [said for report in reports for name, said in getattr(report, "user_properties", ()) if name == "retried"]
    if retried:
        terminalreporter.section("retried because inconclusive")
        for said in retried:
            terminalreporter.write_line(said)
        terminalreporter.write_line(f"{len(retried)} retries")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch):
    for name in list(os.environ):
        if name.startswith(FOREIGN):
            monkeypatch.delenv(name)
    # The AWS SDK must neither read a developer's profile nor ask the network for credentials.
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
