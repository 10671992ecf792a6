"""Walks every SQS action with the botocore of whichever Python runs this: one JSON call a line, one JSON answer a line.

A call is ``{"action": "SendMessage", "input": {...}}``; the answer ``{"output": {...}}`` or ``{"error": "code"}``.
"""

import base64
import json
import sys

import botocore.session
from botocore import xform_name
from botocore.config import Config
from botocore.exceptions import ClientError


def main(endpoint):
    client = botocore.session.get_session().create_client(
        "sqs",
        region_name="us-west-1",
        endpoint_url=endpoint,
        aws_access_key_id="dummy",
        aws_secret_access_key="dummy",
        config=Config(retries={"total_max_attempts": 1}),
    )
    for line in sys.stdin:
        call = json.loads(line, object_hook=_with_bytes)
        try:
            output = getattr(client, xform_name(call["action"]))(**call["input"])
            output.pop("ResponseMetadata")
            answer = {"output": output, "protocol": client.meta.service_model.protocol}
        except ClientError as error:
            answer = {"error": error.response["Error"]["Code"]}
        sys.stdout.write(json.dumps(answer, default=lambda value: base64.b64encode(value).decode()) + "\n")
        sys.stdout.flush()


def _with_bytes(shape):
    if "BinaryValue" in shape:
        shape["BinaryValue"] = base64.b64decode(shape["BinaryValue"])
    return shape


if __name__ == "__main__":
    main(sys.argv[1])
