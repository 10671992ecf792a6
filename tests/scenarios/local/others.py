"""Somebody else at a run's queue."""

import threading
from contextlib import contextmanager

from infra.clients import aws_client


@contextmanager
def another_consumer(stack, name, *, deletes=True):
    """Have another consumer take one receive's messages of a scenario's queue by short polls, and maybe delete them."""
    url = stack.scenario(name).queue_url
    over = threading.Event()

    def take_one():
        sqs = aws_client("sqs", endpoint_url=stack.endpoint_url, region=stack.region)
        while not over.is_set():
            for message in sqs.receive_message(QueueUrl=url, WaitTimeSeconds=0).get("Messages", ()):
                if deletes:
                    sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
                over.set()
        sqs.close()

    other = threading.Thread(target=take_one)
    other.start()
    try:
        yield
    finally:
        over.set()
        other.join()
