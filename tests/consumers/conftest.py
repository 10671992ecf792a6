"""The fixtures of this directory's tests: a project directory of the test's own, and the small consumers."""

from tests.consumers.small import small_consumer
from tests.scenarios.conftest import project

__all__ = ["project", "small_consumer"]
