"""How many invocations an account may run at once, and each function of it.

Source: https://docs.aws.amazon.com/lambda/latest/dg/lambda-concurrency.html
"""

from collections import Counter

from infra.localaws.lambda_.errors import InvalidParameterValue
from infra.localaws.lambda_.limits import ACCOUNT_CONCURRENCY, MIN_UNRESERVED_CONCURRENCY


class Concurrency:
    """The concurrency of one account.

    Args:
        account: invocations at once in all.
    """

    def __init__(self, account: int = ACCOUNT_CONCURRENCY) -> None:
        self.account = account
        self._reserved: dict[str, int] = {}
        self._running: Counter[str] = Counter()

    def reserve(self, function: str, count: int) -> None:
        """Set a part of the account's concurrency aside for a function, which is also the most that it gets.

        Raises:
            InvalidParameterValue: too little would be left for the functions without a part of their own.
        """
        others = sum(self._reserved.values()) - self._reserved.get(function, 0)
        if self.account - others - count < MIN_UNRESERVED_CONCURRENCY:
            raise InvalidParameterValue(
                "Specified ReservedConcurrentExecutions for function decreases account's "
                f"UnreservedConcurrentExecution below its minimum value of [{MIN_UNRESERVED_CONCURRENCY}]."
            )
        self._reserved[function] = count

    def unreserve(self, function: str) -> None:
        """Give a function's part back."""
        self._reserved.pop(function, None)

    def reserved(self, function: str) -> int | None:
        """Return a function's part; None if it has none."""
        return self._reserved.get(function)

    def unreserved(self) -> int:
        """Return what the functions without a part of their own share."""
        return self.account - sum(self._reserved.values())

    def running(self, function: str) -> int:
        """Return how many invocations of a function are under way."""
        return self._running[function]

    def acquire(self, function: str) -> bool:
        """Begin an invocation; False means that it is throttled."""
        limit = self._reserved.get(function)
        if limit is None:
            used = sum(count for name, count in self._running.items() if name not in self._reserved)
            if used >= self.unreserved():
                return False
        elif self._running[function] >= limit:
            return False
        self._running[function] += 1
        return True

    def release(self, function: str) -> None:
        """End an invocation."""
        self._running[function] -= 1
        if not self._running[function]:
            del self._running[function]
