"""The supervisor of consumers: when one that ended by itself is started again. Every tier keeps to this policy.

A supervisor as Kubernetes (``restartPolicy: Always``) or an ECS service knows it: it starts a consumer again with
whatever exit code it ended. A consumer that received something comes back soon; one that ends again and again without
a message waits for longer each time, so that it does not spin.
https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#restart-policy

Three ends are no matter for it: a consumer that was asked to end, one that a scenario killed, and one that ended with
exit code 0 because the scenario gave it a message limit.
"""

from __future__ import annotations

from collections import Counter

#: Seconds from an end to the start of the successor, doubling with each end in a row without a message up to the last.
RESTART_AFTER = (0.5, 8.0)
#: Ends in a row without a message that a deadline makes up for.
IN_VAIN = 20


class Supervisor:
    """Counts how often each consumer ended in vain."""

    def __init__(self) -> None:
        self._in_vain: Counter[str] = Counter()

    def restart_after(self, known_as: str, *, received: bool) -> float:
        """Return after how many seconds a consumer that has ended comes back.

        Args:
            known_as: the name under which the scenario knows it, whichever of its successors has ended.
            received: whether it received a message since its start.
        """
        if received:
            self._in_vain[known_as] = 0
        shortest, longest = RESTART_AFTER
        seconds = min(shortest * 2.0 ** min(self._in_vain[known_as], IN_VAIN), longest)
        self._in_vain[known_as] += 1
        return seconds

    def is_hopeful(self, known_as: str) -> bool:
        """Return whether a consumer ended in vain no more often than a deadline makes up for."""
        return self._in_vain[known_as] <= IN_VAIN


def ended_as_told(code: int, *, has_limit: bool) -> bool:
    """Return whether a consumer that was not asked to end has done all that the scenario wanted of it.

    Args:
        code: its exit code.
        has_limit: whether the scenario gave it a message limit.
    """
    return code == 0 and has_limit
