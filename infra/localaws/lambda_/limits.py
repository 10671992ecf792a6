"""The limits of Lambda, each with the page of AWS that sets it."""

from typing import Final

# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
MAX_PAYLOAD_BYTES: Final = 6 * 1024 * 1024 + 100
"""Bytes of a synchronous invocation's event, and of its answer: 6 MB, as AWS's own runtime emulator counts it."""
ACCOUNT_CONCURRENCY: Final = 1_000
MIN_UNRESERVED_CONCURRENCY: Final = 100
MAX_ENVIRONMENT_BYTES: Final = 4_096
MAX_TIMEOUT_SECONDS: Final = 900
DEFAULT_TIMEOUT_SECONDS: Final = 3
DEFAULT_MEMORY_MB: Final = 128
MAX_MEMORY_MB: Final = 10_240
MAX_CODE_REQUEST_BYTES: Final = 70_167_211
"""Bytes of a request that carries code: a zip archive of 50 MB, in base64."""
MAX_UNZIPPED_BYTES: Final = 262_144_000
DEFAULT_STORAGE_MB: Final = 512

# https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html
INIT_SECONDS: Final = 10.0
"""Seconds until an environment that has not asked for its first event is restarted."""

# https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
DEFAULT_BATCH_SIZE: Final = 10
MAX_BATCH_SIZE: Final = 10_000
MAX_FIFO_BATCH_SIZE: Final = 10
MAX_BATCH_SIZE_WITHOUT_WINDOW: Final = 10
MAX_WINDOW_SECONDS: Final = 300

# https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html
FIRST_CONCURRENCY: Final = 5
"""Batches that a mapping on a standard queue begins with."""
GROWTH_PER_MINUTE: Final = 300
MAX_CONCURRENCY: Final = 1_250
MIN_MAXIMUM_CONCURRENCY: Final = 2
MAX_MAXIMUM_CONCURRENCY: Final = 1_000
PROVISIONED_GROWTH_PER_MINUTE: Final = 1_000
CONCURRENCY_PER_POLLER: Final = 10
MIN_POLLERS: Final = 2
MAX_MIN_POLLERS: Final = 200
MAX_MAX_POLLERS: Final = 2_000
DEFAULT_MIN_POLLERS: Final = 2
DEFAULT_MAX_POLLERS: Final = 200

# https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventfiltering.html
MAX_FILTERS: Final = 5
MAX_PATTERN_LENGTH: Final = 4_096
