"""Is everything here that the commands need? Python, packages, the Pulumi CLI, credentials, region, endpoint."""

import platform
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, version

from infra.commands.printing import Printer
from infra.engines.pulumi.cli import PINNED_VERSION, backend_url, find_cli, needs_passphrase, require_passphrase
from infra.errors import InfraError
from infra.stack.aws_account import caller_identity
from infra.stack.discovery import choose_stack_target
from infra.stack.names import choose_stack
from infra.stack.paths import project_root, stack_config_path
from infra.stack.permissions import find_missing_permissions
from infra.stack.project import StackConfig, read_stack_config
from infra.stack.target import EngineName, Options, Target, TierName

OLDEST_PYTHON = (3, 11)
NEWEST_PYTHON = (3, 13)
PACKAGES = ("boto3", "moto", "pulumi", "pydantic-settings", "rich", "invoke")


class State(StrEnum):
    """How a check came out."""

    OK = "ok"
    NOT_NEEDED = "not needed"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the table.

    Attributes:
        name: What was looked at.
        state: How it came out.
        detail: What was found, or what to do.
    """

    name: str
    state: State
    detail: str


def preflight(stack: str | None = None, *, json: bool = False, **options: str | None) -> int:
    """Show whether everything is here that a deployment needs.

    Args:
        stack: The stack's name.
        json: Print one JSON object instead of text.
        **options: ``engine``, ``tier`` and ``endpoint``.

    Returns:
        0, or 1 if something is missing.
    """
    name = choose_stack(stack)
    printer = Printer(json=json)
    target = choose_stack_target(name, Options(**options))
    checks = list(run_checks(name, target, read_stack_config(name, region=target.region)))
    missing = [check.name for check in checks if check.state is State.MISSING]
    printer.rows(("check", "state", "detail"), [(check.name, check.state, check.detail) for check in checks])
    printer.summary(
        f"Missing for the {target.tier} tier by the {target.engine} engine: {', '.join(missing)}."
        if missing
        else f"All is here for the {target.tier} tier by the {target.engine} engine."
    )
    printer.json_object({"missing": missing, "checks": [asdict(check) for check in checks]})
    return 1 if missing else 0


def run_checks(stack: str, target: Target, config: StackConfig) -> Iterator[Check]:
    """Look at everything that a deployment to a target needs.

    Args:
        stack: The stack's name.
        target: The target.
        config: The stack's configuration.
    """
    backend = backend_url(project_root(), stack=stack)
    real_engine = target.engine is EngineName.PULUMI
    yield _python()
    yield from map(_package, PACKAGES)
    yield _package("pulumi-aws", needed=target.is_aws, extra="aws")
    yield _check("Pulumi CLI", _cli, needed=real_engine)
    yield _check("Pulumi passphrase", lambda: _passphrase(backend, stack), needed=real_engine)
    if real_engine:
        yield Check("Pulumi backend", State.OK, backend)
    yield Check("AWS region", State.OK, config.region)
    yield _endpoint(target)
    if target.tier is TierName.AWS:
        yield _check("AWS credentials", lambda: _credentials(target, config), needed=True)
        if target.is_aws:
            yield _permissions(config)
    else:
        yield Check("AWS credentials", State.NOT_NEEDED, "only the aws tier needs them")


def _python() -> Check:
    found = sys.version_info[:2]
    fits = OLDEST_PYTHON <= found <= NEWEST_PYTHON
    wanted = f"{OLDEST_PYTHON[0]}.{OLDEST_PYTHON[1]} to {NEWEST_PYTHON[0]}.{NEWEST_PYTHON[1]}"
    detail = platform.python_version() if fits else f"this is {platform.python_version()}; use one of {wanted}"
    return Check("Python", State.OK if fits else State.MISSING, detail)


def _package(name: str, *, needed: bool = True, extra: str = "dev") -> Check:
    try:
        return Check(name, State.OK, version(name))
    except PackageNotFoundError:
        missing = State.MISSING if needed else State.NOT_NEEDED
        return Check(name, missing, f"not installed: pip install 'queue-fundamentals[{extra}]'")


def _check(name: str, look: Callable[[], str], *, needed: bool) -> Check:
    try:
        return Check(name, State.OK, look())
    except InfraError as error:
        return Check(name, State.MISSING if needed else State.NOT_NEEDED, str(error))


def _cli() -> str:
    cli = find_cli()
    found = cli.command().version
    remark = "" if str(found) == PINNED_VERSION else f" (the tests run with {PINNED_VERSION})"
    return f"{found}, {cli.path}{remark}"


def _passphrase(backend: str, stack: str) -> str:
    require_passphrase(backend, stack_config_path(stack))
    return "set" if needs_passphrase(backend, stack_config_path(stack)) else "none needed: another one encrypts secrets"


def _credentials(target: Target, config: StackConfig) -> str:
    identity = caller_identity(config.region, endpoint_url=target.endpoint_url, login=config.login)
    return f"account {identity.account}, {identity.arn}"


def _permissions(config: StackConfig) -> Check:
    try:
        identity = caller_identity(config.region, endpoint_url=None, login=config.login)
        found = find_missing_permissions(identity, config.program().project_name, config.region, config.login)
    except InfraError as error:
        return Check("AWS permissions", State.MISSING, str(error))
    return Check("AWS permissions", State.MISSING if found.missing else State.OK, str(found))


def _endpoint(target: Target) -> Check:
    if target.is_aws:
        return Check("Endpoint", State.OK, "AWS itself")
    if target.embeds_endpoint:
        return Check("Endpoint", State.OK, "the stack's own, which `invoke up` starts")
    try:
        identity = caller_identity("us-east-1", endpoint_url=target.endpoint_url)
    except InfraError as error:
        return Check("Endpoint", State.MISSING, str(error))
    return Check("Endpoint", State.OK, f"{target.endpoint_url} answers, account {identity.account}")
