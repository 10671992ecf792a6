import asyncio
import json
import stat

import pulumi
import pulumi_aws as aws_sdk
import pytest

from infra.__main__ import main
from infra.engines.plan import Operation
from infra.errors import DeploymentError, InfraError, StateError
from infra.provider.values import UNKNOWN, Secret
from infra.topology import TOPOLOGY
from tests.infra.conftest import operations, small_program

ONE_SCENARIO = {
    ("create", "Stack"): 1,
    ("create", "aws"): 1,
    ("create", "ScenarioResources"): 1,
    ("create", "QueueWithDeadLetters"): 1,
    ("create", "IdempotencyTables"): 1,
    ("create", "Queue"): 2,
    ("create", "RedrivePolicy"): 1,
    ("create", "RedriveAllowPolicy"): 1,
    ("create", "Table"): 2,
}


def test_up_makes_what_the_program_describes(lab):
    plan = lab.engine().up()
    assert operations(plan) == ONE_SCENARIO
    happy = plan.outputs["happy"]
    assert plan.outputs["region"] == "us-west-1"
    assert plan.outputs["projectName"] == "sqs-demo"
    assert lab.queues() == sorted([happy["queueName"], happy["deadLetterQueueName"]])
    assert lab.tables() == sorted([happy["statusTable"], happy["sideEffectsTable"]])
    queue, dead = lab.attributes(happy["queueUrl"]), lab.attributes(happy["deadLetterQueueUrl"])
    assert queue["VisibilityTimeout"] == "10"
    assert queue["ReceiveMessageWaitTimeSeconds"] == "10"
    redrive = json.loads(queue["RedrivePolicy"])
    assert (redrive["deadLetterTargetArn"], int(redrive["maxReceiveCount"])) == (happy["deadLetterQueueArn"], 2)
    allow = json.loads(dead["RedriveAllowPolicy"])
    assert allow == {"redrivePermission": "byQueue", "sourceQueueArns": [happy["queueArn"]]}
    tags = {"project": "sqs-demo", "stack": lab.stack, "scenario": "happy"}
    assert lab.aws.sqs.list_queue_tags(QueueUrl=happy["queueUrl"])["Tags"] == tags
    keys = lab.aws.dynamodb.describe_table(TableName=happy["statusTable"])["Table"]["KeySchema"]
    assert keys == [{"AttributeName": "message_id", "KeyType": "HASH"}]


def test_all_scenarios_are_as_the_topology_has_them(lab):
    outputs = lab.engine(scenarios="[]").up().outputs
    settings = {
        name: (value["visibilityTimeout"], value["maxReceiveCount"], value["fifo"])
        for name, value in outputs.items()
        if isinstance(value, dict)
    }
    assert settings == {
        entry.name: (entry.visibility_timeout or 10, entry.max_receive_count or 2, entry.fifo) for entry in TOPOLOGY
    }
    assert outputs["fifo-order"]["queueUrl"].endswith(".fifo")
    assert lab.attributes(outputs["fifo-order"]["queueUrl"])["VisibilityTimeout"] == "1"

    # The state has every resource after all that it needs.
    seen = set()
    for resource in lab.snapshot().resources:
        assert resource.needs() <= seen
        seen.add(resource.urn)


def test_a_second_up_changes_nothing_and_writes_nothing(lab):
    lab.engine().up()
    before, inode = lab.path.read_bytes(), lab.path.stat().st_ino
    plan = lab.engine().up()
    assert plan.changes == []
    assert plan.count(Operation.SAME) == 11
    assert (lab.path.read_bytes(), lab.path.stat().st_ino) == (before, inode)


def test_urns_carry_the_types_of_all_parents(lab):
    lab.engine().up()
    scenario = "queueFundamentals:infra:ScenarioResources"
    name = f"sqs-demo-{lab.stack}-happy"
    urns = {resource.urn for resource in lab.snapshot().resources}
    prefix = f"urn:pulumi:{lab.stack}::queue-fundamentals::"
    assert f"{prefix}pulumi:pulumi:Stack::queue-fundamentals-{lab.stack}" in urns
    assert f"{prefix}{scenario}${'queueFundamentals:infra:QueueWithDeadLetters'}$aws:sqs/queue:Queue::{name}" in urns
    assert f"{prefix}{scenario}${'queueFundamentals:infra:IdempotencyTables'}::{name}" in urns


def test_the_state_is_for_its_owner_alone(lab):
    lab.engine().up()
    assert stat.S_IMODE(lab.path.stat().st_mode) == 0o600


def test_a_preview_tells_what_up_will_do_and_touches_nothing(lab):
    preview = lab.engine().preview()
    assert not lab.path.exists()
    assert lab.queues() == []
    assert preview.outputs["happy"]["queueUrl"] is UNKNOWN
    assert preview.outputs["happy"]["maxReceiveCount"] == 2
    assert operations(lab.engine().up()) == operations(preview)


def test_a_changed_attribute_is_updated_in_place(lab):
    before = lab.engine().up().outputs["happy"]
    engine = lab.engine(queueVisibilityTimeout=20)
    preview, plan = engine.preview(), engine.up()
    assert operations(plan) == operations(preview) == {("update", "Queue"): 1}
    assert plan.changes[0].changes == ("visibilityTimeoutSeconds",)
    assert plan.outputs["happy"] == {**before, "visibilityTimeout": 20}
    assert lab.attributes(before["queueUrl"])["VisibilityTimeout"] == "20"


def test_a_changed_policy_is_updated_in_place(lab):
    before = lab.engine().up().outputs["happy"]
    assert operations(lab.engine(maxReceiveCount=3).up()) == {("update", "RedrivePolicy"): 1}
    assert json.loads(lab.attributes(before["queueUrl"])["RedrivePolicy"])["maxReceiveCount"] == 3


def test_another_region_replaces_everything_and_deletes_the_old(lab):
    before = lab.engine().up().outputs["happy"]
    engine = lab.engine(awsRegion="eu-west-1")
    preview, plan = engine.preview(), engine.up()
    expected = {("replace", key[1]): count for key, count in ONE_SCENARIO.items() if key[1] in REPLACED}
    assert operations(plan) == operations(preview) == expected
    assert plan.outputs["happy"]["queueName"] != before["queueName"]
    lab.assert_nothing_left_over("eu-west-1")
    assert before["queueName"] not in lab.queues()


def test_a_fifo_queue_in_place_of_a_standard_one_is_made_before_the_old_one_goes(lab):
    lab.engine(program=small_program(fifo=False)).up()
    engine = lab.engine(program=small_program(fifo=True))
    preview, plan = engine.preview(), engine.up()
    assert operations(plan) == operations(preview) == {("replace", "Queue"): 2, ("replace", "RedrivePolicy"): 1}
    lab.assert_nothing_left_over()
    assert all(name.endswith(".fifo") for name in lab.queues())


def test_what_the_program_does_not_describe_any_more_is_deleted(lab):
    lab.engine(scenarios='["happy", "crash"]').up()
    engine = lab.engine(scenarios='["happy"]')
    preview, plan = engine.preview(), engine.up()
    assert operations(plan) == operations(preview) == {("delete", key[1]): count for key, count in SCENARIO.items()}
    assert "crash" not in plan.outputs
    lab.assert_nothing_left_over()


def test_destroy_deletes_everything_dependants_first(lab):
    lab.engine().up()
    plan = lab.engine().destroy()
    order = [step.type.rsplit(":", 1)[-1] for step in plan.steps]
    assert plan.count(Operation.DELETE) == 11
    assert order.index("RedrivePolicy") < order.index("Queue")
    assert order[-1] == "Stack"
    assert (lab.queues(), lab.tables(), lab.snapshot().resources) == ([], [], ())
    assert lab.engine().destroy().steps == []


def test_refresh_finds_what_was_deleted_behind_its_back_and_up_makes_it_again(lab):
    happy = lab.engine().up().outputs["happy"]
    lab.aws.sqs.delete_queue(QueueUrl=happy["queueUrl"])
    lab.aws.dynamodb.delete_table(TableName=happy["statusTable"])
    plan = lab.engine().refresh()
    assert operations(plan) == {("delete", "Queue"): 1, ("delete", "RedrivePolicy"): 1, ("delete", "Table"): 1}
    again = lab.engine().up()
    assert operations(again) == {
        ("create", "Queue"): 1,
        ("create", "RedrivePolicy"): 1,
        ("create", "Table"): 1,
        ("update", "RedriveAllowPolicy"): 1,
    }
    assert lab.engine().refresh().changes == []
    lab.assert_nothing_left_over()


def test_refresh_takes_over_what_was_changed_behind_its_back_and_up_changes_it_back(lab):
    happy = lab.engine().up().outputs["happy"]
    lab.aws.sqs.set_queue_attributes(QueueUrl=happy["queueUrl"], Attributes={"VisibilityTimeout": "99"})
    assert lab.engine().up().changes == []
    refreshed = lab.engine().refresh()
    assert [step.changes for step in refreshed.changes] == [("visibilityTimeoutSeconds",)]
    assert operations(lab.engine().up()) == {("update", "Queue"): 1}
    assert lab.attributes(happy["queueUrl"])["VisibilityTimeout"] == "10"


def test_an_endpoint_that_was_started_anew_is_known_to_be_empty(lab):
    lab.engine(instance="one").up()
    lab.engine(instance="one").destroy()
    lab.engine(instance="one").up()
    first = lab.queues()
    assert operations(lab.engine(instance="two").preview()) == ONE_SCENARIO
    assert operations(lab.engine(instance="two").up()) == ONE_SCENARIO
    for name in first:  # this test's endpoint is the old one still
        lab.aws.sqs.delete_queue(QueueUrl=lab.aws.sqs.get_queue_url(QueueName=name)["QueueUrl"])
    lab.path.write_text(lab.path.read_text().replace('"endpoint": "two"', '"endpoint": "one"'))


def test_two_stacks_stand_side_by_side(lab, new_lab):
    other = new_lab()
    lab.engine().up()
    other.engine().up()
    assert not set(lab.queues()) & set(other.queues())
    other.engine().destroy()
    assert lab.engine().refresh().changes == []


def test_a_secret_stays_one_from_input_to_output_and_reaches_aws(lab):
    def program():
        provider = aws_sdk.Provider("aws", region="us-west-1")
        tags = pulumi.Output.secret({"pin": "hush"})
        queue = aws_sdk.sqs.Queue(f"sqs-demo-{lab.stack}-q", tags=tags, opts=pulumi.ResourceOptions(provider=provider))
        pulumi.export("tags", queue.tags)
        pulumi.export("url", queue.url)

    plan = lab.engine(program=program).up()
    assert plan.outputs["tags"] == Secret({"pin": "hush"})
    assert lab.aws.sqs.list_queue_tags(QueueUrl=plan.outputs["url"])["Tags"] == {"pin": "hush"}
    assert lab.engine(program=program).outputs()["tags"] == Secret({"pin": "hush"})
    assert lab.engine(program=program).up().changes == []


def test_outputs_of_a_program_reach_other_resources_and_plain_python(lab):
    seen = []

    def program():
        provider = aws_sdk.Provider("aws", region="us-west-1")
        options = pulumi.ResourceOptions(provider=provider)
        queue = aws_sdk.sqs.Queue(f"sqs-demo-{lab.stack}-a", opts=options)
        queue.arn.apply(seen.append)
        other = aws_sdk.sqs.Queue(f"sqs-demo-{lab.stack}-b", tags={"of": queue.name}, opts=options)
        pulumi.export("tags", other.tags)
        pulumi.export("queue", queue)

    lab.engine(program=program).preview()
    assert seen == []
    plan = lab.engine(program=program).up()
    assert seen == [plan.outputs["queue"]["arn"]]
    assert plan.outputs["tags"] == {"of": plan.outputs["queue"]["name"]}
    [other] = [resource for resource in lab.snapshot().resources if resource.urn.endswith("-b")]
    assert [urn.rsplit("::", 1)[-1] for urn in other.property_dependencies["tags"]] == [f"sqs-demo-{lab.stack}-a"]


@pytest.mark.parametrize(
    ("act", "sentence"),
    [
        (lambda options: aws_sdk.sqs.Queue("q", policy="{}", opts=options), "has no property policy"),
        (lambda options: aws_sdk.sns.Topic("t", opts=options), "does not know the resource type aws:sns/topic"),
        (lambda options: aws_sdk.sqs.Queue("q", delay_seconds=901, opts=options), "from 0 to 900"),
        (lambda options: aws_sdk.sqs.Queue("q"), "has no provider"),
        (
            lambda options: aws_sdk.sqs.Queue("q", opts=pulumi.ResourceOptions.merge(options, PROTECTED)),
            "does not have the option protect",
        ),
        (
            lambda options: aws_sdk.sqs.Queue("q", opts=pulumi.ResourceOptions.merge(options, RENAMED)),
            "does not have the option aliases",
        ),
        (lambda options: [aws_sdk.sqs.Queue("q", opts=options) for _ in range(2)], "twice"),
        (lambda options: aws_sdk.get_caller_identity(), "Invoke aws:index/getCallerIdentity"),
        (lambda options: aws_sdk.sqs.Queue.get("q", "http://x/y", opts=options), "ReadResource"),
        (lambda options: 1 / 0, "ZeroDivisionError"),
    ],
)
def test_what_the_engine_cannot_do_is_a_sentence(lab, act, sentence):
    def program():
        provider = aws_sdk.Provider("aws", region="us-west-1")
        act(pulumi.ResourceOptions(provider=provider))

    with pytest.raises(InfraError, match=sentence) as error:
        lab.engine(program=program).up()
    assert "\n" not in str(error.value)


def test_what_the_program_does_beside_its_resources_is_not_waited_for(lab):
    ended = []

    async def watch():
        try:
            await asyncio.sleep(20)
        except asyncio.CancelledError:
            ended.append("with the program")
            raise
        ended.append("by itself")

    def program():
        small_program()()
        program.task = asyncio.ensure_future(watch())

    lab.engine(program).up()
    assert set(ended) == {"with the program"}


def test_an_older_type_by_which_pulumi_aws_knew_a_resource_is_no_alias_to_refuse(lab):
    def program():
        provider = aws_sdk.Provider("aws", region="us-west-1")
        options = pulumi.ResourceOptions(provider=provider)
        bucket = aws_sdk.s3.Bucket(f"sqs-demo-{lab.stack}-b", force_destroy=True, opts=options)
        pulumi.export("bucket", bucket.bucket)

    plan = lab.engine(program=program).up()
    lab.aws.s3.put_object(Bucket=plan.outputs["bucket"], Key="left", Body=b"")
    assert not lab.engine(program=program).preview().changes
    lab.engine(program=program).destroy()
    assert plan.outputs["bucket"] not in [item["Name"] for item in lab.aws.s3.list_buckets()["Buckets"]]


def test_a_failure_keeps_what_was_made_and_deletes_nothing(lab):
    lab.engine().up()
    queues = lab.queues()

    def program():
        main()
        raise RuntimeError("half way")

    with pytest.raises(DeploymentError, match="half way"):
        lab.engine(program=program, scenarios='["crash"]').up()
    assert set(queues) <= set(lab.queues())
    assert operations(lab.engine().up()) == {("delete", key[1]): count for key, count in SCENARIO.items()}
    lab.assert_nothing_left_over()


def test_a_refused_create_leaves_nothing_pending(lab):
    def program():
        provider = aws_sdk.Provider("aws", region="us-west-1")
        queue = aws_sdk.sqs.Queue(f"sqs-demo-{lab.stack}-q", opts=pulumi.ResourceOptions(provider=provider))
        aws_sdk.sqs.RedrivePolicy(
            "p",
            queue_url=queue.url,
            redrive_policy=json.dumps(
                {"deadLetterTargetArn": "arn:aws:sqs:us-west-1:000000000000:nowhere", "maxReceiveCount": 1}
            ),
            opts=pulumi.ResourceOptions(provider=provider),
        )

    with pytest.raises(InfraError, match="RedrivePolicy p could not be created"):
        lab.engine(program=program).up()
    lab.assert_nothing_left_over()


def test_the_programs_warnings_reach_the_user(lab):
    lab.engine(program=lambda: pulumi.warn("mind the gap")).up()
    assert lab.warnings == ["mind the gap"]


@pytest.mark.parametrize("method", ["preview", "up", "refresh", "destroy", "outputs"])
@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text[: len(text) // 2],
        lambda text: "",
        lambda text: text.replace('"version": 1', '"version": 2'),
        lambda text: text.replace("queue-fundamentals-state", "terraform"),
        lambda text: text.replace('"urn"', '"run"'),
        lambda text: text.replace('"resources": [', '"resources": [3,'),
        lambda text: "[]",
        lambda text: text.replace('"stack"', '"\udcff"'),
    ],
)
def test_a_state_that_cannot_be_read_is_refused_and_kept(new_lab, method, spoil):
    lab = new_lab()
    lab.engine(program=lambda: None).up()
    spoiled = spoil(lab.path.read_text()).encode(errors="surrogateescape")
    lab.path.write_bytes(spoiled)
    with pytest.raises(StateError, match="kept as it is"):
        getattr(lab.engine(), method)()
    assert lab.path.read_bytes() == spoiled


PROTECTED = pulumi.ResourceOptions(protect=True)
RENAMED = pulumi.ResourceOptions(aliases=[pulumi.Alias(name="p")])
REPLACED = {"aws", "Queue", "RedrivePolicy", "RedriveAllowPolicy", "Table"}
SCENARIO = {key: count for key, count in ONE_SCENARIO.items() if key[1] not in ("Stack", "aws")}
