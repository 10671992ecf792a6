"""Answers requests to tables by moto as it is: a line each, ``[action, body]``, and one back, ``[status, body]``."""

import json
import sys

from infra.localaws import dynamodb
from infra.localaws.http import Request
from infra.localaws.server import DYNAMODB_TARGET


def ask(tables, action, body):
    """Return status and body of the answer to a request; a body that is text goes out as it is."""
    text = body if isinstance(body, str) else json.dumps(body)
    headers = {"x-amz-target": DYNAMODB_TARGET + action, "content-type": dynamodb.CONTENT_TYPE}
    answer = tables.answer(Request("POST", "/", headers, text.encode()))
    return answer.status, answer.body.decode()


def main():
    """Answer until there are no more."""
    dynamodb.quicken = lambda: None
    tables = dynamodb.DynamoDb("000000000000", "us-west-1")
    for line in sys.stdin:
        sys.stdout.write(json.dumps(ask(tables, *json.loads(line))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
