"""What the handlers of SQS's actions share: the model, the queue URLs, and the answer that has to wait."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple
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
        home: the endpoint's own region, whose queue URLs name no region; None for the model's.
    """

    def __init__(self, model: SqsModel, url: str, home: str | None = None) -> None:
        self.model = model
        self._home = home or model.region
        self._is_home = self._home == model.region
        region = "" if self._is_home else f"{_REGION_PATH}/{model.region}/"
        self._base = f"{url.rstrip('/')}/{region}{model.account}/"

    def url(self, name: str) -> str:
        """Return the URL of the queue of this name."""
        return self._base + name

    def queue_name(self, parameters: Shape) -> str:
        """Return the name of the queue that a request's ``QueueUrl`` means."""
        return self.queue_name_of(parameters["QueueUrl"])

    def queue_name_of(self, url: str) -> str:
        """Return the name of the queue that a queue URL, or the bare name of a queue, means.

        A URL that names no region means a queue of the request's region. If there is none of its name, it means one of
        the endpoint's own region.

        Raises:
            InvalidAddress: it is no queue's URL.
            QueueDoesNotExist: it is of another account.
            OtherRegion: the queue is another region's.
        """
        name = url.removeprefix(self._base)
        if name != url and _IS_NAME(name) and self._is_home:
            return name
        place = _place(url)
        if place is None:
            raise InvalidAddress(f"The address {url} is not valid for this endpoint.")
        if place.account not in {"", self.model.account}:
            raise QueueDoesNotExist
        if place.region and place.region != self.model.region:
            raise OtherRegion(place.region)
        if not (place.region or self._is_home or self.model.has_queue(place.name)):
            raise OtherRegion(self._home)
        return place.name


class OtherRegion(Exception):  # noqa: N818 - no error: the request goes on there
    """A request names a queue of another region.

    Attributes:
        name: AWS's name of the region.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class _Place(NamedTuple):
    """What a queue URL names; an empty text for what it leaves open."""

    region: str
    account: str
    name: str


def _place(url: str) -> _Place | None:
    """Return what a queue URL names, None if it is none."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return None
    path = unquote(parts.path).strip("/").split("/")
    match path:
        case [name] if name and not (parts.scheme or parts.netloc or url.startswith("/")):
            return _Place("", "", name)
        case [account, name]:
            match = _REGION_IN_HOST(host)
            return _Place((match[1] or match[2]) if match else "", account, name)
        case [_, region, account, name] if path[0] == _REGION_PATH:
            return _Place(region, account, name)
        case _:
            return None


_REGION_PATH: Final = "queue"
_IS_NAME: Final = re.compile(r"[A-Za-z0-9_.-]+").fullmatch
_REGION_IN_HOST: Final = re.compile(
    r"(?:sqs\.([a-z]{2}(?:-[a-z]+){1,3}-[0-9]{1,2})|([a-z]{2}(?:-[a-z]+){1,3}-[0-9]{1,2})\.queue)\..+"
).fullmatch
