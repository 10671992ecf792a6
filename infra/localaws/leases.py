"""Delivery rates on lease: a run sets a queue's rates for its own time, and they go back when the run ends or dies."""

from collections.abc import Callable
from dataclasses import dataclass

from infra.localaws.sqs.errors import QueueDoesNotExist
from infra.localaws.sqs.model import SqsModel
from infra.localaws.sqs.rates import DeliveryRates
from services.common.processes import is_running


@dataclass(frozen=True, slots=True)
class _Lease:
    owner: int
    rates: DeliveryRates
    purge_seconds: float


class DeliveryLeases:
    """Remembers how each leased queue delivered before, and which process has the lease.

    Args:
        model: the queues.
        is_alive: tells whether a process is there.
    """

    def __init__(self, model: SqsModel, is_alive: Callable[[int], bool] | None = None) -> None:
        self._model = model
        self._is_alive = is_alive or is_running
        self._leases: dict[str, _Lease] = {}

    def take(self, name: str, owner: int) -> None:
        """Lease a queue's delivery to a process, before the process changes it; the last lease counts.

        Raises:
            QueueDoesNotExist: there is no such queue.
        """
        queue = self._model.queue(name)
        before = self._leases.get(name)
        if before is None:
            self._leases[name] = _Lease(owner, queue.rates, queue.purge_seconds)
        else:
            self._leases[name] = _Lease(owner, before.rates, before.purge_seconds)

    def give_back(self, name: str, owner: int) -> bool:
        """Let a queue deliver as before its lease; return whether this process had it."""
        lease = self._leases.get(name)
        if lease is None or lease.owner != owner:
            return False
        del self._leases[name]
        try:
            queue = self._model.queue(name)
        except QueueDoesNotExist:
            return True
        queue.rates, queue.purge_seconds = lease.rates, lease.purge_seconds
        return True

    def give_back_those_of_the_dead(self) -> None:
        """Let every queue whose lease's process has ended deliver as before."""
        for name, lease in list(self._leases.items()):
            if not self._is_alive(lease.owner):
                self.give_back(name, lease.owner)
