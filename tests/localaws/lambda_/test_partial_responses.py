"""The table of partial batch responses, row by row."""

import json

import pytest

from infra.localaws.lambda_.partial import read_answer

BATCH = ("m-1", "m-2", "m-3")


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"null",
        b'""',
        b"{}",
        b'{"batchItemFailures": null}',
        b'{"batchItemFailures": []}',
        b'{"statusCode": 200}',
        b" \n",
    ],
)
def test_complete_success(payload):
    reading = read_answer(payload, BATCH)
    assert (reading.failed, reading.refusal) == (frozenset(), None)


@pytest.mark.parametrize("failed", [["m-2"], ["m-1", "m-3"], ["m-1", "m-1"], list(BATCH)])
def test_named_messages_stay(failed):
    payload = json.dumps({"batchItemFailures": [{"itemIdentifier": message} for message in failed]}).encode()
    reading = read_answer(payload, BATCH)
    assert (reading.failed, reading.refusal) == (frozenset(failed), None)


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        ('{"batchItemFailures": [{"itemIdentifier": "m-9"}]}', "'m-9' is not in the batch"),
        ('{"batchItemFailures": [{"itemIdentifier": "m-1"}, {"itemIdentifier": "m-9"}]}', "'m-9' is not in the batch"),
        ('{"batchItemFailures": [{"itemIdentifier": ""}]}', "an empty text"),
        ('{"batchItemFailures": [{"itemIdentifier": null}]}', "null"),
        ('{"batchItemFailures": [{"itemIdentifier": 7}]}', "a number"),
        ('{"batchItemFailures": [{"itemIdentifier": ["m-1"]}]}', "a list"),
        ('{"batchItemFailures": [{"itemIdentifier": {"id": "m-1"}}]}', "an object"),
        ('{"batchItemFailures": "m-1"}', "a text, not a list"),
        ('{"batchItemFailures": {"itemIdentifier": "m-1"}}', "an object, not a list"),
        ('{"batchItemFailures": true}', "a boolean, not a list"),
        ('{"batchItemFailures": ["m-1"]}', "an entry of batchItemFailures is a text"),
        ('{"batchItemFailures": [{"messageId": "m-1"}]}', "the key 'messageId'"),
        ('{"batchItemFailures": [{"ItemIdentifier": "m-1"}]}', "the key 'ItemIdentifier'"),
        ("all fine", "not JSON"),
        ('{"batchItemFailures": [', "not JSON"),
        ('"all fine"', "a text, not an object"),
        ('["m-1"]', "a list, not an object"),
        ("true", "a boolean, not an object"),
    ],
)
def test_complete_failure(payload, reason):
    reading = read_answer(payload.encode(), BATCH)
    assert reading.failed == frozenset(BATCH)
    assert reason in reading.refusal


@pytest.mark.parametrize("payload", ['{"batchItemFailures": [{}]}', '{"batchItemFailures": [{"messageId": null}]}'])
def test_an_entry_that_says_nothing_is_acknowledged(payload):
    reading = read_answer(payload.encode(), BATCH)
    assert (reading.failed, reading.refusal) == (frozenset(), None)


def test_an_entry_that_says_nothing_beside_a_named_one_leaves_the_named_one():
    reading = read_answer(b'{"batchItemFailures": [{}, {"itemIdentifier": "m-2"}]}', BATCH)
    assert reading.failed == {"m-2"}
