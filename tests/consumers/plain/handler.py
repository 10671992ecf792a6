"""The careful consumer beside it as a Lambda handler, and some that are not: Python's standard library alone.

careful          names in its answer what is not done with; a message group stops at its first failure
answers_nothing  does the same work, and answers nothing: everything is deleted
raises           raises where a message is not done with: all of its batch comes again
mark_first       marks a message as processed, then causes its side effect
"""

import json
import urllib.error

import consumer


def careful(event, context):
    stopped, failed = set(), []
    for record in event["Records"]:
        group = record["attributes"].get("MessageGroupId")
        if group in stopped or not done_with(record, context):
            failed.append({"itemIdentifier": record["messageId"]})
            if group is not None:
                stopped.add(group)
    return {"batchItemFailures": failed}


def done_with(record, context):
    # The claim ends with the function's deadline: AWS kills it there.
    lease = context.get_remaining_time_in_millis() / 1000
    try:
        return consumer.handle({"Body": record["body"]}, lease)
    except urllib.error.HTTPError as error:
        error.close()
        return False


def answers_nothing(event, context):
    careful(event, context)


def raises(event, context):
    failed = careful(event, context)["batchItemFailures"]
    if failed:
        raise RuntimeError(f"{len(failed)} messages failed: {json.dumps(failed)}")


def mark_first(event, context):
    consumer.MARK_FIRST = True
    return careful(event, context)
