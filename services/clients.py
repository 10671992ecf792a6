"""The one place where a service makes its boto3 clients."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from services.common.loopback import is_loopback_url
from services.errors import ConfigurationError

#: Seconds. A long poll lasts up to 20 s, and must not count as a dead connection.
#: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ReceiveMessage.html
READ_TIMEOUT = 30
CONNECT_TIMEOUT = 3
MAX_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Access:
    """The region, endpoint and identity of a client.

    Attributes:
        region: None leaves it to the AWS configuration, or to the queue's URL.
        profile: None leaves it to the AWS configuration.
        endpoint_url: None is AWS itself.
        credentials_given: whether the environment names credentials.
    """

    region: str | None = None
    profile: str | None = None
    endpoint_url: str | None = None
    credentials_given: bool = False


class Clients:
    """Make clients that share a session.

    Raises:
        ConfigurationError: the profile does not exist, or no region is configured.
    """

    def __init__(self, access: Access) -> None:
        import boto3  # noqa: PLC0415 - it takes a fifth of a second, too long before an error about an option
        import botocore.session  # noqa: PLC0415
        from botocore.exceptions import ProfileNotFound  # noqa: PLC0415

        self._access = access
        if access.endpoint_url:
            check_endpoint_url(access.endpoint_url)
        credentials: dict[str, str] = {}
        variables: dict[str, Any] = {}
        if access.endpoint_url and is_loopback_url(access.endpoint_url) and access.profile is None:
            variables = {"profile": (None, None, None, None)}  # AWS_PROFILE may name a profile that is not here
        if access.endpoint_url and is_loopback_url(access.endpoint_url) and not access.credentials_given:
            # Otherwise boto3 looks for credentials on the network, and refuses to sign when it finds none.
            credentials = {"aws_access_key_id": "loopback", "aws_secret_access_key": "loopback"}
        try:
            core = botocore.session.Session(variables, profile=access.profile or None)
            if core.get_config_variable("data_path") is None:
                core.register_component("data_loader", _descriptions())
            self._session = boto3.session.Session(botocore_session=core, region_name=access.region, **credentials)
        except ProfileNotFound:
            raise ConfigurationError(
                f"The AWS profile {access.profile!r} does not exist; see `aws configure list-profiles`."
            ) from None
        if not self._session.region_name:
            raise ConfigurationError("No region is configured; set AWS_REGION, for example to us-west-1.")

    def client(self, service: str) -> Any:
        """Return a client of a service."""
        from botocore.config import Config  # noqa: PLC0415
        from botocore.exceptions import InvalidRegionError  # noqa: PLC0415

        config = Config(
            connect_timeout=CONNECT_TIMEOUT,
            read_timeout=READ_TIMEOUT,
            retries={"mode": "standard", "total_max_attempts": MAX_ATTEMPTS},
        )
        try:
            return self._session.client(service, endpoint_url=self._access.endpoint_url, config=config)
        except InvalidRegionError:
            raise ConfigurationError(
                f"The region is {self._session.region_name!r}, but it must be a region's name such as us-west-1; "
                "correct AWS_REGION."
            ) from None


@functools.cache
def _descriptions() -> Any:
    """Return a loader of botocore's service descriptions that caches them.

    A process forked from one that has made clients then reads none, which saves a tenth of a second.
    """
    from botocore.loaders import Loader  # noqa: PLC0415 - as above

    return Loader()


def check_endpoint_url(url: str) -> None:
    """Make sure that a URL can be an endpoint's.

    Raises:
        ConfigurationError: it cannot.
    """
    try:
        parts = urlsplit(url)
        fine = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fine = False
    if not fine:
        raise ConfigurationError(f"AWS_ENDPOINT_URL is {url!r}, but it must be a URL such as http://127.0.0.1:4566.")


def checked_queue_url(url: str, option: str) -> str:
    """Return the URL of a queue.

    Raises:
        ConfigurationError: it is no such URL.
    """
    try:
        parts = urlsplit(url)
        fine = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.path.strip("/").count("/") == 1
    except ValueError:
        fine = False
    if not fine:
        raise ConfigurationError(
            f"{option} is {url!r}, but it must be a queue URL such as http://127.0.0.1:4566/000000000000/name."
        )
    return url
