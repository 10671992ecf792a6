"""The actions on message move tasks, in AWS's shapes."""

from infra.localaws.sqs.context import Shape, Wire
from infra.localaws.sqs.moves import MoveTask, Status


def start_message_move_task(wire: Wire, parameters: Shape) -> Shape:
    """StartMessageMoveTask."""
    task = wire.model.start_move_task(
        parameters["SourceArn"], parameters.get("DestinationArn"), parameters.get("MaxNumberOfMessagesPerSecond")
    )
    return {"TaskHandle": task.handle}


def list_message_move_tasks(wire: Wire, parameters: Shape) -> Shape:
    """ListMessageMoveTasks."""
    most = parameters.get("MaxResults")
    tasks = wire.model.move_tasks(parameters["SourceArn"], 1 if most is None else most)
    return {"Results": [_view(task) for task in tasks]}


def cancel_message_move_task(wire: Wire, parameters: Shape) -> Shape:
    """CancelMessageMoveTask."""
    return {"ApproximateNumberOfMessagesMoved": wire.model.cancel_move_task(parameters["TaskHandle"]).moved}


def _view(task: MoveTask) -> Shape:
    """Show a task; only a running one has a handle."""
    members = {
        "TaskHandle": task.handle if task.status is Status.RUNNING else None,
        "Status": task.status.value,
        "SourceArn": task.source_arn,
        "DestinationArn": task.destination_arn,
        "MaxNumberOfMessagesPerSecond": task.most_per_second,
        "ApproximateNumberOfMessagesMoved": task.moved,
        "ApproximateNumberOfMessagesToMove": task.to_move,
        "FailureReason": task.failure,
        "StartedTimestamp": int(task.started_at * 1000),
    }
    return {name: value for name, value in members.items() if value is not None}
