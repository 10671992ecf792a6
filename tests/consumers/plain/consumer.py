"""A careful consumer of Python's standard library alone: AWS's JSON protocols over HTTP, side effects by POST.

    python consumer.py                 claims, asks the ledger, causes the side effect, marks it as done, deletes
    python consumer.py --naive         causes the side effect and deletes
    python consumer.py --look          asks the ledger, causes the side effect and deletes
    python consumer.py --mark-first    marks the message as processed, causes the side effect and deletes
    python consumer.py --delete-first  deletes, then causes the side effect

    ... --heartbeat                    extends the visibility timeout of a message while it is at work on it
    ... --batch-delete                 deletes what is done of a receive by one call, and what that refuses by another
    ... --drop-at-sigterm              ends at once, whatever it holds
    ... --updates                      takes each message for an update of an entity to a version
    ... --last-write-wins              writes each update, however old it is
    ... --read-then-write              reads the version that is there, then writes a newer one without a condition
    ... --removes-first                removes a payload before its message is deleted
    ... --keeps-payloads               never removes a payload

It gives back at SIGTERM what it has not begun, and lets expire what is older than MAX_AGE_SECONDS.
docs/your-own-consumer.md has the lab's contract.
"""

import contextlib
import json
import os
import signal
import sys
import threading
import time
import urllib.error
import urllib.request

ENV = os.environ
NAIVE, DELETE_FIRST = "--naive" in sys.argv, "--delete-first" in sys.argv
LOOKS, MARK_FIRST = "--look" in sys.argv, "--mark-first" in sys.argv
HEARTBEAT = "--heartbeat" in sys.argv
BATCH_DELETE, DROP = "--batch-delete" in sys.argv, "--drop-at-sigterm" in sys.argv
UPDATES = bool({"--updates", "--last-write-wins", "--read-then-write"} & set(sys.argv))
LAST_WRITE, READS = "--last-write-wins" in sys.argv, "--read-then-write" in sys.argv
REMOVES_FIRST, KEEPS = "--removes-first" in sys.argv, "--keeps-payloads" in sys.argv
MAX_AGE = float(ENV.get("MAX_AGE_SECONDS") or "inf")
MARKER = ENV.get("REJECT_PAYLOAD_MARKER")
MESSAGE_LIMIT = int(ENV.get("MESSAGE_LIMIT") or 0)
KEY_FIELD = ENV.get("BUSINESS_IDEMPOTENCY_FIELD") or "id"
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def ask(request):
    with opener.open(request, timeout=60) as answer:
        return json.loads(answer.read() or b"{}")


def sqs(action, tries=3, **parameters):
    """Ask the queue, and again where it could not answer: it may well be able to now, and asking twice does no harm."""
    try:
        return aws(f"AmazonSQS.{action}", QueueUrl=ENV["QUEUE_URL"], **parameters)
    except urllib.error.HTTPError as error:
        if tries == 1 or error.code < 500:
            raise
        error.close()
        return sqs(action, tries - 1, **parameters)


def status_table(action, key, **parameters):
    return aws(
        f"DynamoDB_20120810.{action}",
        TableName=ENV["MESSAGE_STATUS_TABLE"],
        Key={"message_id": {"S": key}},
        ExpressionAttributeNames={"#status": "status"},
        **parameters,
    )


def aws(target, **document):
    headers = {"X-Amz-Target": target, "Content-Type": "application/x-amz-json-1.0"}
    body = json.dumps(document).encode()
    return ask(urllib.request.Request(ENV["AWS_ENDPOINT_URL"], body, headers))  # noqa: S310 - told by the lab


def claim(key, until):
    """Claim a key by one conditional write; return whether it is ours now, and whether it was done before."""
    try:
        status_table(
            "UpdateItem",
            key,
            ConditionExpression="attribute_not_exists(message_id) OR (#status = :started AND lease <= :now)",
            UpdateExpression="SET #status = :started, lease = :lease",
            ExpressionAttributeValues={
                ":started": {"S": "STARTED"},
                ":now": {"N": str(time.time())},
                ":lease": {"N": str(until)},
            },
        )
    except urllib.error.HTTPError as error:
        with error:
            if "ConditionalCheckFailed" not in error.read().decode():
                raise
        found = status_table("GetItem", key, ProjectionExpression="#status", ConsistentRead=True)
        return False, found["Item"]["status"]["S"] == "COMPLETED"
    return True, False


def side_effect(key, method):
    request = urllib.request.Request(ENV["SIDE_EFFECT_URL"] + key, method=method)  # noqa: S310 - told by the lab
    return ask(request)["executions"]


@contextlib.contextmanager
def extended(message):
    """Extend a message's visibility timeout again and again: no other consumer gets it while its work goes on."""
    if not HEARTBEAT:
        yield
        return
    timeout = int(sqs("GetQueueAttributes", AttributeNames=["VisibilityTimeout"])["Attributes"]["VisibilityTimeout"])
    over = threading.Event()

    def beat():
        while not over.wait(float(ENV.get("HEARTBEAT_SECONDS") or timeout / 3)):
            with contextlib.suppress(urllib.error.URLError):
                sqs("ChangeMessageVisibility", ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=timeout)

    heartbeat = threading.Thread(target=beat, daemon=True)
    heartbeat.start()
    try:
        yield
    finally:
        over.set()
        heartbeat.join()


def handle(message, lease):
    """Return whether a message is done with."""
    payload = json.loads(message["Body"])
    if MARKER and MARKER in message["Body"]:
        return False
    if time.time() - float(payload.get("created_at") or "inf") > MAX_AGE:
        return True
    if UPDATES:
        return update(payload["entity"], payload["version"])
    if "payload_key" in payload and not status_is_done(payload[KEY_FIELD]):
        s3("GET", payload["payload_key"])
        if REMOVES_FIRST:
            s3("DELETE", payload["payload_key"])
    key = str(payload[KEY_FIELD])
    if NAIVE or DELETE_FIRST or LOOKS:
        if DELETE_FIRST:
            sqs("DeleteMessage", ReceiptHandle=message["ReceiptHandle"])
        if not (LOOKS and side_effect(key, "GET")):
            side_effect(key, "POST")
        return True
    return handle_once(key, lease)


def update(entity, version):
    """Set an entity to a version, unless it has a newer one; return whether the message is done with."""
    state = {"TableName": ENV["MESSAGE_SIDE_EFFECTS_TABLE"], "Key": {"message_id": {"S": f"state/{entity}"}}}
    write = {"UpdateExpression": "SET version = :v", "ExpressionAttributeValues": {":v": {"N": str(version)}}}
    if READS:
        found = aws("DynamoDB_20120810.GetItem", ConsistentRead=True, **state).get("Item", {})
        if int(found.get("version", {}).get("N", 0)) > version:
            return True
    elif not LAST_WRITE:
        write["ConditionExpression"] = "attribute_not_exists(version) OR version < :v"
    try:
        aws("DynamoDB_20120810.UpdateItem", **state, **write)
    except urllib.error.HTTPError as error:
        with error:
            if "ConditionalCheckFailed" not in error.read().decode():
                raise
    return True


def s3(method, key):
    url = f"{ENV['AWS_ENDPOINT_URL']}/{ENV['PAYLOAD_BUCKET']}/{key}"
    # The endpoint checks no signature, and knows by its scope which service is meant.
    headers = {"Authorization": f"AWS4-HMAC-SHA256 Credential=x/20260101/{ENV['AWS_REGION']}/s3/aws4_request"}
    request = urllib.request.Request(url, headers=headers, method=method)  # noqa: S310 - told by the lab
    with opener.open(request, timeout=60) as answer:
        return answer.read()


def status_is_done(key):
    """Return whether a message is known to be done, and needs no payload any more."""
    found = status_table("GetItem", key, ProjectionExpression="#status", ConsistentRead=True).get("Item")
    return found is not None and found["status"]["S"] == "COMPLETED"


def handle_once(key, lease):
    """Claim a key, and do its work if nobody has; return whether it is done."""
    until = time.time() + lease
    ours, done = claim(key, until)
    if done or not ours:
        return done
    if MARK_FIRST:
        mark(key)
        side_effect(key, "POST")
        return True
    if not side_effect(key, "GET"):
        # Too little of the lease is left to begin anything: the next receive begins anew.
        if until - time.time() < lease / 2:
            return False
        side_effect(key, "POST")
    mark(key)
    return True


def mark(key):
    completed = {":completed": {"S": "COMPLETED"}}
    status_table("UpdateItem", key, UpdateExpression="SET #status = :completed", ExpressionAttributeValues=completed)


def handle_batch(batch, lease, stopping):
    """Handle what a receive has brought; return how many messages are done with."""
    stopped, finished = set(), []
    for message in batch:
        if stopping:
            release(message)
            continue
        group = message.get("Attributes", {}).get("MessageGroupId")
        if group in stopped:
            continue
        try:
            with extended(message):
                done = handle(message, lease)
            if done and not BATCH_DELETE:
                sqs("DeleteMessage", ReceiptHandle=message["ReceiptHandle"])
                tidy(message)
        except urllib.error.HTTPError as error:
            # What failed comes again: the side effect, or the delete (a FIFO queue takes no expired handle).
            error.close()
            done = False
        if done:
            finished.append(message)
        elif group is not None:
            stopped.add(group)
    if BATCH_DELETE:
        try:
            delete(finished)
        except urllib.error.HTTPError as error:
            # What could not be deleted comes again, and is known to be done.
            error.close()
    return len(finished)


def tidy(message):
    """Remove the payload of a message that is deleted."""
    payload = json.loads(message["Body"])
    if "payload_key" in payload and not (KEEPS or REMOVES_FIRST):
        s3("DELETE", payload["payload_key"])


def release(message):
    try:
        sqs("ChangeMessageVisibility", ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0)
    except urllib.error.HTTPError as error:
        # Its timeout is over, and with it this consumer's part in it.
        error.close()


def delete(messages):
    """Delete messages by one call, and again what it refuses."""
    for _ in range(3):
        if not messages:
            return
        entries = [{"Id": str(at), "ReceiptHandle": item["ReceiptHandle"]} for at, item in enumerate(messages)]
        told = sqs("DeleteMessageBatch", Entries=entries)
        messages = [messages[int(item["Id"])] for item in told.get("Failed") or ()]


def main():
    stopping = []
    if not DROP:
        signal.signal(signal.SIGTERM, lambda *_: stopping.append(True))
    asked = sqs("GetQueueAttributes", AttributeNames=["VisibilityTimeout"])["Attributes"]
    lease = float(ENV.get("CLAIM_LEASE_SECONDS") or 0.9 * int(asked["VisibilityTimeout"]))
    settled = 0
    while not stopping and not 0 < MESSAGE_LIMIT <= settled:
        batch = sqs(
            "ReceiveMessage",
            MaxNumberOfMessages=int(ENV["MAX_MESSAGES"]),
            WaitTimeSeconds=int(ENV["WAIT_TIME_SECONDS"]),
            MessageSystemAttributeNames=["MessageGroupId"],
        ).get("Messages", [])
        settled += handle_batch(batch, lease, stopping)


if __name__ == "__main__":
    main()
