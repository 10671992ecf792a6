"""The one place that makes boto3 clients."""

import ipaddress
from typing import Any
from urllib.parse import urlsplit

LOOPBACK_CONNECT_TIMEOUT = 2
"""Seconds; what listens on loopback answers at once or not at all."""
LOOPBACK_READ_TIMEOUT = 60
"""Seconds; longer than the longest poll."""
CONNECTIONS = 20
"""Connections that a client keeps; more than the threads that use it."""
DUMMY_CREDENTIALS = {"aws_access_key_id": "embedded", "aws_secret_access_key": "embedded"}
"""Given to clients of an endpoint on loopback, which checks none; nobody's secret."""


def aws_client(
    service: str,
    *,
    endpoint_url: str | None,
    region: str,
    profile: str | None = None,
    read_timeout: float = LOOPBACK_READ_TIMEOUT,
) -> Any:
    """Make a boto3 client.

    Args:
        service: boto3's name of the service, ``sqs`` for example.
        endpoint_url: Another endpoint than AWS's own. One on loopback gets dummy credentials, whatever the
            environment holds, and short time-outs with few retries.
        region: The AWS region.
        profile: The profile in AWS's configuration files; not looked at for an endpoint on loopback.
        read_timeout: Seconds to wait for an answer from an endpoint on loopback.
    """
    import boto3  # noqa: PLC0415 - heavy: only what talks to AWS needs it
    import botocore.session  # noqa: PLC0415 - likewise
    from botocore.config import Config  # noqa: PLC0415 - likewise

    if endpoint_url is not None and is_loopback(endpoint_url):
        # A profile that the environment names is not even looked for: it may well not exist on this machine.
        core = botocore.session.Session(session_vars={"profile": (None, None, None, None)})
        session = boto3.session.Session(botocore_session=core, region_name=region, **DUMMY_CREDENTIALS)
        config = Config(
            connect_timeout=LOOPBACK_CONNECT_TIMEOUT,
            read_timeout=read_timeout,
            retries={"total_max_attempts": 2, "mode": "standard"},
            max_pool_connections=CONNECTIONS,
            # A proxy from the environment has no way to this machine's own loopback.
            proxies={},
        )
    else:
        session = boto3.session.Session(region_name=region, profile_name=profile)
        config = Config(retries={"mode": "standard"}, max_pool_connections=CONNECTIONS)
    return session.client(service, endpoint_url=endpoint_url, config=config)


def is_loopback(url: str) -> bool:
    """Whether a URL names this machine's loopback."""
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
