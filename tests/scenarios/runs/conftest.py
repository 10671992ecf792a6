"""The fixtures of this directory's tests: the small consumers in four languages."""

from tests.consumers.small import small_consumer

__all__ = ["small_consumer"]
