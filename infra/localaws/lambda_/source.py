"""The queue's side of a mapping: its receives and deletes, performed on the model of SQS."""

from infra.localaws.lambda_.actions import Delete, Receive
from infra.localaws.lambda_.records import SourceQueue
from infra.localaws.sqs.errors import SqsError
from infra.localaws.sqs.message import Delivery
from infra.localaws.sqs.model import SqsModel
from infra.localaws.sqs.queue import ReceiveRequest


def source_queue(model: SqsModel, name: str) -> SourceQueue:
    """Return what a mapping has to know of a queue.

    Raises:
        QueueDoesNotExist: there is none of this name.
    """
    queue = model.queue(name)
    return SourceQueue(name, queue.identity.arn, queue.attributes.fifo)


def receive_request(action: Receive) -> ReceiveRequest:
    """Return the request that a mapping's receive stands for: a long poll with the queue's own visibility timeout."""
    return ReceiveRequest(action.max_messages, long_poll=True)


def visible_at(model: SqsModel, name: str) -> float:
    """Return when the visibility timeout of what is received now ends, in seconds of the model's clock."""
    return model.now() + model.queue(name).attributes.visibility_timeout


def receive(model: SqsModel, name: str, action: Receive) -> list[Delivery]:
    """Receive what is there now; a queue that is gone has nothing."""
    try:
        return model.receive(name, receive_request(action))
    except SqsError:
        return []


def delete(model: SqsModel, name: str, action: Delete) -> dict[str, bool]:
    """Delete messages; return the entries that SQS refuses, none of which another try can mend."""
    failed = {}
    for entry in action.entries:
        try:
            model.delete(name, entry.receipt_handle)
        except SqsError:
            failed[entry.entry_id] = False
    return failed


def is_there(model: SqsModel, name: str) -> bool:
    """Return whether a queue exists."""
    try:
        model.queue(name)
    except SqsError:
        return False
    return True
