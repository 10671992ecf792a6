"""What a stack's configuration says of the AWS provider, the values ``aws:...``: the program's own provider takes all.

Pulumi hands them to its default provider alone. The program has a provider of its own, for the region, and passes them
on. https://www.pulumi.com/registry/packages/aws/installation-configuration/
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from infra.clients import Login, Role
from infra.errors import ConfigError

NAMESPACE = "aws:"
TEXTS = frozenset(
    {
        "customCaBundle",
        "ec2MetadataServiceEndpoint",
        "ec2MetadataServiceEndpointMode",
        "httpProxy",
        "httpsProxy",
        "noProxy",
        "profile",
        "region",
        "retryMode",
        "s3UsEast1RegionalEndpoint",
        "stsRegion",
        "tagPolicyCompliance",
    }
)
STRUCTURES = frozenset(
    {
        "allowedAccountIds",
        "assumeRoleWithWebIdentity",
        "assumeRoles",
        "defaultTags",
        "endpoints",
        "forbiddenAccountIds",
        "ignoreTags",
        "insecure",
        "maxRetries",
        "s3UsePathStyle",
        "sharedConfigFiles",
        "sharedCredentialsFiles",
        "skipCredentialsValidation",
        "skipMetadataApiCheck",
        "skipRegionValidation",
        "skipRequestingAccountId",
        "tokenBucketRateLimiterCapacity",
        "useDualstackEndpoint",
        "useFipsEndpoint",
        "userAgents",
    }
)
"""Lists, mappings, numbers and flags, which stand as JSON."""
SECRETS = frozenset({"accessKey", "secretKey", "token"})
NAMES = TEXTS | STRUCTURES | SECRETS
_CAPITAL = re.compile(r"(?=[A-Z])")


def provider_arguments(values: Mapping[str, str]) -> dict[str, Any]:
    """The arguments of ``aws.Provider`` for the values ``aws:...`` of a configuration.

    Args:
        values: The configuration by full key, in Pulumi's text form.

    Raises:
        ConfigError: A value is unknown or cannot be used.
    """
    return {
        _CAPITAL.sub("_", name).lower(): _parsed(name, text)
        for key, text in values.items()
        if key.startswith(NAMESPACE)
        for name in [key.removeprefix(NAMESPACE)]
    }


def login_of(values: Mapping[str, str]) -> Login:
    """Whose credentials the values ``aws:...`` of a configuration choose.

    Raises:
        ConfigError: A value cannot be used.
    """
    arguments = provider_arguments(values)
    roles = arguments.get("assume_roles") or ()
    if not isinstance(roles, list | tuple) or not all(isinstance(role, dict) and role.get("roleArn") for role in roles):
        raise ConfigError("aws:assumeRoles must be a list of mappings with a roleArn each.")
    return Login(
        arguments.get("profile"),
        tuple(Role(role["roleArn"], role.get("sessionName"), role.get("externalId")) for role in roles),
    )


def endpoint_values(url: str) -> dict[str, Any]:
    """The values that send the real provider to another endpoint than AWS's own.

    They stand in the configuration and in the state of a stack that is not on AWS. So a plain ``pulumi refresh`` asks
    that endpoint. Without them it would ask AWS, find nothing there, and drop the stack's state.
    """
    services = dict.fromkeys(("dynamodb", "s3", "sqs", "sts"), url)
    flags = dict.fromkeys(("s3UsePathStyle", "skipCredentialsValidation", "skipRequestingAccountId"), True)
    return {f"{NAMESPACE}endpoints": [services], **{f"{NAMESPACE}{name}": value for name, value in flags.items()}}


def endpoint_in(inputs: Mapping[str, Any]) -> str | None:
    """The endpoint in the inputs of an ``aws.Provider`` as a state holds them; None for AWS itself."""
    text = inputs.get("endpoints")
    try:
        entries = json.loads(text) if isinstance(text, str) else text
        return str(entries[0]["sqs"]) if entries else None
    except (ValueError, LookupError, TypeError):
        return None


def _parsed(name: str, text: str) -> Any:
    if name in TEXTS | SECRETS:
        return text
    if name not in STRUCTURES:
        raise ConfigError(f"There is no configuration value aws:{name}; correct the stack's configuration.")
    try:
        return json.loads(text)
    except ValueError:
        raise ConfigError(f"aws:{name} must be JSON, and is {text!r}.") from None
