"""``aws.iam.Role``, ``aws.iam.RolePolicy`` and ``aws.iam.RolePolicyAttachment``: what a function may do."""

import json
import re
from typing import Any, ClassVar

from infra.provider.handler import ResourceHandler
from infra.provider.lifecycle import CheckFailure
from infra.provider.schema import Kind, Property, Schema, effective
from infra.provider.values import Properties, PropertyValue

# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
_NAME = re.compile(r"[\w+=,.@-]{1,64}")


class RoleHandler(ResourceHandler):
    """A role; its id is its name."""

    resource_type: ClassVar[str] = "aws:iam/role:Role"
    service: ClassVar[str] = "iam"
    computed: ClassVar[tuple[str, ...]] = ("arn", "tagsAll")
    schema: ClassVar[Schema] = {
        "name": Property(Kind.TEXT, replaces=True),
        "assumeRolePolicy": Property(Kind.POLICY, required=True),
        "description": Property(Kind.TEXT, default=""),
        "path": Property(Kind.TEXT, default="/", replaces=True),
        "maxSessionDuration": Property(Kind.INTEGER, default=3_600, minimum=3_600, maximum=43_200),
        "tags": Property(Kind.TEXT_MAP, default={}),
    }

    def check(self, inputs: Properties) -> list[CheckFailure]:
        """A name that IAM takes."""
        name = inputs.get("name")
        if isinstance(name, str) and not _NAME.fullmatch(name):
            reason = f"A role's name has 1 to 64 letters, digits or any of _+=,.@-, and {name} is none."
            return [CheckFailure("name", reason)]
        return []

    def create(self, client: Any, inputs: Properties) -> str:
        """Create the role with its tags."""
        name = str(inputs["name"])
        given = {
            member: inputs[key]
            for key, member in (
                ("description", "Description"),
                ("path", "Path"),
                ("maxSessionDuration", "MaxSessionDuration"),
            )
            if inputs.get(key) is not None
        }
        client.create_role(
            RoleName=name,
            AssumeRolePolicyDocument=inputs["assumeRolePolicy"],
            Tags=_to_tags(inputs.get("tags") or {}),
            **given,
        )
        return name

    def find(self, client: Any, inputs: Properties) -> str | None:
        """The name of the role."""
        name = str(inputs["name"])
        return name if _get(client, name) else None

    def read(self, client: Any, resource_id: str) -> dict[str, PropertyValue] | None:
        """The role with its tags."""
        role = _get(client, resource_id)
        if role is None:
            return None
        tags = {tag["Key"]: tag["Value"] for tag in client.list_role_tags(RoleName=resource_id)["Tags"]}
        return {
            "name": role["RoleName"],
            "arn": role["Arn"],
            "assumeRolePolicy": json.dumps(role["AssumeRolePolicyDocument"]),
            "description": role.get("Description", ""),
            "path": role["Path"],
            "maxSessionDuration": role.get("MaxSessionDuration", 3_600),
            "tags": tags,
            "tagsAll": tags,
        }

    def update(self, client: Any, resource_id: str, new: Properties, changes: tuple[str, ...]) -> None:
        """Set the trust policy, the description with the duration, and the tags."""
        if "assumeRolePolicy" in changes:
            client.update_assume_role_policy(RoleName=resource_id, PolicyDocument=new["assumeRolePolicy"])
        if {"description", "maxSessionDuration"} & set(changes):
            client.update_role(
                RoleName=resource_id,
                Description=effective(self.schema["description"], new.get("description")),
                MaxSessionDuration=effective(self.schema["maxSessionDuration"], new.get("maxSessionDuration")),
            )
        if "tags" in changes:
            wanted = dict(new.get("tags") or {})
            present = [tag["Key"] for tag in client.list_role_tags(RoleName=resource_id)["Tags"]]
            superfluous = sorted(set(present) - set(wanted))
            if superfluous:
                client.untag_role(RoleName=resource_id, TagKeys=superfluous)
            if wanted:
                client.tag_role(RoleName=resource_id, Tags=_to_tags(wanted))

    def delete(self, client: Any, resource_id: str, inputs: Properties) -> None:
        """Delete the role; IAM refuses one that still has policies of others' making."""
        del inputs
        try:
            client.delete_role(RoleName=resource_id)
        except client.exceptions.NoSuchEntityException:
            return


class RolePolicyHandler(ResourceHandler):
    """A policy within a role; its id is the role's name and its own, joined by a colon."""

    resource_type: ClassVar[str] = "aws:iam/rolePolicy:RolePolicy"
    service: ClassVar[str] = "iam"
    computed: ClassVar[tuple[str, ...]] = ()
    schema: ClassVar[Schema] = {
        "name": Property(Kind.TEXT, replaces=True),
        "role": Property(Kind.TEXT, required=True, replaces=True),
        "policy": Property(Kind.POLICY, required=True),
    }

    def create(self, client: Any, inputs: Properties) -> str:
        """Put the policy into the role."""
        self._put(client, str(inputs["role"]), str(inputs["name"]), inputs)
        return f"{inputs['role']}:{inputs['name']}"

    def find(self, client: Any, inputs: Properties) -> str | None:
        """The id of the policy."""
        identity = f"{inputs['role']}:{inputs['name']}"
        return identity if self.read(client, identity) else None

    def read(self, client: Any, resource_id: str) -> dict[str, PropertyValue] | None:
        """The policy."""
        role, _, name = resource_id.partition(":")
        try:
            answer = client.get_role_policy(RoleName=role, PolicyName=name)
        except client.exceptions.NoSuchEntityException:
            return None
        return {"name": name, "role": role, "policy": json.dumps(answer["PolicyDocument"])}

    def update(self, client: Any, resource_id: str, new: Properties, changes: tuple[str, ...]) -> None:
        """Put the policy anew."""
        del changes
        role, _, name = resource_id.partition(":")
        self._put(client, role, name, new)

    def delete(self, client: Any, resource_id: str, inputs: Properties) -> None:
        """Take the policy out of the role."""
        del inputs
        role, _, name = resource_id.partition(":")
        try:
            client.delete_role_policy(RoleName=role, PolicyName=name)
        except client.exceptions.NoSuchEntityException:
            return

    def _put(self, client: Any, role: str, name: str, inputs: Properties) -> None:
        client.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=inputs["policy"])


class RolePolicyAttachmentHandler(ResourceHandler):
    """A managed policy at a role; its id is the role's name and the policy's ARN, joined by a slash."""

    resource_type: ClassVar[str] = "aws:iam/rolePolicyAttachment:RolePolicyAttachment"
    service: ClassVar[str] = "iam"
    computed: ClassVar[tuple[str, ...]] = ()
    schema: ClassVar[Schema] = {
        "role": Property(Kind.TEXT, required=True, replaces=True),
        "policyArn": Property(Kind.TEXT, required=True, replaces=True),
    }

    def create(self, client: Any, inputs: Properties) -> str:
        """Attach the policy."""
        client.attach_role_policy(RoleName=inputs["role"], PolicyArn=inputs["policyArn"])
        return f"{inputs['role']}/{inputs['policyArn']}"

    def find(self, client: Any, inputs: Properties) -> str | None:
        """The id of the attachment."""
        identity = f"{inputs['role']}/{inputs['policyArn']}"
        return identity if self.read(client, identity) else None

    def read(self, client: Any, resource_id: str) -> dict[str, PropertyValue] | None:
        """The attachment; None if the policy is not attached."""
        role, _, arn = resource_id.partition("/")
        try:
            pages = list(client.get_paginator("list_attached_role_policies").paginate(RoleName=role))
        except client.exceptions.NoSuchEntityException:
            return None
        attached = {policy["PolicyArn"] for page in pages for policy in page["AttachedPolicies"]}
        return {"role": role, "policyArn": arn} if arn in attached else None

    def update(self, client: Any, resource_id: str, new: Properties, changes: tuple[str, ...]) -> None:
        """Nothing: every change replaces."""

    def delete(self, client: Any, resource_id: str, inputs: Properties) -> None:
        """Detach the policy."""
        del inputs
        role, _, arn = resource_id.partition("/")
        try:
            client.detach_role_policy(RoleName=role, PolicyArn=arn)
        except client.exceptions.NoSuchEntityException:
            return


def _get(client: Any, name: str) -> Any:
    try:
        return client.get_role(RoleName=name)["Role"]
    except client.exceptions.NoSuchEntityException:
        return None


def _to_tags(tags: Properties) -> list[dict[str, PropertyValue]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]
