"""The user's configuration file: what it says of a program, and what is refused by name."""

import pytest

from scenarios.checks.key_paths import parse_key_path
from scenarios.checks.program_config import CONFIG, HttpEffect, ProgramConfig, read_config
from scenarios.errors import RequestError

WHOLE = """
command = "node my.js"
startup-timeout = 60
strict = true
[env]
PAYMENTS_URL = "{url}/v1/charges"
[effect]
http = "/v1/charges"
key = "$.order.id"
"""


def test_the_file_says_all_of_a_program(tmp_path):
    assert read_config(tmp_path) == ProgramConfig()
    (tmp_path / CONFIG).write_text(WHOLE)
    effect = HttpEffect("/v1/charges", parse_key_path("$.order.id", "the key"))
    assert read_config(tmp_path) == ProgramConfig(
        "node my.js", 60, strict=True, env={"PAYMENTS_URL": "{url}/v1/charges"}, effect=effect
    )


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("command = 7", "command must be a text, and is 7"),
        ("comand = 'x'", "knows no comand; it takes command, startup-timeout, strict, env, messages, effect"),
        ("startup-timeout = 0", "startup-timeout must be seconds above 0, and is 0"),
        ("startup-timeout = true", "startup-timeout must be seconds above 0, and is True"),
        ("strict = 'yes'", "strict must be true or false"),
        ("env = 3", "env must be a table of texts"),
        ("[env]\nA = 1", "env must be a table of texts"),
        ("effect = 'x'", "effect must be a table"),
        ("[effect]\nhttp = '/'", "effect.http must be a path such as /v1/charges, and is '/'"),
        ("[effect]\nurl = '/x'", "knows no effect.url; it takes http, key"),
        ("command = ", "cannot be read"),
        ("messages = 'x'", "messages must be a table"),
        ("[messages]\nkey = 'id'", "messages.file is missing"),
        ("[messages]\nfile = 'x.jsonl'\nkey = 'order.'", "messages.key is 'order.', which is no JSON path such as"),
        ("[effect]\nhttp = '/x'\nkey = '['", "effect.key is '[', which is no JSON path such as $.order.id"),
        ("[messages]\nfile = 'none.jsonl'", "none.jsonl cannot be read: "),
    ],
)
def test_what_cannot_be_understood_is_one_sentence(tmp_path, text, sentence):
    (tmp_path / CONFIG).write_text(text)
    with pytest.raises(RequestError) as refused:
        read_config(tmp_path)
    assert sentence in str(refused.value)


def test_the_key_of_a_call_stands_in_its_body_or_in_a_header():
    effect = HttpEffect("/v1/charges", parse_key_path("order.id", "the key"))
    assert effect.key_of({}, b'{"order": {"id": "a"}}') == "a"
    assert effect.key_of({}, b'{"order": {"id": 7}}') == "7"
    assert effect.key_of({"idempotency-key": "b"}, b"amount=3") == "b"
    for body in (b"", b"[]", b'{"order": 3}', b'{"order": {"id": null}}', b"\xff"):
        assert effect.key_of({}, body) == ""
    assert effect.covers("/v1/charges")
    assert effect.covers("/v1/charges/a?x=1")
    assert not effect.covers("/v1/chargesback")
