"""The user's configuration file: what it says of a program, and what is refused by name."""

import pytest

from scenarios.checks.effects import HttpEffect, LogEffect, SqlEffect
from scenarios.checks.key_paths import parse_key_path
from scenarios.checks.program_config import CONFIG, ProgramConfig, read_config
from scenarios.errors import RequestError
from services.consumer.patterns import Pattern

WHOLE = """
command = "node my.js"
startup-timeout = 60
visibility = 30
receives = 5
work = 2.5
strict = true
follows = ["heartbeat", "backoff", "heartbeat"]
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
        "node my.js",
        60,
        strict=True,
        env={"PAYMENTS_URL": "{url}/v1/charges"},
        effect=effect,
        visibility=30,
        receives=5,
        work=2.5,
        follows=(Pattern.HEARTBEAT, Pattern.BACKOFF),
    )


@pytest.mark.parametrize(
    ("config", "scale", "suited"),
    [
        (ProgramConfig(), 1.0, (2, 3)),
        (ProgramConfig(visibility=1, receives=2, work=0.5), 1.0, (2, 3)),
        (ProgramConfig(visibility=30, receives=5), 1.0, (30, 5)),
        (ProgramConfig(visibility=30, work=10.0), 1.0, (40, 3)),
        (ProgramConfig(work=0.6), 2.0, (5, 3)),
    ],
)
def test_a_queue_is_given_more_where_a_program_asks_for_it_and_never_less(config, scale, suited):
    assert config.suited(2, 3, scale) == suited


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("command = 7", "command must be a text, and is 7"),
        ("comand = 'x'", "knows no comand; it takes command, startup-timeout, visibility, receives, work, strict, "),
        ("follows = 'heartbeat'", "follows must be a list of patterns, such as ['heartbeat'], and is 'heartbeat'"),
        (
            "follows = ['hartbeat']",
            "follows knows no pattern 'hartbeat'; it takes graceful-shutdown, ",
        ),
        ("visibility = 0", "visibility must be a whole number from 1 to 43200, and is 0"),
        ("visibility = 1.5", "visibility must be a whole number from 1 to 43200, and is 1.5"),
        ("receives = 'x'", "receives must be a whole number from 1 to 1000, and is 'x'"),
        ("work = -1", "work must be seconds above 0, up to 3600, and is -1"),
        ("startup-timeout = 0", "startup-timeout must be seconds above 0, and is 0"),
        ("startup-timeout = true", "startup-timeout must be seconds above 0, and is True"),
        ("strict = 'yes'", "strict must be true or false"),
        ("env = 3", "env must be a table of texts"),
        ("[env]\nA = 1", "env must be a table of texts"),
        ("effect = 'x'", "effect must be a table"),
        ("[effect]\nhttp = '/'", "effect.http must be a path such as /v1/charges, and is '/'"),
        ("[effect]\nurl = '/x'", "knows no effect.url; it takes http, sql, log"),
        ("[effect]\nhttp = '/x'\ncolumn = 'a'", "knows no effect.column; it takes http, key"),
        ("[effect]", "effect needs one of http, sql and log, and has none"),
        ("[effect]\nhttp = '/x'\nlog = 'y'", "effect needs one of http, sql and log, and has http and log"),
        ("[effect]\nsql = 'sqlite:///x.db'\nkey = 'a'", "effect.table is missing"),
        ("[effect]\nsql = 'sqlite:///x.db'\ntable = 'a'", "effect.key is missing"),
        ("[effect]\nsql = 'nonsense'\ntable = 'a'\nkey = 'b'", "effect.sql must be SQLAlchemy's URL of a database"),
        ("[effect]\nsql = 'postgresql://db.example.com/x'\ntable = 'a'\nkey = 'b'", "has to be on this machine"),
        ("[effect]\nsql = 'sqlite:///x'\ntable = 'a'\nkey = 'b'\nprepare = 'x'", "effect.prepare must be a list"),
        ("[effect]\nlog = 'x.log'\npattern = '['", "effect.pattern is no regular expression: "),
        ("[effect]\nlog = 'x.log'\npattern = 'charged'", "effect.pattern must hold the key in a group"),
        ("[effect]\npattern = 'charged'", "knows no effect.pattern; it takes http, sql, log"),
        (
            "[effect]\nhttp = '/x'\nidempotency-key = 'two words'",
            "effect.idempotency-key must be the name of a header such as Idempotency-Key, and is 'two words'",
        ),
        ("[effect]\nhttp = '/x'\nidempotency-key = ''", "must be the name of a header"),
        ("[effect]\nlog = 'x'\nidempotency-key = 'K'", "knows no effect.idempotency-key; it takes log, pattern"),
        ("[effect]\nlog = ''", "effect.log must be a file such as charges.log, or stdout"),
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


def test_an_api_may_know_a_call_again_by_a_header(tmp_path):
    (tmp_path / CONFIG).write_text("[effect]\nhttp = '/v1/charges'")
    assert read_config(tmp_path).effect.idempotency_header == ""
    (tmp_path / CONFIG).write_text("[effect]\nhttp = '/v1/charges'\nidempotency-key = 'Idempotency-Key'")
    assert read_config(tmp_path).effect.idempotency_header == "idempotency-key"


def test_an_effect_may_be_rows_or_lines(tmp_path):
    (tmp_path / CONFIG).write_text("[effect]\nsql = 'sqlite:///{run}/x.db'\ntable = 'a.b'\nkey = 'c'\nprepare = ['D']")
    sql = read_config(tmp_path).effect
    assert sql == SqlEffect("sqlite:///{run}/x.db", "a.b", "c", ("D",))
    assert (sql.is_shared, SqlEffect("sqlite:///x.db", "a", "b").is_shared) == (False, True)
    (tmp_path / CONFIG).write_text("[effect]\nlog = 'x.log'\npattern = '(charged|paid) (?P<key>\\S+)'")
    log = read_config(tmp_path).effect
    assert isinstance(log, LogEffect)
    assert (log.key_in("12:00 paid a-1 twice"), log.key_in("refunded a-1"), log.is_shared) == ("a-1", "", True)
