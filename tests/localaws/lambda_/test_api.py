"""Lambda's API over HTTP, with boto3: functions, mappings, tags, invocations, and the lab's own routes."""

import base64
import contextlib
import io
import itertools
import json
import urllib.error
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from infra.localaws.config import EndpointConfig
from infra.localaws.server import running_endpoint
from infra.localaws.sqs.rates import STRICT
from tests.localaws.lab import client_of, post
from tests.localaws.lambda_.functions import is_alive, wait_until

pytestmark = pytest.mark.processes

QUEUE_ACTIONS = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"]
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
_NUMBERS = itertools.count()


def zipped(**files):
    """Return a zip archive of files, whose names have an underscore for the dot."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name, text in files.items():
            archive.writestr(name.replace("_", "."), text)
    return data.getvalue()


ECHO = zipped(app_py="def handler(event, context):\n    return event\n")
COUNTER = zipped(app_py="count = 0\ndef handler(event, context):\n    global count\n    count += 1\n    return count\n")


def policy(*actions, resource="*", effect="Allow"):
    statement = {"Effect": effect, "Action": list(actions), "Resource": resource}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


class Aws:
    """Clients of an endpoint, and what the tests make there."""

    def __init__(self, endpoint):
        self.endpoint = endpoint
        self.sqs, self.functions, self.iam, self.logs = (
            client_of(endpoint, service) for service in ("sqs", "lambda", "iam", "logs")
        )

    def close(self):
        for client in (self.sqs, self.functions, self.iam, self.logs):
            client.close()

    def name(self):
        return f"worker-{next(_NUMBERS)}"

    def role(self, *actions, resource="*"):
        name = self.name()
        arn = self.iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]["Arn"]
        if actions:
            document = policy(*actions, resource=resource)
            self.iam.put_role_policy(RoleName=name, PolicyName="queue", PolicyDocument=document)
        return arn

    def queue(self, *, fifo=False, **attributes):
        name = self.name() + (".fifo" if fifo else "")
        if fifo:
            attributes |= {"FifoQueue": "true", "ContentBasedDeduplication": "true"}
        url = self.sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
        arn = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        return url, arn

    def function(self, code=ECHO, *, role=None, **options):
        name = self.name()
        settings = {"Runtime": "python3.11", "Handler": "app.handler", **options}
        self.functions.create_function(
            FunctionName=name, Role=role or self.role(*QUEUE_ACTIONS), Code={"ZipFile": code}, **settings
        )
        return name

    def invoke(self, name, event=None, **options):
        answer = self.functions.invoke(FunctionName=name, Payload=json.dumps(event).encode(), **options)
        return json.loads(answer["Payload"].read()), answer

    def left(self, url):
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        attributes = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        return sum(map(int, attributes.values()))

    def map(self, name, arn, **options):
        return self.functions.create_event_source_mapping(FunctionName=name, EventSourceArn=arn, **options)

    def mapping(self, uuid):
        return self.functions.get_event_source_mapping(UUID=uuid)

    def lab(self, name):
        return f"{self.endpoint.url}/_localaws/functions/{name}"


@pytest.fixture(scope="module")
def aws(tmp_path_factory):
    history = tmp_path_factory.mktemp("lambda") / "history.jsonl"
    with (
        running_endpoint(EndpointConfig(rates=STRICT, history=history)) as endpoint,
        contextlib.closing(Aws(endpoint)) as made,
    ):
        yield made


@contextlib.contextmanager
def refused(code, text):
    with pytest.raises(ClientError) as refusal:
        yield
    answer = refusal.value.response["Error"]
    assert answer["Code"] == code
    assert text in answer["Message"]


# Functions


def test_a_function_is_created_read_and_deleted(aws):
    role = aws.role()
    name = aws.name()
    made = aws.functions.create_function(
        FunctionName=name,
        Runtime="python3.11",
        Role=role,
        Handler="app.handler",
        Code={"ZipFile": ECHO},
        Description="echoes",
        Timeout=7,
        MemorySize=256,
        Environment={"Variables": {"COLOUR": "red"}},
        Tags={"team": "orders"},
    )
    assert made["FunctionArn"] == f"arn:aws:lambda:us-west-1:000000000000:function:{name}"
    assert (made["Timeout"], made["MemorySize"], made["Description"]) == (7, 256, "echoes")
    assert made["CodeSize"] == len(ECHO)
    assert (made["State"], made["LastUpdateStatus"], made["Version"]) == ("Active", "Successful", "$LATEST")
    read = aws.functions.get_function(FunctionName=made["FunctionArn"])
    assert read["Tags"] == {"team": "orders"}
    assert read["Configuration"]["Environment"] == {"Variables": {"COLOUR": "red"}}
    assert aws.functions.get_function_configuration(FunctionName=name)["CodeSha256"] == made["CodeSha256"]
    assert name in [f["FunctionName"] for f in aws.functions.list_functions()["Functions"]]
    aws.functions.get_waiter("function_active_v2").wait(FunctionName=name)
    aws.functions.delete_function(FunctionName=name)
    with refused("ResourceNotFoundException", f"Function not found: {made['FunctionArn']}"):
        aws.functions.get_function(FunctionName=name)


def test_the_defaults_of_a_function_are_awss(aws):
    read = aws.functions.get_function_configuration(FunctionName=aws.function())
    assert (read["Timeout"], read["MemorySize"], read["PackageType"]) == (3, 128, "Zip")
    assert read["EphemeralStorage"] == {"Size": 512}


def test_a_function_is_invoked(aws):
    name = aws.function()
    value, answer = aws.invoke(name, {"a": "ü"}, LogType="Tail")
    assert value == {"a": "ü"}
    assert (answer["StatusCode"], answer["ExecutedVersion"]) == (200, "$LATEST")
    assert "FunctionError" not in answer
    tail = base64.b64decode(answer["LogResult"]).decode()
    request = answer["ResponseMetadata"]["RequestId"]
    assert tail.startswith(f"START RequestId: {request}")
    assert f"REPORT RequestId: {request}" in tail


def test_an_error_of_the_function_is_named(aws):
    name = aws.function(zipped(app_py="def handler(event, context):\n    raise KeyError('order')\n"))
    value, answer = aws.invoke(name)
    assert answer["FunctionError"] == "Unhandled"
    assert (value["errorType"], value["errorMessage"]) == ("KeyError", "'order'")


def test_a_dry_run_runs_nothing(aws):
    name = aws.function(COUNTER)
    assert aws.functions.invoke(FunctionName=name, InvocationType="DryRun")["StatusCode"] == 204
    assert aws.invoke(name)[0] == 1


def test_new_code_and_new_settings_hold_from_the_next_invocation_on(aws):
    name = aws.function(COUNTER)
    assert [aws.invoke(name)[0] for _ in range(2)] == [1, 2]
    code = zipped(app_py="import os\ndef handler(event, context): return os.environ.get('COLOUR', 'none')\n")
    updated = aws.functions.update_function_code(FunctionName=name, ZipFile=code)
    assert updated["CodeSize"] == len(code)
    assert aws.invoke(name)[0] == "none"
    changed = aws.functions.update_function_configuration(
        FunctionName=name, Environment={"Variables": {"COLOUR": "blue"}}, Timeout=9
    )
    assert changed["Timeout"] == 9
    assert aws.invoke(name)[0] == "blue"


def test_an_invocation_under_way_keeps_its_code_and_the_code_goes_when_nothing_runs_it(aws, tmp_path):
    code = f"""
import os, time
def handler(event, context):
    open({str(tmp_path / "begun")!r}, "w").close()
    while not os.path.exists({str(tmp_path / "gate")!r}):
        time.sleep(0.005)
    import late
    return [late.value, os.environ["LAMBDA_TASK_ROOT"]]
"""
    name = aws.function(zipped(app_py=code, late_py="value = 1\n"), Timeout=30)
    with ThreadPoolExecutor() as pool:
        invocation = pool.submit(aws.invoke, name)
        wait_until((tmp_path / "begun").exists, "the handler")
        aws.functions.update_function_code(FunctionName=name, ZipFile=COUNTER)
        (tmp_path / "gate").touch()
        (value, root), _ = invocation.result()
    assert value == 1
    assert aws.invoke(name)[0] == 1
    aws.functions.update_function_code(FunctionName=name, ZipFile=ECHO)
    assert not Path(root).exists()
    where = aws.functions.get_function(FunctionName=name)["Code"]["Location"].removeprefix("file://")
    assert Path(where).exists()
    aws.functions.delete_function(FunctionName=name)
    assert not Path(where).exists()


def test_executable_members_of_the_archive_stay_executable(aws):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        member = zipfile.ZipInfo("bootstrap")
        member.external_attr = 0o755 << 16
        archive.writestr(member, "#!/bin/sh\necho started; exit 5\n")
    name = aws.function(data.getvalue(), Runtime="provided.al2023", Handler="x")
    value, _ = aws.invoke(name)
    assert "exit status 5" in value["errorMessage"]


def test_reserved_concurrency_is_kept_and_throttles(aws):
    name = aws.function()
    assert "ReservedConcurrentExecutions" not in aws.functions.get_function_concurrency(FunctionName=name)
    aws.functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=0)
    assert aws.functions.get_function(FunctionName=name)["Concurrency"] == {"ReservedConcurrentExecutions": 0}
    with refused("TooManyRequestsException", "Rate Exceeded."):
        aws.invoke(name)
    aws.functions.delete_function_concurrency(FunctionName=name)
    assert aws.invoke(name, 1)[0] == 1
    with refused("InvalidParameterValueException", "below its minimum value of [100]"):
        aws.functions.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=901)
    limits = aws.functions.get_account_settings()["AccountLimit"]
    assert (limits["ConcurrentExecutions"], limits["UnreservedConcurrentExecutions"]) == (1_000, 1_000)


def test_tags_of_functions_and_mappings(aws):
    name = aws.function()
    arn = aws.functions.get_function_configuration(FunctionName=name)["FunctionArn"]
    _, queue = aws.queue()
    mapped = aws.map(name, queue, Tags={"a": "1"})
    for resource, before in ((arn, {}), (mapped["EventSourceMappingArn"], {"a": "1"})):
        assert aws.functions.list_tags(Resource=resource)["Tags"] == before
        aws.functions.tag_resource(Resource=resource, Tags={"b": "2", "c": "3"})
        aws.functions.untag_resource(Resource=resource, TagKeys=["b", "a"])
        assert aws.functions.list_tags(Resource=resource)["Tags"] == {"c": "3"}


@pytest.mark.parametrize(
    ("options", "code", "text"),
    [
        ({"Runtime": "java21"}, "InvalidParameterValueException", "runs the runtimes python3.x, nodejs and provided"),
        (
            {"Runtime": "python9"},
            "ValidationException",
            "at 'runtime' failed to satisfy constraint: Member must satisfy enum",
        ),
        ({"Timeout": 901}, "InvalidParameterValueException", "Timeout is at most 900"),
        ({"MemorySize": 10_241}, "InvalidParameterValueException", "MemorySize is at most 10240"),
        ({"Code": {"ZipFile": b"no zip"}}, "InvalidParameterValueException", "Could not unzip uploaded file."),
        ({"Code": {"S3Bucket": "bucket", "S3Key": "k"}}, "InvalidParameterValueException", "code as ZipFile"),
        ({"Publish": True}, "InvalidParameterValueException", "$LATEST alone"),
        ({"VpcConfig": {"SubnetIds": []}}, "InvalidParameterValueException", "VpcConfig is not a parameter"),
        (
            {"Environment": {"Variables": {"A": "x" * 4_096}}},
            "InvalidParameterValueException",
            "exceeded the 4KB limit",
        ),
        (
            {"Role": "arn:aws:iam::000000000000:role/nobody"},
            "InvalidParameterValueException",
            "The role defined for the function cannot be assumed by Lambda.",
        ),
        ({"Runtime": "provided.al2023"}, "InvalidParameterValueException", "has no bootstrap at its root"),
    ],
)
def test_a_function_that_cannot_be_is_refused_and_nothing_is_left(aws, options, code, text):
    name = aws.name()
    settings = {"Runtime": "python3.11", "Handler": "app.handler", "Code": {"ZipFile": ECHO}, "Role": aws.role()}
    with refused(code, text):
        aws.functions.create_function(FunctionName=name, **{**settings, **options})
    with refused("ResourceNotFoundException", "Function not found"):
        aws.functions.get_function(FunctionName=name)


def test_code_may_be_larger_than_a_message(aws):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("app.py", "def handler(event, context):\n    return 1\n")
        archive.writestr("library.bin", bytes(9_000_000))
    assert aws.invoke(aws.function(data.getvalue()))[0] == 1


def test_an_archive_cannot_leave_its_directory(aws, tmp_path):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("../outside.py", "x = 1")
    with refused("InvalidParameterValueException", "Could not unzip uploaded file."):
        aws.functions.create_function(
            FunctionName=aws.name(),
            Runtime="python3.11",
            Handler="a.b",
            Role=aws.role(),
            Code={"ZipFile": data.getvalue()},
        )


def test_a_name_is_taken_once(aws):
    name = aws.function()
    with refused("ResourceConflictException", f"Function already exist: {name}"):
        aws.functions.create_function(
            FunctionName=name, Runtime="python3.11", Handler="a.b", Role=aws.role(), Code={"ZipFile": ECHO}
        )


# Mappings


def test_a_mapped_function_handles_and_deletes_what_is_sent(aws):
    url, arn = aws.queue()
    name = aws.function(
        zipped(app_py="print('loaded')\ndef handler(event, context):\n    print(len(event['Records']))\n")
    )
    made = aws.map(name, arn)
    assert made["State"] == "Creating"
    assert (made["BatchSize"], made["MaximumBatchingWindowInSeconds"]) == (10, 0)
    assert made["EventSourceArn"] == arn
    assert made["FunctionArn"].endswith(name)
    assert aws.mapping(made["UUID"])["State"] == "Enabled"
    aws.sqs.send_message_batch(QueueUrl=url, Entries=[{"Id": str(n), "MessageBody": f"{n}"} for n in range(10)])
    wait_until(lambda: aws.left(url) == 0, "the deletes")
    wait_until(lambda: aws.mapping(made["UUID"]).get("LastProcessingResult") == "OK", "the result")


def test_a_partial_answer_leaves_the_failed_message_with_its_visibility_timeout(aws):
    code = zipped(
        app_py="""
def handler(event, context):
    return {"batchItemFailures": [{"itemIdentifier": r["messageId"]} for r in event["Records"] if r["body"] == "bad"]}
"""
    )
    url, arn = aws.queue(VisibilityTimeout="600")
    aws.map(aws.function(code), arn, FunctionResponseTypes=["ReportBatchItemFailures"])
    for body in ("good", "bad", "fine"):
        aws.sqs.send_message(QueueUrl=url, MessageBody=body)
    wait_until(lambda: aws.left(url) == 1, "the deletes")
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    attributes = aws.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
    assert attributes == {"ApproximateNumberOfMessages": "0", "ApproximateNumberOfMessagesNotVisible": "1"}


def test_a_mapping_is_disabled_updated_enabled_and_deleted(aws):
    url, arn = aws.queue()
    name = aws.function()
    uuid = aws.map(name, arn, Enabled=False)["UUID"]
    assert aws.mapping(uuid)["State"] == "Disabled"
    aws.sqs.send_message(QueueUrl=url, MessageBody="a")
    changed = aws.functions.update_event_source_mapping(
        UUID=uuid,
        BatchSize=5,
        ScalingConfig={"MaximumConcurrency": 7},
        FunctionResponseTypes=["ReportBatchItemFailures"],
        FilterCriteria={"Filters": [{"Pattern": '{"body": ["a"]}'}]},
    )
    assert (changed["BatchSize"], changed["ScalingConfig"]) == (5, {"MaximumConcurrency": 7})
    assert aws.left(url) == 1
    aws.functions.update_event_source_mapping(UUID=uuid, Enabled=True)
    wait_until(lambda: aws.left(url) == 0, "the delete")
    read = aws.mapping(uuid)
    assert read["State"] == "Enabled"
    assert read["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert read["FilterCriteria"] == {"Filters": [{"Pattern": '{"body": ["a"]}'}]}
    aws.functions.update_event_source_mapping(UUID=uuid, ScalingConfig={}, FilterCriteria={}, FunctionResponseTypes=[])
    cleared = aws.mapping(uuid)
    assert not {"ScalingConfig", "FilterCriteria"} & cleared.keys()
    assert cleared["FunctionResponseTypes"] == []
    listed = aws.functions.list_event_source_mappings(FunctionName=name, EventSourceArn=arn)["EventSourceMappings"]
    assert [m["UUID"] for m in listed] == [uuid]
    assert aws.functions.delete_event_source_mapping(UUID=uuid)["State"] == "Deleting"
    with refused("ResourceNotFoundException", "The resource you requested does not exist."):
        aws.mapping(uuid)


def test_deleting_a_mapping_waits_for_what_was_received(aws, tmp_path):
    gate = tmp_path / "gate"
    code = f"""
import os, time
def handler(event, context):
    open({str(tmp_path / "begun")!r}, "w").close()
    while not os.path.exists({str(gate)!r}):
        time.sleep(0.005)
"""
    url, arn = aws.queue()
    uuid = aws.map(aws.function(zipped(app_py=code), Timeout=30), arn)["UUID"]
    aws.sqs.send_message(QueueUrl=url, MessageBody="a")
    wait_until((tmp_path / "begun").exists, "the handler")
    aws.functions.delete_event_source_mapping(UUID=uuid)
    assert aws.mapping(uuid)["State"] == "Deleting"
    with refused("ResourceInUseException", "in use"):
        aws.functions.delete_event_source_mapping(UUID=uuid)
    gate.touch()
    wait_until(lambda: aws.left(url) == 0, "the delete")
    with refused("ResourceNotFoundException", "does not exist"):
        aws.mapping(uuid)


def test_a_mapping_whose_function_was_deleted_deletes_nothing(aws):
    url, arn = aws.queue()
    name = aws.function()
    uuid = aws.map(name, arn)["UUID"]
    aws.functions.delete_function(FunctionName=name)
    aws.sqs.send_message(QueueUrl=url, MessageBody="a")
    wait_until(lambda: "LastProcessingResult" in aws.mapping(uuid), "the failure")
    assert aws.mapping(uuid)["LastProcessingResult"] == "PROBLEM: Function not found"
    assert aws.left(url) == 1


def test_a_mapping_outlives_its_queue_without_a_busy_loop(aws):
    url, arn = aws.queue()
    uuid = aws.map(aws.function(), arn)["UUID"]
    aws.sqs.delete_queue(QueueUrl=url)
    assert aws.mapping(uuid)["State"] == "Enabled"
    aws.functions.delete_event_source_mapping(UUID=uuid)
    with refused("ResourceNotFoundException", "does not exist"):
        aws.mapping(uuid)


@pytest.mark.parametrize(
    ("fifo", "options", "code", "text"),
    [
        (
            False,
            {"BatchSize": 11},
            "InvalidParameterValueException",
            "Maximum batch window in seconds must be greater than 0",
        ),
        (False, {"BatchSize": 10_001}, "ValidationException", "Member must have value less than or equal to 10000"),
        (True, {"BatchSize": 11}, "InvalidParameterValueException", "not supported for FIFO queues"),
        (
            True,
            {"MaximumBatchingWindowInSeconds": 1},
            "InvalidParameterValueException",
            "not supported for FIFO queues",
        ),
        (
            False,
            {"ScalingConfig": {"MaximumConcurrency": 1_001}},
            "ValidationException",
            "Value '1001' at 'scalingConfig.maximumConcurrency' failed to satisfy constraint",
        ),
        (
            False,
            {"FilterCriteria": {"Filters": [{"Pattern": "{"}]}},
            "InvalidParameterValueException",
            "Invalid filter pattern definition.",
        ),
        (
            False,
            {"StartingPosition": "LATEST"},
            "InvalidParameterValueException",
            "StartingPosition is not a parameter",
        ),
        (
            False,
            {"FunctionResponseTypes": ["Nonsense"]},
            "ValidationException",
            "Member must satisfy enum value set: [ReportBatchItemFailures]",
        ),
    ],
)
def test_a_mapping_that_cannot_be_is_refused(aws, fifo, options, code, text):
    _, arn = aws.queue(fifo=fifo)
    name = aws.function()
    with refused(code, text):
        aws.map(name, arn, **options)
    assert aws.functions.list_event_source_mappings(FunctionName=name)["EventSourceMappings"] == []


def test_a_function_timeout_above_the_visibility_timeout_is_refused_at_create_and_update(aws):
    _, arn = aws.queue(VisibilityTimeout="5")
    name = aws.function(Timeout=6)
    text = "Queue visibility timeout: 5 seconds is less than Function timeout: 6 seconds"
    with refused("InvalidParameterValueException", text):
        aws.map(name, arn)
    aws.functions.update_function_configuration(FunctionName=name, Timeout=5)
    uuid = aws.map(name, arn)["UUID"]
    aws.functions.update_function_configuration(FunctionName=name, Timeout=6)
    with refused("InvalidParameterValueException", text):
        aws.functions.update_event_source_mapping(UUID=uuid, BatchSize=5)
    assert aws.mapping(uuid)["BatchSize"] == 10


def test_a_queue_and_a_function_are_mapped_once(aws):
    _, arn = aws.queue()
    name = aws.function()
    uuid = aws.map(name, arn)["UUID"]
    with refused("ResourceConflictException", f"Please update or delete the existing mapping with UUID {uuid}"):
        aws.map(name, arn)


def test_a_queue_or_function_that_is_not_there_is_refused(aws):
    with refused("InvalidParameterValueException", "Error occurred while ReceiveMessage. SQS Error Code"):
        aws.map(aws.function(), "arn:aws:sqs:us-west-1:000000000000:nothing")
    with refused("ResourceNotFoundException", "Function not found"):
        aws.map("nobody", aws.queue()[1])
    with refused("ResourceNotFoundException", "The resource you requested does not exist."):
        aws.mapping("00000000-0000-0000-0000-000000000000")


@pytest.mark.parametrize("missing", QUEUE_ACTIONS)
def test_a_role_without_one_of_the_three_actions_is_refused(aws, missing):
    role = aws.role(*(action for action in QUEUE_ACTIONS if action != missing))
    name = aws.function(role=role)
    action = missing.removeprefix("sqs:")
    with refused("InvalidParameterValueException", f"role does not have permissions to call {action} on SQS"):
        aws.map(name, aws.queue()[1])


def test_a_role_for_another_queue_is_refused_and_one_with_the_managed_policy_is_not(aws):
    _, arn = aws.queue()
    elsewhere = aws.function(role=aws.role(*QUEUE_ACTIONS, resource="arn:aws:sqs:us-west-1:000000000000:other"))
    with refused("InvalidParameterValueException", "permissions to call ReceiveMessage"):
        aws.map(elsewhere, arn)
    role = aws.role()
    aws.iam.attach_role_policy(
        RoleName=role.rpartition("/")[2],
        PolicyArn="arn:aws:iam::aws:policy/service-role/AWSLambdaSQSQueueExecutionRole",
    )
    assert aws.map(aws.function(role=role), arn)["State"] == "Creating"


# IAM and CloudWatch Logs, as deployment tools use them


def test_a_role_with_its_policies_is_created_read_and_deleted(aws):
    name = aws.name()
    aws.iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST), Tags=[{"Key": "a", "Value": "1"}])
    read = aws.iam.get_role(RoleName=name)["Role"]
    assert read["AssumeRolePolicyDocument"] == TRUST
    assert read["Arn"] == f"arn:aws:iam::000000000000:role/{name}"
    aws.iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=policy("sqs:*"))
    assert aws.iam.list_role_policies(RoleName=name)["PolicyNames"] == ["p"]
    assert aws.iam.get_role_policy(RoleName=name, PolicyName="p")["PolicyDocument"] == json.loads(policy("sqs:*"))
    assert aws.iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"] == []
    assert aws.iam.list_instance_profiles_for_role(RoleName=name)["InstanceProfiles"] == []
    with refused("DeleteConflict", "policies first"):
        aws.iam.delete_role(RoleName=name)
    aws.iam.delete_role_policy(RoleName=name, PolicyName="p")
    aws.iam.delete_role(RoleName=name)
    with refused("NoSuchEntity", name):
        aws.iam.get_role(RoleName=name)


def test_a_log_group_keeps_what_a_function_writes(aws):
    name = aws.function(zipped(app_py="def handler(event, context):\n    print('order', event)\n"))
    group = f"/aws/lambda/{name}"
    aws.logs.create_log_group(logGroupName=group, tags={"a": "1"})
    aws.logs.put_retention_policy(logGroupName=group, retentionInDays=7)
    aws.invoke(name, 17)
    (described,) = aws.logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]
    assert described["retentionInDays"] == 7
    events = aws.logs.filter_log_events(logGroupName=group)["events"]
    assert [e["message"].split()[0] for e in events] == ["START", "order", "END", "REPORT"]
    (stream,) = aws.logs.describe_log_streams(logGroupName=group)["logStreams"]
    assert "[$LATEST]" in stream["logStreamName"]
    aws.logs.delete_log_group(logGroupName=group)
    with refused("ResourceNotFoundException", ""):
        aws.logs.filter_log_events(logGroupName=group)


# The lab's own routes


def test_the_lab_scripts_faults_and_reads_what_is_there(aws):
    name = aws.function(COUNTER)
    assert aws.invoke(name)[0] == 1
    scripted = post(f"{aws.lab(name)}/faults", {"faults": [{"kind": "crash-after", "at": 2}]})
    assert scripted == {"scripted": 1, "invocations": 1}
    assert "signal: killed" in aws.invoke(name)[0]["errorMessage"]
    assert aws.invoke(name)[0] == 1
    history = aws.endpoint.config.history
    struck = [json.loads(line) for line in history.read_text().splitlines() if '"fault-struck"' in line]
    assert [(e["function"], e["kind"], e["at"]) for e in struck if e["function"] == name] == [(name, "crash-after", 2)]


def test_a_delete_that_fails_in_part_is_tried_again(aws):
    url, arn = aws.queue()
    name = aws.function()
    post(f"{aws.lab(name)}/faults", {"faults": [{"kind": "delete-failed", "at": 1, "entries": [0]}]})
    aws.map(name, arn)
    aws.sqs.send_message(QueueUrl=url, MessageBody="a")
    wait_until(lambda: aws.left(url) == 0, "the second delete")
    events = [json.loads(line) for line in aws.endpoint.config.history.read_text().splitlines()]
    of_queue = [e["event"] for e in events if e["queue"] == arn.rpartition(":")[2]]
    assert of_queue.count("deletes-failed") == 1
    assert of_queue.count("batch-sent") == 1


def test_the_lab_crashes_an_invocation_that_is_under_way(aws, tmp_path):
    begun = tmp_path / "begun"
    code = f"import time\ndef handler(event, context):\n    open({str(begun)!r}, 'w').close()\n    time.sleep(60)\n"
    url, arn = aws.queue(VisibilityTimeout="60")
    name = aws.function(zipped(app_py=code), Timeout=50)
    uuid = aws.map(name, arn)["UUID"]
    aws.sqs.send_message(QueueUrl=url, MessageBody="a")
    wait_until(begun.exists, "the handler")
    assert post(f"{aws.lab(name)}/crash", {}) == {"crashed": 1}
    wait_until(lambda: "LastProcessingResult" in aws.mapping(uuid), "the failure")
    assert aws.mapping(uuid)["LastProcessingResult"] == "PROBLEM: Function call failed"
    assert aws.left(url) == 1


@pytest.mark.parametrize(
    ("document", "text"),
    [
        ({}, "faults is a list"),
        ({"faults": [{"kind": "rain", "at": 1}]}, "the kind of a fault is one of"),
        ({"faults": [{"kind": "hang", "at": -1}]}, "at is the number of an invocation"),
        ({"faults": [{"kind": "hang", "at": 1, "seconds": -1}]}, "seconds is a number from 0 on"),
        ({"faults": [{"kind": "hang", "at": 1, "more": 1}]}, "a fault is an object"),
        ({"faults": [{"kind": "delete-failed", "at": 1, "entries": [-1]}]}, "entries is a list of positions"),
    ],
)
def test_a_malformed_fault_is_refused_by_a_sentence(aws, document, text):
    name = aws.function()
    with pytest.raises(urllib.error.HTTPError) as refusal:
        post(f"{aws.lab(name)}/faults", document)
    assert refusal.value.code == 400
    assert text in refusal.value.read().decode()
    refusal.value.close()


# The end


def test_no_process_and_no_code_outlives_the_endpoint():
    with running_endpoint(EndpointConfig(rates=STRICT)) as endpoint, contextlib.closing(Aws(endpoint)) as aws:
        where = "[os.getpid(), os.environ['LAMBDA_TASK_ROOT'], os.environ['TMPDIR']]"
        code = f"import os\ndef handler(event, context):\n    return {where}\n"
        pid, root, scratch = aws.invoke(aws.function(zipped(app_py=code)))[0]
        _, arn = aws.queue()
        aws.map(aws.function(), arn)
        assert is_alive(pid)
    wait_until(lambda: not is_alive(pid), "the process's end")
    assert not Path(root).exists()
    assert not Path(scratch).exists()


def test_a_fast_clock_scales_the_function_timeout_and_the_visibility_timeout():
    with running_endpoint(EndpointConfig(rates=STRICT, speed=50)) as endpoint, contextlib.closing(Aws(endpoint)) as aws:
        code = "import time\ndef handler(event, context):\n    time.sleep(60)\n"
        url, arn = aws.queue(
            VisibilityTimeout="60",
            RedrivePolicy=json.dumps({"deadLetterTargetArn": aws.queue()[1], "maxReceiveCount": 1}),
        )
        aws.map(aws.function(zipped(app_py=code), Timeout=60), arn)
        aws.sqs.send_message(QueueUrl=url, MessageBody="a")
        wait_until(lambda: aws.left(url) == 0, "the dead-letter move")
