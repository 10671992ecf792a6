"""The user's own messages in the place of the lab's bodies."""

import json

import pytest

from scenarios.checks.message_templates import read_templates
from scenarios.errors import RequestError


def file_of(tmp_path, *lines):
    path = tmp_path / "m.jsonl"
    path.write_text("\n".join(lines))
    return path


def test_each_message_is_a_line_of_the_file_with_the_labs_key(tmp_path):
    path = file_of(tmp_path, '{"order": {"id": 1, "n": 2}}', "", '{"order": {"id": "x"}, "b": true}')
    templates = read_templates(path, ("order", "id"))
    first, second = (templates.body_for(json.dumps({"id": "k", "sequence": number}), "k") for number in (2, 5))
    assert json.loads(first) == {"order": {"id": "k", "n": 2}}
    assert json.loads(second) == {"order": {"id": "k"}, "b": True}
    poison = templates.body_for(json.dumps({"id": "k", "sequence": 0, "poison": True}), "k")
    assert json.loads(poison)["poison"] is True
    assert templates.body_for("no JSON", "k") == "no JSON"


def test_envelopes_are_opened_on_the_way_to_the_key(tmp_path):
    sns = {"Type": "Notification", "Message": json.dumps({"order": {"id": 7}})}
    s3 = {"Records": [{"s3": {"object": {"key": "a"}}}]}
    of_sns = read_templates(file_of(tmp_path, json.dumps(sns)), ("Message", "order", "id"))
    body = json.loads(of_sns.body_for('{"id": "k", "sequence": 0}', "k"))
    assert (body["Type"], json.loads(body["Message"])) == ("Notification", {"order": {"id": "k"}})
    of_s3 = read_templates(file_of(tmp_path, json.dumps(s3)), ("Records", "0", "s3", "object", "key"))
    assert json.loads(of_s3.body_for('{"id": "k", "sequence": 0}', "k")) == {
        "Records": [{"s3": {"object": {"key": "k"}}}]
    }


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        ((), "holds no message"),
        (("{",), "line 1 is no JSON"),
        (('{"id": 1}', "[]"), "line 2 is no JSON object"),
        (('{"no": 1}',), "line 1 has no id, where"),
        (('{"id": 1}', '{"ID": 2}'), "line 2 has no id, where"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_sentence(tmp_path, lines, sentence):
    with pytest.raises(RequestError, match=sentence):
        read_templates(file_of(tmp_path, *lines), ("id",))
