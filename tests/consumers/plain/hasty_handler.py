"""Lambda handlers beside the careful one, each with one true bug: Python's standard library alone.

never_asks  causes each side effect, whatever was done before
looks       asks the ledger, and makes no claim: two invocations at once both find nothing
by_id       knows an order by the id of its message, whatever order it is for
goes_on     takes the next message of a group where one has failed
"""

import json
import urllib.error

import consumer


def never_asks(event, context):
    return answer(event, lambda record: consumer.side_effect(key_of(record), "POST"))


def looks(event, context):
    return answer(event, lambda record: look_and_act(key_of(record)))


def by_id(event, context):
    consumer.KEY_FIELD = "id"
    return goes_on(event, context)


def goes_on(event, context):
    # The claim ends with the function's deadline, as the careful one's does.
    lease = context.get_remaining_time_in_millis() / 1000
    return answer(event, lambda record: consumer.handle({"Body": record["body"]}, lease))


def look_and_act(key):
    return consumer.side_effect(key, "GET") or consumer.side_effect(key, "POST")


def key_of(record):
    if consumer.MARKER and consumer.MARKER in record["body"]:
        raise ValueError(f"message {record['messageId']} is poison")
    return str(json.loads(record["body"])[consumer.KEY_FIELD])


def answer(event, act):
    failed = []
    for record in event["Records"]:
        try:
            done = act(record)
        except (ValueError, urllib.error.HTTPError):
            done = False
        if not done:
            failed.append({"itemIdentifier": record["messageId"]})
    return {"batchItemFailures": failed}
