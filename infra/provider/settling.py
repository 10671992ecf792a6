"""Waits for what AWS finishes later: a resource that settles, and a role that is known everywhere."""

import time
from collections.abc import Callable
from typing import Any, TypeVar

from infra.errors import ProviderError

SETTLE_SECONDS = 120
"""Seconds to wait for a resource to settle."""
ROLE_SECONDS = 20
"""Seconds after which a role that was just made is known to every service of AWS."""
PAUSES = (0.02, 0.1, 0.5, 1.0)
"""Seconds between two looks, growing: an embedded endpoint is done at once, AWS after some seconds."""

T = TypeVar("T")


def wait_until(is_settled: Callable[[], bool], what: str) -> None:
    """Look until something has settled.

    Raises:
        ProviderError: It has not within two minutes; ``what`` says what was waited for.
    """
    deadline = time.monotonic() + SETTLE_SECONDS
    looks = 0
    while not is_settled():
        if time.monotonic() > deadline:
            raise ProviderError(f"Timed out after {SETTLE_SECONDS} s waiting for {what}; try again later.")
        time.sleep(PAUSES[min(looks, len(PAUSES) - 1)])
        looks += 1


def once_the_role_is_known(client: Any, act: Callable[[], T], complaints: tuple[str, ...]) -> T:
    """Act, and again while AWS says what it says of a role that is too fresh.

    Args:
        client: The client that acts.
        act: The request.
        complaints: Parts of those messages.
    """
    deadline = time.monotonic() + ROLE_SECONDS
    while True:
        try:
            return act()
        except client.exceptions.InvalidParameterValueException as error:
            message = error.response["Error"].get("Message") or error.response.get("message", "")
            if time.monotonic() > deadline or not any(complaint in message for complaint in complaints):
                raise
        time.sleep(PAUSES[-1])
