"""Walks every SQS action with the AWS CLI's own driver: one JSON call a line, one JSON answer a line.

Each call is a command line with ``--cli-input-json``; one process for all of them saves a second of start each.
"""

import contextlib
import io
import json
import re
import sys

from awscli.clidriver import create_clidriver
from botocore import xform_name


def main(endpoint):
    driver = create_clidriver()
    for line in sys.stdin:
        call = json.loads(line)
        out, err = _Stream(), _Stream()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = driver.main(
                [
                    "sqs",
                    xform_name(call["action"], "-"),
                    f"--endpoint-url={endpoint}",
                    "--region=us-west-1",
                    "--output=json",
                    "--cli-input-json",
                    json.dumps(call["input"]),
                ]
            )
        if code:
            refused = re.search(r"An error occurred \(([^)]*)\)", err.text())
            answer = {"error": refused[1] if refused else err.text()}
        else:
            answer = {"output": json.loads(out.text() or "{}")}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


class _Stream(io.TextIOWrapper):
    """Text that is kept; the CLI writes some of it as bytes."""

    def __init__(self):
        super().__init__(io.BytesIO(), encoding="utf-8")

    def text(self):
        self.flush()
        return self.buffer.getvalue().decode()


if __name__ == "__main__":
    main(sys.argv[1])
