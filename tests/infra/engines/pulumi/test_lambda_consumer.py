"""A Lambda consumer, deployed by both engines: an ``up`` starts its mapping, and a ``destroy`` ends it."""

import json
import time
from dataclasses import replace

import pulumi
import pulumi_aws as aws
import pytest

from infra.components import LambdaConsumer, LambdaConsumerArgs
from tests.infra.engines.pulumi.labs import REGION, comparable, steps
from tests.infra.engines.pulumi.topology import LambdaEntry, program_of

pytestmark = pytest.mark.processes
DEADLINE = 30.0


def drained(endpoint, url):
    end = time.monotonic() + DEADLINE
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    while any(map(int, endpoint.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"].values())):
        assert time.monotonic() < end, "timed out waiting for the function"
        time.sleep(0.01)
    return True


def test_an_up_starts_the_mapping_and_a_destroy_ends_it(embedded):
    plan = embedded.engine("offline", program_of([LambdaEntry("l", answer=None)])).up()
    output = plan.outputs["l"]
    embedded.endpoint.sqs.send_message(QueueUrl=output["url"], MessageBody="a")
    assert drained(embedded.endpoint, output["url"])
    embedded.engine("offline", program_of([])).destroy()
    assert embedded.endpoint.contents("offline-") == {}


def test_the_role_may_do_the_three_things_on_its_queue_and_write_its_log_and_no_more(embedded):
    embedded.engine("narrow", program_of([LambdaEntry("l")])).up()
    contents = embedded.endpoint.contents("narrow-")
    ((_, role),) = [(name, value) for name, value in contents.items() if name.startswith("role ")]
    ((_, policy),) = role["policies"].items()
    queue, log = policy["Statement"]
    assert queue["Action"] == ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"]
    assert queue["Resource"] == "arn:aws:sqs:us-west-1:000000000000:narrow-l-suffix"
    assert log["Action"] == ["logs:CreateLogStream", "logs:PutLogEvents"]
    assert log["Resource"] == "arn:aws:logs:us-west-1:000000000000:log-group:/aws/lambda/narrow-l-suffix:*"
    assert contents["log group /aws/lambda/narrow-l-suffix"] == 7
    embedded.engine("narrow", program_of([])).destroy()


def test_code_from_a_directory_is_deployed_anew_when_it_changes(embedded, tmp_path):
    code = tmp_path / "code"
    code.mkdir()

    def program():
        provider = aws.Provider("aws", region=REGION)
        queue = aws.sqs.Queue("dir-q", opts=pulumi.ResourceOptions(provider=provider))
        consumer = LambdaConsumer(
            "dir-l",
            LambdaConsumerArgs(
                queue_arn=queue.arn, code=pulumi.FileArchive(str(code)), handler="app.handler", runtime="python3.11"
            ),
            opts=pulumi.ResourceOptions(provider=provider),
        )
        pulumi.export("function", consumer.function.name)

    def value():
        answer = embedded.endpoint.lambda_.invoke(FunctionName=name, Payload=b"{}")
        return json.loads(answer["Payload"].read())

    (code / "app.py").write_text("def handler(event, context):\n    return 1\n")
    name = embedded.engine("dir", program).up().outputs["function"]
    assert value() == 1
    (code / "app.py").write_text("def handler(event, context):\n    return 2\n")
    plan = embedded.engine("dir", program).up()
    changed = [step.changes for step in plan.steps if step.operation.value == "update"]
    assert changed == [("code",)]
    assert value() == 2
    embedded.engine("dir", program).destroy()


@pytest.mark.pulumi_cli
def test_both_engines_deploy_change_and_destroy_it_alike(embedded, real):
    def both(operation, *entries):
        program = program_of(entries)
        plan, judge = (getattr(lab.engine("both", program), operation)() for lab in (embedded, real))
        assert steps(plan) == steps(judge)
        assert embedded.endpoint.contents("both-") == real.endpoint.contents("both-"), operation
        if operation == "up":
            assert comparable(plan.outputs) == comparable(judge.outputs)
            assert embedded.resources("both") == real.resources("both")
        return plan, judge

    entry = LambdaEntry("l", answer=None)
    both("up", entry)
    entry = replace(entry, answer="", batch_size=5, maximum_concurrency=4, pattern="x", timeout=5, tag="c")
    planned, _ = both("preview", entry)
    made, _ = both("up", entry)
    assert steps(made) == steps(planned)
    entry = replace(entry, pattern=None, maximum_concurrency=None)
    for lab, plan in zip((embedded, real), both("up", entry), strict=True):
        url = plan.outputs["l"]["url"]
        lab.endpoint.sqs.send_message(QueueUrl=url, MessageBody="a")
        assert drained(lab.endpoint, url)
    refreshed, _ = both("refresh", entry)
    assert not [step for step in refreshed.steps if step.operation.value != "same"]
    both("destroy", entry)
    assert embedded.endpoint.contents("both-") == {}
