"""What the handlers of SQS's actions share: the model, the queue URLs, and the answer that has to wait."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from infra.localaws.sqs.errors import InvalidAddress, QueueDoesNotExist
from infra.localaws.sqs.message import Delivery
from infra.localaws.sqs.model import SqsModel
from infra.localaws.sqs.queue import ReceiveRequest

Shape = dict[str, Any]


@dataclass(frozen=True, slots=True)
class LongPoll:
    """A receive that found nothing and may wait.

    Attributes:
        queue_name: the queue it waits at.
        request: what to ask for when something may be there.
        seconds: how long it may wait, in seconds of the model's clock.
        render: turns the deliveries into the answer's shape.
    """

    queue_name: str
    request: ReceiveRequest
    seconds: int
    render: Callable[[list[Delivery]], Shape]


class Wire:
    """A model as its clients address it.

    Args:
        model: the queues.
        url: the endpoint's own address, which begins every queue URL that it gives.
    """

    def __init__(self, model: SqsModel, url: str) -> None:
        self.model = model
        self._base = f"{url.rstrip('/')}/{model.account}/"

    def url(self, name: str) -> str:
        """Return the URL of the queue of this name."""
        return self._base + name

    def queue_name(self, parameters: Shape) -> str:
        """Return the name of the queue that a request's ``QueueUrl`` means; only its path counts, not its host."""
        return self.queue_name_of(parameters["QueueUrl"])

    def queue_name_of(self, url: str) -> str:
        """Return the name of the queue that a queue URL means."""
        if url.startswith(self._base) and "%" not in url:
            return url[len(self._base) :]
        try:
            parts = unquote(urlsplit(url).path).strip("/").split("/")
        except ValueError:
            parts = []
        if len(parts) != 2:  # noqa: PLR2004 - account and name
            raise InvalidAddress(f"The address {url} is not valid for this endpoint.")
        if parts[0] != self.model.account:
            raise QueueDoesNotExist
        return parts[1]
