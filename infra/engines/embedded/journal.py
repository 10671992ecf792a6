"""The state while an engine works on it: every operation is on the disk before it begins and after it ends.

::

    begin ──▶ [pending on disk] ──▶ provider creates ──▶ end ──▶ [resource on disk, pending gone]
                     │                     │
          killed here: nothing      killed here: the next run finds the resource
          is there, drop it         by the name in its pending inputs

Names are chosen before the operation begins, which is what makes the second case decidable.
"""

import heapq
import threading
from dataclasses import replace
from pathlib import Path

from infra.engines.state import PendingKind, PendingOperation, ResourceState, Snapshot, write_snapshot
from infra.files import NO_ROOM


class Journal:
    """A stack's state, open for changes from several threads.

    A change is on the disk when its method returns. Changes that arrive while a write is under way share the next
    one: with eight threads at work this saves most of the writes.

    Args:
        path: The state file.
        snapshot: What it holds; an empty one for a new stack.

    Attributes:
        go_on_without_room: Whether a change that a full disk does not take is no error.
    """

    def __init__(self, path: Path, snapshot: Snapshot) -> None:
        self.go_on_without_room = False
        self._path = path
        self._base = snapshot
        self._resources = list(snapshot.resources)
        self._pending = {entry.resource.urn: entry for entry in snapshot.pending}
        self._lock = threading.Lock()
        self._write_lock = threading.Lock()
        self._version = 0
        self._written = 0

    @property
    def resources(self) -> tuple[ResourceState, ...]:
        """All resources, replaced ones that wait for their deletion included."""
        with self._lock:
            return tuple(self._resources)

    @property
    def pending(self) -> tuple[PendingOperation, ...]:
        """The operations that were begun and not ended."""
        with self._lock:
            return tuple(self._pending.values())

    def current(self, urn: str) -> ResourceState | None:
        """The resource of a URN, replaced ones left aside."""
        with self._lock:
            index = self._index(urn)
            return None if index is None else self._resources[index]

    def snapshot(self) -> Snapshot:
        """The state as it is now."""
        with self._lock:
            return self._snapshot()

    def begin(self, kind: PendingKind, resource: ResourceState) -> None:
        """Note that an operation begins."""
        with self._lock:
            self._pending[resource.urn] = PendingOperation(kind, resource)
            self._version += 1
        self.flush()

    def end(self, resource: ResourceState) -> None:
        """Note that the operation on a resource ended well; beside a predecessor it is the replacement."""
        with self._lock:
            self._pending.pop(resource.urn, None)
            self._put(resource)
            self._version += 1
        self.flush()

    def give_up(self, urn: str) -> None:
        """Note that what was begun on a resource has left nothing behind."""
        with self._lock:
            self._pending.pop(urn, None)
            self._version += 1
        self.flush()

    def note(self, resource: ResourceState) -> None:
        """Take over a change that has no effect outside; it is written with the next one that has."""
        with self._lock:
            index = self._index(resource.urn)
            if index is not None and self._resources[index] == resource:
                return
            self._put(resource)
            self._version += 1

    def remove(self, resource: ResourceState) -> None:
        """Note that a resource is gone."""
        with self._lock:
            self._resources.remove(resource)
            self._version += 1
        self.flush()

    def settle(self) -> None:
        """Put every resource after all that it needs, in an order that is the same for every run, and write."""
        with self._lock:
            settled = _in_order_of_need(self._resources)
            if settled != self._resources:
                self._resources = settled
                self._version += 1
        self.flush()

    def flush(self) -> None:
        """Write what is not written yet."""
        with self._lock:
            wanted = self._version
        with self._write_lock:
            if self._written >= wanted:
                return
            with self._lock:
                version, snapshot = self._version, self._snapshot()
            try:
                write_snapshot(self._path, snapshot)
            except OSError as error:
                if not (self.go_on_without_room and error.errno in NO_ROOM):
                    raise
            self._written = version

    def _snapshot(self) -> Snapshot:
        return replace(self._base, resources=tuple(self._resources), pending=tuple(self._pending.values()))

    def _index(self, urn: str) -> int | None:
        for index, resource in enumerate(self._resources):
            if resource.urn == urn and not resource.delete:
                return index
        return None

    def _put(self, resource: ResourceState) -> None:
        index = self._index(resource.urn)
        if index is None:
            self._resources.append(resource)
            return
        old = self._resources[index]
        self._resources[index] = resource
        if old.custom and old.id != resource.id:
            # The old one stands before the new one, so that deleting backwards takes it after all that needs either.
            self._resources.insert(index, replace(old, delete=True))


def _in_order_of_need(resources: list[ResourceState]) -> list[ResourceState]:
    """Sort so that each resource comes after what it needs, ties by URN and replaced ones first."""
    by_urn: dict[str, list[ResourceState]] = {}
    for resource in sorted(resources, key=lambda entry: (entry.urn, not entry.delete)):
        by_urn.setdefault(resource.urn, []).append(resource)
    missing = {
        urn: {need for entry in entries for need in entry.needs() if need in by_urn and need != urn}
        for urn, entries in by_urn.items()
    }
    dependants: dict[str, list[str]] = {urn: [] for urn in by_urn}
    for urn, needs in missing.items():
        for need in needs:
            dependants[need].append(urn)
    ready = [urn for urn, needs in missing.items() if not needs]
    heapq.heapify(ready)
    ordered: list[ResourceState] = []
    while ready:
        urn = heapq.heappop(ready)
        ordered += by_urn[urn]
        for dependant in dependants[urn]:
            missing[dependant].discard(urn)
            if not missing[dependant]:
                heapq.heappush(ready, dependant)
    return ordered
