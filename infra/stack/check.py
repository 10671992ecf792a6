"""Is a stack where its note says? Checked before a command acts, so that none acts on another account or backend.

A note tells the account, the endpoint, the region, the backend, the engine and the tier. The engine, the tier and an
endpoint that is given as an option are compared where the target is chosen (``infra.stack.target``).
"""

import os
import socket
from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import urlsplit

from infra.clients import Login
from infra.engines.pulumi.cli import backend_url
from infra.errors import ConfigError, EndpointError, InfraError
from infra.stack.aws_account import caller_identity
from infra.stack.paths import project_root
from infra.stack.project import StackConfig
from infra.stack.target import ENDPOINT_VARIABLE, EngineName, Target

REACH_SECONDS = 5.0


def check_target(
    stack: str,
    target: Target,
    config: StackConfig,
    environment: Mapping[str, str] = os.environ,
    *,
    ask: bool = False,
) -> Target:
    """Compare a stack's note with where the command would act, and complete it with what it does not tell yet.

    Args:
        stack: The stack's name.
        target: Where the stack is, as noted or as chosen.
        config: The stack's configuration.
        environment: The environment variables.
        ask: Whether the account is asked for where none is noted, which needs credentials.

    Returns:
        The target with account, region and backend.

    Raises:
        ConfigError: Something differs; the sentence names it.
        ProviderError: AWS refuses the credentials.
    """
    region = config.region
    if target.deployed_region is not None and region != target.deployed_region:
        raise _differs(stack, "region", target.deployed_region, f"its configuration says {region}", "set it back")
    _check_endpoint(stack, target, environment)
    backend = _checked_backend(stack, target, environment)
    asked = not target.embeds_endpoint and (ask or target.account is not None)
    account = account_of(target, config.login, region) if asked else None
    if target.account is not None and account is None:
        reach(target)
        raise EndpointError(f"STS of {target.endpoint_url} does not tell the account of stack {stack}; try again.")
    if target.account is not None and account != target.account:
        raise _differs(stack, "account", target.account, f"these credentials are of account {account}", "use others")
    return replace(target, account=account, deployed_region=region, backend=backend)


def reach(target: Target) -> None:
    """Make sure that something listens at the endpoint that a target names.

    Raises:
        EndpointError: Nothing does.
    """
    if target.endpoint_url is None:
        return
    parts = urlsplit(target.endpoint_url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        socket.create_connection((parts.hostname or "", port), timeout=REACH_SECONDS).close()
    except OSError as error:
        raise EndpointError(
            f"Nothing answers at {target.endpoint_url} ({error.strerror or error}): start it, or name another one."
        ) from error


def account_of(target: Target, login: Login, region: str) -> str | None:
    """The account that a target's credentials belong to; None for an endpoint without STS.

    Raises:
        ConfigError: There are no credentials.
        ProviderError: AWS refuses them.
    """
    try:
        return caller_identity(region, endpoint_url=target.endpoint_url, login=login).account
    except ConfigError:
        raise
    except InfraError:
        if target.is_aws:
            raise
        return None


def _check_endpoint(stack: str, target: Target, environment: Mapping[str, str]) -> None:
    named = environment.get(ENDPOINT_VARIABLE, "").rstrip("/")
    if named and not target.embeds_endpoint and named != target.endpoint_url:
        raise _differs(
            stack, "endpoint", target.endpoint_url or "AWS itself", f"{ENDPOINT_VARIABLE} is {named}", "unset it"
        )


def _checked_backend(stack: str, target: Target, environment: Mapping[str, str]) -> str | None:
    if target.engine is not EngineName.PULUMI:
        return None
    backend = backend_url(project_root(), environment, stack=stack)
    if target.backend is not None and backend != target.backend:
        raise _differs(
            stack, "backend", target.backend, f"PULUMI_BACKEND_URL or `pulumi login` names {backend}", "name that one"
        )
    return backend


def _differs(stack: str, what: str, noted: str, present: str, remedy: str) -> ConfigError:
    return ConfigError(
        f"Stack {stack} is deployed with {what} {noted}, and {present}: {remedy}, so that nothing is lost."
    )
