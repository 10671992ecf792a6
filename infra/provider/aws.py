"""The provider: the life cycle that Pulumi gives every provider, for the AWS resource types that the program uses.

It keeps pulumi-aws's own meaning: the same type tokens and property names, names with a random suffix, the same
properties that replace, the same defaults. A type or property that it does not know is an error that names it.
Nothing here knows which engine asks, or how it got here.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from infra.clients import Clients, Login, aws_client
from infra.errors import EndpointError, ProviderError
from infra.provider.bucket import BucketHandler
from infra.provider.event_source_mapping import EventSourceMappingHandler
from infra.provider.function import FunctionHandler
from infra.provider.handler import ResourceHandler
from infra.provider.lifecycle import CheckFailure, CheckResult, CreateResult, DiffResult, ReadResult
from infra.provider.log_group import LogGroupHandler
from infra.provider.naming import name_of, type_of
from infra.provider.queue import QueueHandler
from infra.provider.redrive import ATTRIBUTE_UNKNOWN, RedriveAllowPolicyHandler, RedrivePolicyHandler
from infra.provider.role import RoleHandler, RolePolicyAttachmentHandler, RolePolicyHandler
from infra.provider.schema import DEFAULTS_KEY, Kind, Property, check_properties, diff_properties, effective, same
from infra.provider.table import TableHandler
from infra.provider.values import UNKNOWN, Properties, PropertyValue

HANDLERS: Mapping[str, ResourceHandler] = {
    handler.resource_type: handler
    for handler in (
        QueueHandler(),
        RedrivePolicyHandler(),
        RedriveAllowPolicyHandler(),
        TableHandler(),
        BucketHandler(),
        FunctionHandler(),
        EventSourceMappingHandler(),
        RoleHandler(),
        RolePolicyHandler(),
        RolePolicyAttachmentHandler(),
        LogGroupHandler(),
    )
}

WITHOUT_IT = (
    "to do without RedriveAllowPolicy set `queue-fundamentals:redriveAllowPolicy: false` under `config:` in the "
    "stack's Pulumi.<stack>.yaml."
)
"""What to do about an endpoint that is not AWS and lacks an attribute."""

PROVIDER_TYPE = "pulumi:providers:aws"
PROVIDER_SCHEMA: Mapping[str, Property] = {
    "region": Property(Kind.TEXT, required=True, replaces=True),
    "version": Property(Kind.TEXT),
    "profile": Property(Kind.TEXT),
    # Lists and mappings stand as JSON here, as in all providers of Pulumi.
    "allowedAccountIds": Property(Kind.TEXT),
    "forbiddenAccountIds": Property(Kind.TEXT),
    "defaultTags": Property(Kind.TEXT),
    "endpoints": Property(Kind.TEXT),
    # How S3 is addressed is chosen by the endpoint here.
    "s3UsePathStyle": Property(Kind.TEXT),
    # pulumi-aws's class sets these itself; they are about checks that only real AWS has use for.
    "skipCredentialsValidation": Property(Kind.TEXT),
    "skipMetadataApiCheck": Property(Kind.TEXT),
    "skipRegionValidation": Property(Kind.TEXT),
    "skipRequestingAccountId": Property(Kind.TEXT),
}

# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_DeleteQueue.html
NAME_REUSE_SECONDS = 60
NAME_REUSE_PAUSE = 2
_THERE_ALREADY = frozenset({"ResourceInUseException", "BucketAlreadyOwnedByYou"})
LOOPBACK_READ_TIMEOUT = 10
"""Seconds; no request of the provider's is a long poll."""


class AwsProvider:
    """Makes, reads, changes and deletes resources in one region of one endpoint.

    Safe to be used from several threads. ``close`` closes its connections.

    Args:
        region: The region of resources that name none themselves.
        endpoint_url: Another endpoint than AWS's own.
        login: Whose credentials; None for the environment's.
        sleep: How to wait, in seconds.
    """

    def __init__(
        self,
        region: str,
        *,
        endpoint_url: str | None = None,
        login: Login | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.region = region
        self.endpoint_url = endpoint_url
        self._login = login or Login()
        self._default_tags: dict[str, str] = {}
        self._clients = Clients(
            lambda service, region: aws_client(
                service,
                endpoint_url=self.endpoint_url,
                region=region,
                login=self._login,
                read_timeout=LOOPBACK_READ_TIMEOUT,
            )
        )
        self._sleep = sleep

    def configure(self, config: Properties, *, ask: bool = True) -> None:
        """Take over what the program's ``aws.Provider`` says beside the region: account, tags, profile, endpoint.

        Args:
            config: The inputs of the ``aws.Provider``.
            ask: Whether AWS is asked which account this is, where the configuration allows or forbids some.

        Raises:
            ProviderError: The account is not allowed, or AWS refuses to tell it.
            EndpointError: It does not answer.
        """
        self._default_tags = dict(_json_of(config, "defaultTags", {}).get("tags") or {})
        endpoints = _json_of(config, "endpoints", [])
        if self.endpoint_url is None and endpoints:
            self.endpoint_url = endpoints[0]["sqs"]
        if self._login == Login() and config.get("profile"):
            self._login = Login(str(config["profile"]))
        allowed, forbidden = (_json_of(config, name, []) for name in ("allowedAccountIds", "forbiddenAccountIds"))
        if ask and (allowed or forbidden):
            account = self._account()
            if account in forbidden or (allowed and account not in allowed):
                raise ProviderError(
                    f"The credentials are of account {account}, which the stack's configuration does not allow "
                    f"(aws:allowedAccountIds {allowed}, aws:forbiddenAccountIds {forbidden}); use others."
                )

    def _account(self) -> str:
        from botocore import exceptions  # noqa: PLC0415 - heavy

        try:
            return str(self._clients.get("sts", self.region).get_caller_identity()["Account"])
        except (exceptions.ClientError, exceptions.BotoCoreError) as error:
            raise ProviderError(f"STS does not tell which account this is ({error}), and only some are allowed.") from (
                error
            )

    def check(self, urn: str, olds: Properties, news: Properties, random_seed: bytes) -> CheckResult:
        """Validate new inputs, and fill in what the provider chooses.

        Args:
            urn: The resource's URN.
            olds: The checked inputs of the resource that there is, empty where there is none: its chosen name stays.
            news: The program's inputs, which may hold unknowns.
            random_seed: Where a chosen name's suffix comes from.

        Raises:
            ProviderError: The URN's type is unknown.
        """
        handler = _handler(type_of(urn))
        inputs = {key: value for key, value in news.items() if value is not None}
        if self._default_tags and "tags" in handler.schema and inputs.get("tags") is not UNKNOWN:
            inputs["tags"] = {**self._default_tags, **(inputs.get("tags") or {})}
        failures = check_properties(handler.resource_type, handler.schema, inputs)
        named = handler.name_property
        if not failures and named in handler.schema and named not in inputs:
            name = _kept_name(handler, olds, inputs) or handler.choose_name(name_of(urn), inputs, random_seed)
            inputs[named] = UNKNOWN if name is None else name
            inputs[DEFAULTS_KEY] = [named]
        if not failures:
            failures = handler.check(inputs)
        return CheckResult(inputs, tuple(failures))

    def diff(self, urn: str, olds: Properties, news: Properties) -> DiffResult:
        """Tell which properties change from the old checked inputs to the new ones, and which of them replace.

        Raises:
            ProviderError: The URN's type is unknown.
        """
        handler = _handler(type_of(urn))
        return diff_properties(handler.schema, olds, news, handler.name_property)

    def create(self, urn: str, inputs: Properties, *, preview: bool = False) -> CreateResult:
        """Make a resource from checked inputs; in a preview nothing is made, and what is not known yet is unknown.

        Raises:
            ProviderError: AWS refuses.
            EndpointError: It does not answer.
        """
        handler = _handler(type_of(urn))
        if preview:
            planned = {key: value for key, value in inputs.items() if key != DEFAULTS_KEY}
            computed = dict.fromkeys(handler.computed, UNKNOWN)
            return CreateResult("", {**planned, "region": inputs.get("region", self.region), **computed})
        with self._client(handler, urn, "created", inputs) as client:
            resource_id = self._create_when_the_name_is_free(handler, client, inputs)
            outputs = handler.read(client, resource_id)
        if outputs is None:
            raise ProviderError(f"{name_of(urn)} was created, and is not there; run it again.")
        return CreateResult(resource_id, {**outputs, **self._own_outputs(handler, inputs)})

    def find(self, urn: str, inputs: Properties) -> str | None:
        """The id of the resource that a ``create`` with these checked inputs has made, if it came to that.

        Raises:
            ProviderError: AWS refuses.
            EndpointError: It does not answer.
        """
        handler = _handler(type_of(urn))
        with self._client(handler, urn, "looked for", inputs) as client:
            return handler.find(client, inputs)

    def read(self, urn: str, resource_id: str, inputs: Properties) -> ReadResult | None:
        """Read a resource as it is now; None if it is not there.

        Args:
            urn: The resource's URN.
            resource_id: Its id.
            inputs: Its checked inputs as last known; those that still hold come back as they were.

        Raises:
            ProviderError: AWS refuses.
            EndpointError: It does not answer.
        """
        handler = _handler(type_of(urn))
        with self._client(handler, urn, "read", inputs) as client:
            outputs = handler.read(client, resource_id)
        if outputs is None:
            return None
        outputs.update(self._own_outputs(handler, inputs))
        return ReadResult(resource_id, _inputs_that_describe(handler, inputs, outputs), outputs)

    def update(
        self, urn: str, resource_id: str, olds: Properties, news: Properties, *, preview: bool = False
    ) -> dict[str, PropertyValue]:
        """Change a resource in place from its old checked inputs to new ones; returns its outputs.

        Raises:
            ProviderError: AWS refuses, or the resource is not there any more.
            EndpointError: It does not answer.
        """
        handler = _handler(type_of(urn))
        changes = self.diff(urn, olds, news).changes
        if preview:
            return {key: value for key, value in news.items() if key != DEFAULTS_KEY}
        with self._client(handler, urn, "updated", news) as client:
            handler.update(client, resource_id, news, changes)
            outputs = handler.read(client, resource_id)
        if outputs is None:
            raise ProviderError(f"{name_of(urn)} is not there any more; refresh, then it will be created again.")
        return {**outputs, **self._own_outputs(handler, news)}

    def delete(self, urn: str, resource_id: str, inputs: Properties) -> None:
        """Delete a resource; one that is not there is no error.

        Raises:
            ProviderError: AWS refuses.
            EndpointError: It does not answer.
        """
        handler = _handler(type_of(urn))
        with self._client(handler, urn, "deleted", inputs) as client:
            handler.delete(client, resource_id, inputs)

    def close(self) -> None:
        """Close the connections."""
        self._clients.close()

    def _own_outputs(self, handler: ResourceHandler, inputs: Properties) -> dict[str, PropertyValue]:
        """What a resource's outputs say that AWS does not: its region, and what only the provider itself knows."""
        ours = {key: effective(entry, inputs.get(key)) for key, entry in handler.schema.items() if entry.ours}
        return {**ours, "region": self._region_of(inputs)}

    def _region_of(self, inputs: Properties) -> str:
        return str(inputs.get("region", self.region))

    def _create_when_the_name_is_free(self, handler: ResourceHandler, client: Any, inputs: Properties) -> str:
        """Create; a queue name that was deleted less than 60 s ago is waited for."""
        waited = 0
        while True:
            try:
                return handler.create(client, inputs)
            except client.exceptions.ClientError as error:
                # The name has a random end: what has it was made by this request, whose first answer was lost.
                if error.response["Error"]["Code"] in _THERE_ALREADY and handler.name_property in inputs.get(
                    DEFAULTS_KEY, ()
                ):
                    made = handler.find(client, inputs)
                    if made is not None:
                        return made
                recently = "QueueDeletedRecently" in error.response["Error"]["Code"]
                if not recently or waited > NAME_REUSE_SECONDS:
                    raise
            self._sleep(NAME_REUSE_PAUSE)
            waited += NAME_REUSE_PAUSE

    @contextmanager
    def _client(self, handler: ResourceHandler, urn: str, done: str, inputs: Properties) -> Iterator[Any]:
        """The client for a resource; what AWS or the network answers becomes a sentence that names the resource."""
        from botocore import exceptions  # noqa: PLC0415 - heavy: a preview makes no call

        what = f"{handler.resource_type} {name_of(urn)} could not be {done}"
        try:
            yield self._clients.get(handler.service, self._region_of(inputs))
        except exceptions.ClientError as error:
            answer = error.response["Error"]
            lacks = self.endpoint_url is not None and answer.get("Code") in ATTRIBUTE_UNKNOWN
            raise ProviderError(
                f"{what}: {answer.get('Code')}: {answer.get('Message')}"
                + (f" {self.endpoint_url} does not have this attribute; {WITHOUT_IT}" if lacks else "")
            ) from error
        except (exceptions.ConnectionError, exceptions.HTTPClientError) as error:
            where = self.endpoint_url or "AWS"
            raise EndpointError(f"{what}: {where} does not answer; is it running and reachable?") from error
        except exceptions.BotoCoreError as error:
            raise ProviderError(f"{what}: {error}") from error


def check_provider_config(news: Properties) -> CheckResult:
    """Validate the configuration of the provider itself, an ``aws.Provider`` in the program."""
    failures = check_properties(PROVIDER_TYPE, PROVIDER_SCHEMA, news)
    for key, kind, what in _STRUCTURES:
        if not failures and not isinstance(_json_of(news, key, kind()), kind):
            failures.append(CheckFailure(key, f"{key} must be {what}, and is {news[key]!r}."))
    return CheckResult(dict(news), tuple(failures))


_STRUCTURES = (
    ("allowedAccountIds", list, "a list of account ids"),
    ("forbiddenAccountIds", list, "a list of account ids"),
    ("endpoints", list, "a list with one mapping"),
    ("defaultTags", dict, "a mapping with tags"),
)


def _json_of(config: Properties, key: str, absent: Any) -> Any:
    """A property of the provider's configuration that stands as JSON."""
    value = config.get(key)
    if value is None or value is UNKNOWN:
        return absent
    try:
        return json.loads(value) if isinstance(value, str) else value
    except ValueError:
        return None


def diff_provider_config(olds: Properties, news: Properties) -> DiffResult:
    """Tell what changes in the provider's configuration; another region is another provider with other resources."""
    return diff_properties(PROVIDER_SCHEMA, olds, news)


def failures_sentence(urn: str, failures: tuple[CheckFailure, ...]) -> str:
    """One sentence from what a check found."""
    return f"{type_of(urn)} {name_of(urn)} cannot be as it is described: {' '.join(entry.reason for entry in failures)}"


def _handler(resource_type: str) -> ResourceHandler:
    handler = HANDLERS.get(resource_type)
    if handler is None:
        raise ProviderError(
            f"The provider does not know the resource type {resource_type}; it knows: {', '.join(HANDLERS)}."
        )
    return handler


def _kept_name(handler: ResourceHandler, olds: Properties, inputs: Properties) -> str | None:
    """The name that was chosen for the resource that there is, if it was chosen and still fits."""
    name = olds.get(handler.name_property)
    if not isinstance(name, str) or handler.name_property not in olds.get(DEFAULTS_KEY, ()):
        return None
    return name if handler.keeps_name(name, inputs) else None


def _inputs_that_describe(
    handler: ResourceHandler, inputs: Properties, outputs: Properties
) -> dict[str, PropertyValue]:
    """The inputs for what is really there: properties stay set or unset as they were, unless they drifted."""
    described = {key: value for key, value in inputs.items() if key == DEFAULTS_KEY}
    for key, entry in handler.schema.items():
        actual = outputs.get(key)
        if key in inputs:
            described[key] = inputs[key] if same(entry, inputs[key], actual) else actual
        elif key != "region" and entry.default is not None and not same(entry, None, actual):
            described[key] = actual
    return described
