"""What carries a stack's tags: the search for what a stack may have left behind, by names and tags.

Queues, tables and buckets are what every stack has, so whoever may not list them cannot be told that nothing is left.
Functions, roles and log groups are there only where a stack has a Lambda consumer. An endpoint without these services
has none, and credentials that may not list them have made none.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from infra.clients import Login, aws_client
from infra.errors import ProviderError

Tagged = tuple[str, Mapping[str, str]]
"""The name of a resource, and its tags."""


class Search(NamedTuple):
    """The search of one service.

    Attributes:
        service: boto3's name of it.
        find: Yields each resource whose name begins so.
        everywhere: Whether each stack has something of it.
    """

    service: str
    find: Callable[[Any, str], Iterator[Tagged]]
    everywhere: bool = True


def find_left_over(
    project: str, stack: str, region: str, *, endpoint_url: str | None, login: Login | None = None
) -> tuple[str, ...]:
    """What still carries the tags of a stack: the URLs of queues, the names of everything else.

    Args:
        project: The value of the tag ``project``, which names begin with.
        stack: The value of the tag ``stack``.
        region: The region to look in.
        endpoint_url: Another endpoint than AWS's own.
        login: Whose credentials; None for the environment's.

    Raises:
        ProviderError: AWS refuses to tell.
    """
    from botocore import exceptions  # noqa: PLC0415 - heavy

    wanted = {"project": project, "stack": stack}
    found: list[str] = []
    for search in SEARCHES:
        client = aws_client(search.service, endpoint_url=endpoint_url, region=region, login=login)
        try:
            found += [
                name for name, tags in search.find(client, f"{project}-{stack}-") if wanted.items() <= tags.items()
            ]
        except exceptions.ClientError as error:
            if search.everywhere or not _has_none(error.response):
                answer = error.response["Error"]
                why = f"{answer.get('Code')}: {answer.get('Message')}"
                raise ProviderError(f"Whether anything of stack {stack} is left cannot be told: {why}") from error
        except exceptions.BotoCoreError as error:
            raise ProviderError(f"Whether anything of stack {stack} is left cannot be told: {error}") from error
        finally:
            client.close()
    return tuple(found)


_NOT_THERE: Final = frozenset({403, 404, 501})
_NOT_SERVED: Final = frozenset(
    {
        *("AccessDenied", "AccessDeniedException", "UnauthorizedOperation"),
        *(
            "InvalidAction",
            "InternalFailure",
            "NotImplemented",
            "UnknownOperationException",
            "UnrecognizedClientException",
        ),
    }
)


def _has_none(answer: Mapping[str, Any]) -> bool:
    """Whether an answer says that these credentials have nothing of a service, or that the endpoint lacks it."""
    code, status = answer["Error"].get("Code"), answer.get("ResponseMetadata", {}).get("HTTPStatusCode")
    return code in _NOT_SERVED or status in _NOT_THERE


def _queues(sqs: Any, prefix: str) -> Iterator[Tagged]:
    for page in sqs.get_paginator("list_queues").paginate(QueueNamePrefix=prefix):
        for url in page.get("QueueUrls", []):
            try:
                yield url, sqs.list_queue_tags(QueueUrl=url).get("Tags", {})
            except sqs.exceptions.QueueDoesNotExist:
                continue  # a list of queues may name one for a minute after its delete


def _tables(dynamodb: Any, prefix: str) -> Iterator[Tagged]:
    for page in dynamodb.get_paginator("list_tables").paginate():
        for name in page["TableNames"]:
            if name.startswith(prefix):
                yield name, _table_tags(dynamodb, name)


def _table_tags(dynamodb: Any, name: str) -> Mapping[str, str]:
    try:
        table = dynamodb.describe_table(TableName=name)["Table"]
        if table["TableStatus"] == "DELETING":
            return {}
        return _pairs(dynamodb.list_tags_of_resource(ResourceArn=table["TableArn"])["Tags"])
    except dynamodb.exceptions.ResourceNotFoundException:
        return {}


def _buckets(s3: Any, prefix: str) -> Iterator[Tagged]:
    # A bucket's name is in lower case, whatever the project's and the stack's are.
    for bucket in s3.list_buckets()["Buckets"]:
        if bucket["Name"].startswith(prefix.lower()):
            yield bucket["Name"], _bucket_tags(s3, bucket["Name"])


def _bucket_tags(s3: Any, name: str) -> Mapping[str, str]:
    try:
        return _pairs(s3.get_bucket_tagging(Bucket=name)["TagSet"])
    except s3.exceptions.ClientError as error:
        if error.response["Error"]["Code"] in ("NoSuchBucket", "NoSuchTagSet"):
            return {}
        raise


def _functions(client: Any, prefix: str) -> Iterator[Tagged]:
    for page in client.get_paginator("list_functions").paginate():
        for function in page["Functions"]:
            if function["FunctionName"].startswith(prefix):
                try:
                    yield function["FunctionName"], client.list_tags(Resource=function["FunctionArn"]).get("Tags", {})
                except client.exceptions.ResourceNotFoundException:
                    continue


def _roles(iam: Any, prefix: str) -> Iterator[Tagged]:
    for page in iam.get_paginator("list_roles").paginate():
        for role in page["Roles"]:
            if role["RoleName"].startswith(prefix):
                try:
                    yield role["RoleName"], _pairs(iam.list_role_tags(RoleName=role["RoleName"])["Tags"])
                except iam.exceptions.NoSuchEntityException:
                    continue


def _log_groups(logs: Any, prefix: str) -> Iterator[Tagged]:
    # Those of functions: no other is made here.
    for page in logs.get_paginator("describe_log_groups").paginate(logGroupNamePrefix=f"/aws/lambda/{prefix}"):
        for group in page["logGroups"]:
            arn = group["arn"].removesuffix(":*")
            try:
                yield group["logGroupName"], logs.list_tags_for_resource(resourceArn=arn).get("tags", {})
            except logs.exceptions.ResourceNotFoundException:
                continue


def _pairs(tags: list[dict[str, str]]) -> Mapping[str, str]:
    return {tag["Key"]: tag["Value"] for tag in tags}


SEARCHES: Final = (
    Search("sqs", _queues),
    Search("dynamodb", _tables),
    Search("s3", _buckets),
    Search("lambda", _functions, everywhere=False),
    Search("iam", _roles, everywhere=False),
    Search("logs", _log_groups, everywhere=False),
)
