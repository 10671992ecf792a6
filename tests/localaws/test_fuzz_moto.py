"""Whatever is asked of DynamoDB and S3, they answer below 500, soon, and keep what is there.

``FUZZ_EXAMPLES=20000`` runs so many examples of each test in place of a few hundred.
"""

import json
import os
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from moto.core.utils import get_service_model

from infra.localaws.dynamodb import DynamoDb, _service
from infra.localaws.http import Request
from infra.localaws.lambda_.moto_services import LOGS_TARGET, Iam, Logs
from infra.localaws.s3 import S3
from infra.localaws.server import DYNAMODB_TARGET
from infra.localaws.worker import Worker
from tests.localaws.test_fuzz import Huge, odd_text, odd_value
from tests.localaws.test_s3 import SIGNED

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "600"))

pytestmark = pytest.mark.thorough

# DynamoDB: every action with members that are right, wrong, huge, deep or missing

TABLE = {
    "TableName": "fuzz",
    "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
    "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
    "BillingMode": "PAY_PER_REQUEST",
}
KEPT = {"id": {"S": "kept"}, "n": {"N": "1"}, "l": {"L": [{"S": "x"}]}, "m": {"M": {"a": {"N": "2"}}}}

values = st.deferred(
    lambda: st.one_of(
        st.sampled_from(
            [
                {"S": "x"},
                {"N": "1"},
                {"N": Huge("9" * 40_000 + "a")},
                {"N": "1e999999999"},
                {"N": ""},
                {"B": "eA=="},
                {"B": "!"},
                {"BOOL": True},
                {"NULL": True},
                {"SS": []},
                {"NS": ["1", "1.0"]},
                {"S": "x", "N": "1"},
                {},
                {"X": 1},
                {"S": None},
                {"L": {}},
                {"M": []},
                None,
            ]
        ),
        st.lists(values, max_size=3).map(lambda held: {"L": held}),
        st.dictionaries(st.sampled_from(["a", "", "b.c", "\ud800"]), values, max_size=3).map(lambda held: {"M": held}),
        odd_value,
    )
)
expressions = st.one_of(
    st.lists(
        st.sampled_from(
            [
                *("id", "n", "l[0]", "l[x]", "m.a", "#n", "#missing", ":v", ":missing", "(", ")", ",", "=", "<>", "<"),
                *("AND", "OR", "NOT", "IN", "BETWEEN", "SET", "REMOVE", "ADD", "DELETE", "+", "-", "[", "]", "."),
                *(
                    "attribute_exists",
                    "size",
                    "contains",
                    "begins_with",
                    "if_not_exists",
                    "list_append",
                    "\0",
                    "é",
                    "'",
                ),
            ]
        ),
        max_size=14,
    ).map(" ".join),
    st.sampled_from(
        [
            "attribute_not_exists(id)",
            "SET n = n + :v",
            "SET #n = :v REMOVE l[0]",
            "ADD n :v",
            "id = :v",
            Huge("(" * 4_000),
            Huge("NOT " * 1_000),
            Huge("a." * 2_000 + "a"),
            Huge("SET " + "a=:v," * 700),
            Huge(" " * 5_000),
        ]
    ),
)


def _shape_values(shapes, name, depth=0):
    """Return values of a shape, some of them not quite."""
    if name == "AttributeValue":
        return values
    shape = shapes[name]
    if "Expression" in name:
        return expressions if shape["type"] == "string" else odd_value
    if depth > 6:
        return odd_value
    match shape["type"]:
        case "structure":
            members = {
                member: _shape_values(shapes, each["shape"], depth + 1) for member, each in shape["members"].items()
            }
            required = set(shape.get("required", ()))
            right = st.fixed_dictionaries(
                {member: members[member] for member in required},
                optional={member: each for member, each in members.items() if member not in required},
            )
        case "list":
            right = st.lists(_shape_values(shapes, shape["member"]["shape"], depth + 1), max_size=2)
        case "map":
            keys = st.sampled_from(["id", "n", ":v", "#n", "fuzz", "", "\ud800"])
            right = st.dictionaries(keys, _shape_values(shapes, shape["value"]["shape"], depth + 1), max_size=2)
        case "string":
            named = st.sampled_from(["fuzz", "id", "n", "x", *shape.get("enum", ())])
            right = expressions if name.endswith("Expression") else named
        case "boolean":
            right = st.booleans()
        case "blob":
            right = st.just("eA==")
        case _:
            right = st.integers(-1, 20)
    return st.one_of(right, right, right, right, right, odd_value)


def _actions():
    model = _service()
    shapes = model._shape_resolver._shape_map
    inputs = {name: model.operation_model(name).input_shape.name for name in model.operation_names}
    spared = {"DeleteTable"}
    return st.sampled_from(sorted(inputs.keys() - spared)).flatmap(
        lambda action: st.tuples(st.just(action), _members(shapes, inputs[action]))
    )


def _members(shapes, name):
    """Return an input with a few of its members."""
    members = shapes[name]["members"]
    required = set(shapes[name].get("required", ()))
    strategies = {
        member: expressions if member.endswith(("Expression", "Statement")) else _shape_values(shapes, each["shape"], 1)
        for member, each in members.items()
    }
    if "TableName" in members:
        strategies["TableName"] = st.sampled_from(["fuzz", "fuzz", "fuzz", "none", ""])
    if "ExpressionAttributeValues" in members:
        strategies["ExpressionAttributeValues"] = st.fixed_dictionaries({}, optional={":v": values, ":w": values})
        strategies["ExpressionAttributeNames"] = st.fixed_dictionaries({}, optional={"#n": odd_text | st.just("n")})
    return st.fixed_dictionaries(
        {member: strategies[member] for member in required},
        optional={member: each for member, each in strategies.items() if member not in required},
    )


@pytest.fixture(scope="module")
def tables():
    Worker()  # which lets moto go as deep as it does in the endpoint
    tables = DynamoDb("000000000000", "us-west-1")
    assert _ask_tables(tables, "CreateTable", TABLE)[0] == 200
    return tables


def _ask_tables(tables, action, document):
    try:
        body = json.dumps(document).encode()
    except ValueError:
        body = b"["  # an integer too long for Python to write
    answer = tables.answer(Request("POST", "/", {"x-amz-target": DYNAMODB_TARGET + action}, body))
    return answer.status, json.loads(answer.body)


@settings(max_examples=EXAMPLES)
@given(_actions())
def test_every_request_to_a_table_is_answered_below_500(tables, asked):
    action, document = asked
    _ask_tables(tables, "PutItem", {"TableName": "fuzz", "Item": KEPT})
    status, answer = _ask_tables(tables, action, document)
    assert status < 500, answer
    assert isinstance(answer, dict)
    if status >= 400:
        assert answer["__type"]
    # The endpoint serves the next client, and what a refused request named is as it was.
    status_of_next, found = _ask_tables(tables, "GetItem", {"TableName": "fuzz", "Key": {"id": {"S": "kept"}}})
    assert status_of_next == 200
    if status >= 400 and action not in {"BatchWriteItem", "BatchExecuteStatement"}:
        assert found["Item"] == KEPT


# S3: methods, paths, queries, headers and bodies that are right or odd

BUCKET = "payloads"
PATHS = st.sampled_from(
    [
        *("/", f"/{BUCKET}", f"/{BUCKET}/", f"/{BUCKET}/new", f"/{BUCKET}/none", "/none", "/none/a", f"/{BUCKET}/a/b"),
        *("//", "/%ff", f"/{BUCKET}/%ff", f"/{BUCKET}/" + "k" * 2_000, "/A", "/..", f"/{BUCKET}/../a", "*", ""),
        *(f"/{BUCKET}/%00", "http://x/y", f"/{BUCKET}/é", "/" + "9" * 70, f"/{BUCKET}/" + "9" * 60_000),
    ]
)
QUERIES = st.lists(
    st.sampled_from(
        [
            *("acl", "tagging", "versioning", "lifecycle", "policy", "uploads", "cors", "logging", "encryption"),
            *("notification", "object-lock", "ownershipControls", "publicAccessBlock", "replication", "website"),
            *("versions", "delete", "list-type=2", "location", "accelerate", "requestPayment", "inventory", "metrics"),
            *("analytics", "intelligent-tiering", "restore", "select&select-type=2", "torrent", "legal-hold"),
            *("retention", "attributes", "uploadId=x", "partNumber=1&uploadId=x", "partNumber=x&uploadId=y"),
            *("versionId=x", "list-type=x", "max-keys=x", "max-keys=-1", "max-keys=" + "9" * 30, "marker=%ff"),
            *("prefix=%00", "encoding-type=url", "delimiter=", "continuation-token=x&list-type=2", "%zz", "=", "&&"),
            *("response-content-type=a%0d%0ab", "x-id=GetObject", "policyStatus", "tagging=x", "acl=", "delete="),
        ]
    ),
    max_size=2,
).map("&".join)
HEADERS = st.dictionaries(
    st.sampled_from(
        [
            *("range", "if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "x-amz-copy-source"),
            *("x-amz-acl", "content-md5", "x-amz-tagging", "x-amz-storage-class", "x-amz-server-side-encryption"),
            *("x-amz-meta-a", "x-amz-checksum-algorithm", "x-amz-checksum-sha256", "x-amz-checksum-crc32"),
            *("x-amz-object-lock-mode", "x-amz-object-lock-retain-until-date", "x-amz-metadata-directive"),
            *("x-amz-grant-read", "content-type", "content-encoding", "x-amz-decoded-content-length", "expires"),
            *("x-amz-website-redirect-location", "x-amz-copy-source-range", "x-amz-content-sha256", "x-amz-date"),
            *("x-amz-object-attributes", "x-amz-bypass-governance-retention", "x-amz-sdk-checksum-algorithm"),
        ]
    ),
    st.sampled_from(
        [
            *("", "x", "*", "bytes=0-1", "bytes=5-1", "bytes=-", "bytes=9999-", "bytes=a-b", f"/{BUCKET}/new", "%ff"),
            *("/none/a", "a=b", "&&=%zz", "ü", "!", "private", "CRC32", "STREAMING-X", "multipart/form-data", "9" * 99),
            *("application/x-www-form-urlencoded", "chunked", "Credential=" * 900),
        ]
    ),
    max_size=2,
)
BODIES = st.sampled_from(
    [
        *(b"", b"x", b"<a/>", b"<", b"\xff", b"{}", b"<CreateBucketConfiguration/>", b"<Delete/>"),
        b"<CreateBucketConfiguration><LocationConstraint>x</LocationConstraint></CreateBucketConfiguration>",
        *(b"<Delete><Object><Key>new</Key></Object></Delete>", b"<Delete><Object/></Delete>", b"<Tagging/>"),
        b"<Tagging><TagSet><Tag><Key>a</Key></Tag></TagSet></Tagging>",
        *(b"<VersioningConfiguration><Status>x</Status></VersioningConfiguration>", b"<LifecycleConfiguration/>"),
        b"<CompleteMultipartUpload><Part><PartNumber>x</PartNumber></Part></CompleteMultipartUpload>",
        *(b"<AccessControlPolicy/>", b"<CORSConfiguration/>", b"<BucketLoggingStatus/>", b"<OwnershipControls/>"),
        b"<NotificationConfiguration><QueueConfiguration/></NotificationConfiguration>",
        *(b"<ServerSideEncryptionConfiguration/>", b"<ObjectLockConfiguration/>", b"<Retention/>", b"<LegalHold/>"),
        *(b"<PublicAccessBlockConfiguration/>", b"<WebsiteConfiguration/>", b"<ReplicationConfiguration/>"),
        *(b"<RestoreRequest/>", b"<SelectObjectContentRequest/>", b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>"),
        *(b"<a>" * 20_000, b"x" * 100_000),
    ]
)
METHODS = st.sampled_from(["GET", "PUT", "POST", "DELETE", "HEAD", "OPTIONS", "PATCH"])


@pytest.fixture(scope="module")
def buckets():
    buckets = S3("000000000000", "us-west-1")
    place = b"<CreateBucketConfiguration><LocationConstraint>us-west-1</LocationConstraint></CreateBucketConfiguration>"
    for name in (BUCKET, "kept"):
        assert _ask_buckets(buckets, "PUT", f"/{name}", {}, place).status == 200
    assert _ask_buckets(buckets, "PUT", "/kept/a", {}, b"text").status == 200
    return buckets


def _ask_buckets(buckets, method, target, headers, body):
    return buckets.answer(Request(method, target, {"host": "localhost", "authorization": SIGNED, **headers}, body))


@settings(max_examples=5 * EXAMPLES)
@given(st.tuples(METHODS, PATHS, QUERIES, HEADERS, BODIES))
def test_every_request_to_a_bucket_is_answered_below_500(buckets, asked):
    method, path, query, headers, body = asked
    answer = _ask_buckets(buckets, method, f"{path}?{query}" if query else path, headers, body)
    assert answer.status < 500, answer
    assert "\n" not in "".join(answer.headers.values())
    assert answer.to_bytes()
    assert _ask_buckets(buckets, "GET", "/kept/a", {}, b"").body == b"text"


# IAM and CloudWatch Logs: the actions of their models, with parameters that are right, odd or missing

IAM_ACTIONS = st.sampled_from(sorted(get_service_model("iam").operation_names))
IAM_PARAMETERS = st.dictionaries(
    st.sampled_from(
        [
            *("RoleName", "PolicyName", "PolicyArn", "PolicyDocument", "AssumeRolePolicyDocument", "Path", "Tags"),
            *("Tags.member.1.Key", "Tags.member.1.Value", "Tags.member.x.Key", "Marker", "MaxItems", "UserName"),
            *(
                "GroupName",
                "InstanceProfileName",
                "VersionId",
                "Description",
                "MaxSessionDuration",
                "ServerCertificate",
            ),
        ]
    ),
    st.sampled_from(
        [
            *(
                "",
                "kept",
                "none",
                "arn:aws:iam::000000000000:role/kept",
                "{}",
                "[",
                '{"Version": 1}',
                "-1",
                "x" * 5_000,
            ),
            *('{"Version":"2012-10-17","Statement":[]}', "/a/", "\0", "é", "9" * 400, "arn:", "%zz", "x" * 5_000),
        ]
    ),
    max_size=5,
)
LOGS_ACTIONS = st.sampled_from(sorted(get_service_model("logs").operation_names))
LOGS_MEMBERS = st.dictionaries(
    st.sampled_from(
        [
            *("logGroupName", "logStreamName", "logGroupNamePrefix", "logEvents", "limit", "nextToken", "startTime"),
            *("endTime", "filterPattern", "tags", "retentionInDays", "queryString", "queryId", "taskId", "resourceArn"),
        ]
    ),
    st.one_of(
        st.sampled_from(["kept", "none", "", -1, 0, 7, None, [], {}, [{"timestamp": 1, "message": "x"}]]), odd_value
    ),
    max_size=5,
)


@pytest.fixture(scope="module")
def lambdas_services():
    iam, logs = Iam("000000000000", "us-west-1"), Logs("000000000000", "us-west-1")
    made = _ask_iam(iam, {"Action": "CreateRole", "RoleName": "kept", "AssumeRolePolicyDocument": "{}"})
    assert made.status == 200, made
    assert _ask_logs(logs, "CreateLogGroup", {"logGroupName": "kept"}).status == 200
    return iam, logs


def _ask_iam(iam, parameters):
    body = urlencode({"Version": "2010-05-08", **parameters}).encode()
    return iam.answer(Request("POST", "/", {"content-type": "application/x-www-form-urlencoded"}, body))


def _ask_logs(logs, action, document):
    try:
        body = json.dumps(document).encode()
    except ValueError:
        body = b"["
    return logs.answering(Request("POST", "/", {"x-amz-target": LOGS_TARGET + action}, body))()


@settings(max_examples=EXAMPLES)
@given(IAM_ACTIONS | odd_text, IAM_PARAMETERS)
def test_every_request_to_iam_is_answered_below_500(lambdas_services, action, parameters):
    try:
        answer = _ask_iam(lambdas_services[0], {"Action": action, **parameters})
    except UnicodeEncodeError:
        return  # no form can hold a lone surrogate
    assert answer.status < 500, answer
    assert _ask_iam(lambdas_services[0], {"Action": "ListRoles"}).status == 200


@settings(max_examples=EXAMPLES)
@given(LOGS_ACTIONS, LOGS_MEMBERS | odd_value)
def test_every_request_to_cloudwatch_logs_is_answered_below_500(lambdas_services, action, document):
    answer = _ask_logs(lambdas_services[1], action, document)
    assert answer.status < 500, answer
    assert _ask_logs(lambdas_services[1], "DescribeLogGroups", {}).status == 200
