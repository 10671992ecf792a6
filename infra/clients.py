"""The one place that makes boto3 clients."""

import functools
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from services.common.loopback import is_loopback_url

LOOPBACK_CONNECT_TIMEOUT = 2
"""Seconds; what listens on loopback answers at once or not at all."""
LOOPBACK_READ_TIMEOUT = 60
"""Seconds; longer than the longest poll."""
CONNECTIONS = 20
"""Connections that a client keeps; more than the threads that use it."""
DUMMY_CREDENTIALS = {"aws_access_key_id": "embedded", "aws_secret_access_key": "embedded"}
"""Given to clients of an endpoint on loopback, which checks none; they are no secret."""


@dataclass(frozen=True, slots=True)
class Role:
    """A role to assume.

    Attributes:
        arn: Its ARN.
        session: The session's name.
        external_id: What the role's account may demand.
    """

    arn: str
    session: str | None = None
    external_id: str | None = None


@dataclass(frozen=True, slots=True)
class Login:
    """Whose credentials a client has.

    Attributes:
        profile: The profile in AWS's configuration files; None for the environment's choice.
        roles: The roles to assume, one after the other.
    """

    profile: str | None = None
    roles: tuple[Role, ...] = ()


def aws_client(
    service: str,
    *,
    endpoint_url: str | None,
    region: str,
    login: Login | None = None,
    read_timeout: float = LOOPBACK_READ_TIMEOUT,
) -> Any:
    """Make a boto3 client.

    Args:
        service: boto3's name of the service, ``sqs`` for example.
        endpoint_url: Another endpoint than AWS's own. One on loopback gets dummy credentials, whatever the
            environment holds, and short time-outs with few retries.
        region: The AWS region.
        login: Whose credentials; None for the environment's. Not looked at for an endpoint on loopback.
        read_timeout: Seconds to wait for an answer from an endpoint on loopback.
    """
    from botocore.config import Config  # noqa: PLC0415 - likewise

    if endpoint_url is not None and is_loopback_url(endpoint_url):
        config = Config(
            connect_timeout=LOOPBACK_CONNECT_TIMEOUT,
            read_timeout=read_timeout,
            retries={"total_max_attempts": 2, "mode": "standard"},
            max_pool_connections=CONNECTIONS,
            # A proxy from the environment has no way to this machine's own loopback.
            proxies={},
        )
        with _one_at_a_time:
            return _loopback_session(region).client(service, endpoint_url=endpoint_url, config=config)
    session = _session(region, login or Login())
    config = Config(retries={"mode": "standard"}, max_pool_connections=CONNECTIONS)
    return session.client(service, endpoint_url=endpoint_url, config=config)


def _session(region: str, login: Login) -> Any:
    import boto3  # noqa: PLC0415 - heavy, as above

    session = boto3.session.Session(region_name=region, profile_name=login.profile)
    for role in login.roles:
        sts = session.client("sts")
        try:
            request = {"RoleArn": role.arn, "RoleSessionName": role.session or "queue-fundamentals"}
            if role.external_id is not None:
                request["ExternalId"] = role.external_id
            given = sts.assume_role(**request)["Credentials"]
        finally:
            sts.close()
        session = boto3.session.Session(
            given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"], region_name=region
        )
    return session


def login_variables(login: Login, region: str) -> dict[str, str]:
    """The environment variables by which the AWS SDK of another process acts as a login.

    A profile is named. Roles are assumed here, once, and their credentials handed on; AWS lets them last an hour.

    Args:
        login: Whose credentials; nothing for the environment's own.
        region: The AWS region.
    """
    if login.roles:
        credentials = _session(region, login).get_credentials().get_frozen_credentials()
        return {
            "AWS_ACCESS_KEY_ID": credentials.access_key,
            "AWS_SECRET_ACCESS_KEY": credentials.secret_key,
            "AWS_SESSION_TOKEN": credentials.token,
        }
    return {} if login.profile is None else {"AWS_PROFILE": login.profile}


_one_at_a_time = threading.Lock()
"""A session makes its clients for one thread; the clients themselves are for all."""


@functools.cache
def _loopback_session(region: str) -> Any:
    """Return the session of all clients of endpoints on loopback.

    Each new one would read the services' descriptions anew: some 70 ms a client, against 2.
    """
    import boto3  # noqa: PLC0415 - heavy, as above
    import botocore.session  # noqa: PLC0415 - likewise

    # A profile that the environment names is not even looked for: it may well not exist on this machine.
    core = botocore.session.Session(session_vars={"profile": (None, None, None, None)})
    return boto3.session.Session(botocore_session=core, region_name=region, **DUMMY_CREDENTIALS)


@dataclass(frozen=True)
class Clients:
    """boto3 clients, each made once.

    Attributes:
        make: Makes the client of a service in a region.
    """

    make: Callable[[str, str], Any]
    _made: dict[tuple[str, str], Any] = field(default_factory=dict, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def get(self, service: str, region: str) -> Any:
        """The client of a service in a region; safe to be called from several threads."""
        with self._lock:
            if (service, region) not in self._made:
                self._made[service, region] = self.make(service, region)
            return self._made[service, region]

    def close(self) -> None:
        """Close every client's connections."""
        with self._lock:
            for client in self._made.values():
                client.close()
            self._made.clear()
