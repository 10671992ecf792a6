"""The user's own messages in the place of the lab's: bodies, attributes, groups, envelopes, and JSON Schemas."""

import json

import pytest

from infra.localaws.sqs.content import MessageAttribute, attributes_md5, body_md5
from scenarios.checks.message_templates import read_templates
from scenarios.errors import RequestError


def file_of(tmp_path, *lines, name="m.jsonl"):
    path = tmp_path / name
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines))
    return path


def received(templates, sequence=0, asked=("All",), group=None, **told):
    """Return a message of the lab's with the key ``k``, as a program receives it."""
    item = {"MessageId": "m", "Body": json.dumps({"id": "k", "sequence": sequence, "work": 1, **told})}
    if group:
        item["Attributes"] = {"MessageGroupId": group, "ApproximateReceiveCount": "1"}
    templates.replace(item, "k", asked)
    assert item.get("MD5OfBody", body_md5(item["Body"])) == body_md5(item["Body"])
    return item


def body_of(item):
    return json.loads(item["Body"])


def test_each_message_is_a_line_of_the_file_with_the_labs_key(tmp_path):
    path = file_of(tmp_path, {"order": {"id": 1, "n": 2}}, "", {"order": {"id": "x"}, "b": True})
    templates = read_templates(path, "$.order.id")
    assert body_of(received(templates, 2)) == {"order": {"id": "k", "n": 2}}
    assert body_of(received(templates, 5)) == {"order": {"id": "k"}, "b": True}
    assert body_of(received(templates, poison=True))["poison"] is True
    item = {"Body": "no JSON"}
    templates.replace(item, "k", ())
    assert item == {"Body": "no JSON"}


def test_the_path_goes_through_lists_and_texts_that_hold_json(tmp_path):
    line = {"detail": json.dumps({"orders": [{"n": 1}, {"n": 2}]})}
    body = body_of(received(read_templates(file_of(tmp_path, line), "detail.orders[1].n")))
    assert json.loads(body["detail"]) == {"orders": [{"n": 1}, {"n": "k"}]}


@pytest.mark.parametrize("key", ["$.order.id", "Message.order.id"])
def test_the_path_begins_inside_an_sns_notification(tmp_path, key):
    sns = {"Type": "Notification", "TopicArn": "arn:x", "Message": json.dumps({"order": {"id": 7}})}
    body = body_of(received(read_templates(file_of(tmp_path, sns), key), poison=True))
    assert (body["Type"], body["poison"]) == ("Notification", True)
    assert json.loads(body["Message"]) == {"order": {"id": "k"}, "poison": True}


def test_the_key_of_an_s3_notification_is_its_objects_also_inside_sns(tmp_path):
    s3 = {"Records": [{"eventSource": "aws:s3", "s3": {"object": {"key": "a", "size": 3}}}]}
    sns = {"Type": "Notification", "TopicArn": "arn:x", "Message": json.dumps(s3)}
    templates = read_templates(file_of(tmp_path, s3, sns))
    whole = {"Records": [{"eventSource": "aws:s3", "s3": {"object": {"key": "k", "size": 3}}}]}
    assert body_of(received(templates, 0)) == whole
    assert json.loads(body_of(received(templates, 1))["Message"]) == whole


def test_a_line_may_hold_attributes_which_come_as_the_receive_asks_for_them(tmp_path):
    attributes = {"kind": "order", "weight": 2.5, "blob": {"DataType": "Binary", "BinaryValue": "AAE="}}
    line = {"body": json.dumps({"id": 1}), "attributes": attributes}
    templates = read_templates(file_of(tmp_path, line))
    item = received(templates)
    assert item["MessageAttributes"] == {
        "kind": {"DataType": "String", "StringValue": "order"},
        "weight": {"DataType": "Number", "StringValue": "2.5"},
        "blob": {"DataType": "Binary", "BinaryValue": "AAE="},
    }
    only = received(templates, asked=["ki.*", "kind"])
    assert list(only["MessageAttributes"]) == ["kind"]
    assert only["MD5OfMessageAttributes"] == attributes_md5({"kind": MessageAttribute("String", "order")})
    assert "MessageAttributes" not in received(templates, asked=[])


def test_two_groups_of_the_labs_never_become_one(tmp_path):
    lines = [{"body": {"id": number}, "group": group} for number, group in enumerate(["ann", "ann", "bob"])]
    templates = read_templates(file_of(tmp_path, *lines))
    names = [received(templates, 1, group=f"g{n}")["Attributes"]["MessageGroupId"] for n in range(4)]
    assert names == ["ann", "bob", "ann-g2", "bob-g3"]
    assert received(templates, 0)["Attributes"]["MessageGroupId"] == "ann"  # a tenant, on a standard queue
    plain = read_templates(file_of(tmp_path, {"id": 1}))
    assert received(plain, group="g2")["Attributes"]["MessageGroupId"] == "g2"


@pytest.mark.parametrize(
    ("lines", "key", "sentence"),
    [
        ((), "", "holds no message"),
        (("{",), "", "line 1 is no JSON"),
        ((({"id": 1}), "[]"), "", "line 2 is no JSON object"),
        (({"no": 1},), "", "line 1 has no id, where"),
        (({"id": 1}, {"ID": 2}), "", "line 2 has no id, where"),
        (({"id": 1},), "order.id", "line 1 has no order.id, where"),
        (({"id": 1},), "$", r"line 1 has no \$, where"),
        (({"id": 1},), "a[", "is 'a\\[', which is no JSON path"),
        (({"body": {"id": 1}, "group": 3},), "", "The group of .*line 1 must be a text, and is 3"),
        (({"body": "text"},), "", "The body of .*line 1 is no JSON"),
        (({"body": 3},), "", "The body of .*line 1 is no JSON object"),
        (({"body": {"id": 1}, "attributes": []},), "", "The attributes of .*line 1 must be an object"),
        (({"body": {"id": 1}, "attributes": {"a": None}},), "", "The attribute a of .*line 1 must be a text"),
        (({"body": {"id": 1}, "attributes": {"AWS.x": "1"}},), "", "line 1 are none that SQS takes: You can't use"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_sentence(tmp_path, lines, key, sentence):
    with pytest.raises(RequestError, match=sentence):
        read_templates(file_of(tmp_path, *lines), key)


ORDER = {
    "type": "object",
    "properties": {"order": {"$ref": "#/$defs/order"}, "note": {"type": ["string", "null"]}},
    "required": ["order"],
    "$defs": {
        "order": {
            "type": "object",
            "properties": {"id": {"type": "string", "format": "uuid"}, "n": {"type": "integer", "minimum": 1}},
            "required": ["id", "n"],
        }
    },
}


def test_a_json_schema_draws_bodies_by_the_runs_seed(tmp_path):
    templates = read_templates(file_of(tmp_path, ORDER, name="order.schema.json"), "order.id")
    runs = [templates.for_seed(seed) for seed in (7, 7, 8)]
    drawn = [body_of(received(run, number)) for run in runs for number in range(20)]
    assert drawn[:20] == drawn[20:40] != drawn[40:]
    assert all(body["order"]["id"] == "k" and body["order"]["n"] >= 1 for body in drawn)
    assert any("note" in body for body in drawn)
    assert not all("note" in body for body in drawn)


def test_a_schema_without_the_key_is_one_sentence(tmp_path):
    templates = read_templates(file_of(tmp_path, ORDER, name="order.schema.json"), "number")
    with pytest.raises(RequestError, match=r"No object that .*order.schema.json describes has number"):
        templates.for_seed(3)
