"""The routes that are not AWS's, for the lab: health, and a queue as good as new."""

import json
import math
import os
from collections.abc import Callable
from dataclasses import asdict, fields, replace
from typing import Any, Final, NamedTuple
from urllib.parse import unquote

from infra.localaws.config import EndpointConfig
from infra.localaws.http import Request, Response, text_response
from infra.localaws.leases import DeliveryLeases
from infra.localaws.sqs.errors import QueueDoesNotExist
from infra.localaws.sqs.model import SqsModel
from infra.localaws.sqs.rates import DeliveryRates

PREFIX: Final = "/_localaws/"
SERVICE: Final = "queue-fundamentals"


def control(
    request: Request,
    model: SqsModel,
    config: EndpointConfig,
    leases: DeliveryLeases,
    *,
    waiting: Callable[[str], int] = lambda _: 0,
    fault: str = "",
) -> Response:
    """Answer a request below ``PREFIX``.

    Args:
        request: the request.
        model: the queues.
        config: the endpoint's settings.
        leases: who has set a queue's delivery rates for a while.
        waiting: tells how many receives wait at the queue of a name.
        fault: why the history is no longer recorded; empty where it is.
    """
    match request.method, request.target.removeprefix(PREFIX).split("/"):
        case "GET", ["health"]:
            return _json(_health(config, fault))
        case "GET", ["queues", name, "delivery"]:
            return _delivery(unquote(name), model)
        case "POST", ["queues", name, "reset"]:
            return _reset(unquote(name), request.body, model, leases, waiting)
        case "POST", ["queues", name, "give-back"]:
            return _give_back(unquote(name), request.body, leases)
        case "POST", ["queues", name, "free-name"]:
            model.free_name(unquote(name))
            return _json({})
        case _:
            return text_response(
                404,
                "There is no such route; there are GET /_localaws/health, GET /_localaws/queues/NAME/delivery, and "
                "POST /_localaws/queues/NAME/reset, /give-back and /free-name.",
            )


def _health(config: EndpointConfig, fault: str) -> dict[str, Any]:
    return {
        "service": SERVICE,
        "pid": os.getpid(),
        "region": config.region,
        "history": None if config.history is None else str(config.history.absolute()),
        "speed": config.speed,
        **({"fault": fault} if fault else {}),
    }


def _reset(name: str, body: bytes, model: SqsModel, leases: DeliveryLeases, waiting: Callable[[str], int]) -> Response:
    """Make a queue as good as new, unless a receive waits there: its consumer would lose the messages."""
    leases.give_back_those_of_the_dead()
    try:
        queue = model.queue(name)
        asked = _parse_reset(body, queue.rates)
    except QueueDoesNotExist:
        return text_response(404, f"There is no queue {name!r} to reset.")
    except ValueError as error:
        return text_response(400, f"The queue {name!r} was not reset: {error}")
    waits = waiting(name)
    if not waits:
        if asked.owner is not None:
            leases.take(name, asked.owner)
        model.reset(name, seed=asked.seed, rates=asked.rates, purge_seconds=asked.purge_seconds)
    return _json({"waiting": waits})


def _give_back(name: str, body: bytes, leases: DeliveryLeases) -> Response:
    try:
        owner = json.loads(body)["owner"]
    except (ValueError, TypeError, KeyError, RecursionError):
        owner = None
    if type(owner) is not int:
        return text_response(400, 'The body must be an object with the key "owner", a process id.')
    return _json({"given_back": leases.give_back(name, owner)})


def _delivery(name: str, model: SqsModel) -> Response:
    try:
        queue = model.queue(name)
    except QueueDoesNotExist:
        return text_response(404, f"There is no queue {name!r}.")
    return _json({"delivery": asdict(queue.rates), "purge": queue.purge_seconds})


class _Reset(NamedTuple):
    """What a reset's body asks for; None for what is to stay as it is."""

    seed: int | None
    rates: DeliveryRates
    purge_seconds: float | None
    owner: int | None


def _parse_reset(body: bytes, present: DeliveryRates) -> _Reset:
    """Return what a reset's body asks for; raise ValueError if it is malformed."""
    try:
        document = json.loads(body or b"{}")
    except ValueError:
        raise ValueError("the body is not JSON.") from None
    if not isinstance(document, dict) or document.keys() - {"seed", "delivery", "purge", "owner"}:
        raise ValueError('the body must be an object with the optional keys "seed", "delivery", "purge" and "owner".')
    seed = document.get("seed")
    if seed is not None and type(seed) is not int:
        raise ValueError(f"seed must be an integer, not {seed!r}.")
    delivery = document.get("delivery") or {}
    if not isinstance(delivery, dict) or delivery.keys() - _RATES:
        raise ValueError(f"delivery must be an object with the optional keys {', '.join(sorted(_RATES))}.")
    purge = document.get("purge")
    if purge is not None and not (type(purge) in (int, float) and 0 <= purge < math.inf):
        raise ValueError(f"purge is a number of seconds from 0 on, not {purge!r}.")
    owner = document.get("owner")
    if owner is not None and (type(owner) is not int or owner <= 0):
        raise ValueError(f"owner is a process id, not {owner!r}.")
    return _Reset(seed, replace(present, **delivery), purge, owner)


_RATES: Final = frozenset(rate.name for rate in fields(DeliveryRates))


def _json(document: dict[str, Any]) -> Response:
    return Response(200, json.dumps(document).encode())
