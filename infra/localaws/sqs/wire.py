"""SQS's actions in AWS's shapes: from a checked request to the model and back.

One table, ``ACTIONS``, leads from an action's name to its handler. Handlers neither know the protocol (JSON or Query)
nor do I/O: a receive that has to wait returns a ``LongPoll`` for its caller to carry out.
"""

from collections.abc import Callable
from typing import Any, Final

from infra.localaws.sqs import message_actions, move_actions, queue_actions
from infra.localaws.sqs.context import LongPoll, Shape, Wire
from infra.localaws.sqs.errors import InvalidAction
from infra.localaws.sqs.shapes import input_checks
from infra.localaws.sqs.throughput import LIMITED


class SqsWire(Wire):
    """The wire face of a model."""

    def call(self, action: str, parameters: Any) -> Shape | LongPoll:
        """Perform an action.

        Args:
            action: AWS's name of it.
            parameters: the request, in the shape of AWS's model.

        Returns:
            The answer in the shape of AWS's model, or the wait that leads to it.

        Raises:
            SqsError: SQS refuses the request.
        """
        handler = ACTIONS.get(action)
        if handler is None:
            raise InvalidAction.named(action)
        checked = input_checks()[action](parameters)
        if self.model.limits_fifo and action in LIMITED:
            self.model.admit(self.queue_name(checked), action)
        return handler(self, checked)


ACTIONS: Final[dict[str, Callable[[Wire, Shape], Shape | LongPoll]]] = {
    "AddPermission": queue_actions.add_permission,
    "CancelMessageMoveTask": move_actions.cancel_message_move_task,
    "ChangeMessageVisibility": message_actions.change_message_visibility,
    "ChangeMessageVisibilityBatch": message_actions.change_message_visibility_batch,
    "CreateQueue": queue_actions.create_queue,
    "DeleteMessage": message_actions.delete_message,
    "DeleteMessageBatch": message_actions.delete_message_batch,
    "DeleteQueue": queue_actions.delete_queue,
    "GetQueueAttributes": queue_actions.get_queue_attributes,
    "GetQueueUrl": queue_actions.get_queue_url,
    "ListDeadLetterSourceQueues": queue_actions.list_dead_letter_source_queues,
    "ListMessageMoveTasks": move_actions.list_message_move_tasks,
    "ListQueueTags": queue_actions.list_queue_tags,
    "ListQueues": queue_actions.list_queues,
    "PurgeQueue": queue_actions.purge_queue,
    "ReceiveMessage": message_actions.receive_message,
    "RemovePermission": queue_actions.remove_permission,
    "SendMessage": message_actions.send_message,
    "SendMessageBatch": message_actions.send_message_batch,
    "SetQueueAttributes": queue_actions.set_queue_attributes,
    "StartMessageMoveTask": move_actions.start_message_move_task,
    "TagQueue": queue_actions.tag_queue,
    "UntagQueue": queue_actions.untag_queue,
}
