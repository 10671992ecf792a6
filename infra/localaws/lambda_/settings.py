"""How an event source mapping is set up, and what Lambda refuses.

Source: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-parameters.html
"""

from dataclasses import dataclass

from infra.localaws.lambda_.errors import InvalidParameterValue, ValidationError
from infra.localaws.lambda_.filters import Filters
from infra.localaws.lambda_.limits import (
    CONCURRENCY_PER_POLLER,
    DEFAULT_BATCH_SIZE,
    FIRST_CONCURRENCY,
    GROWTH_PER_MINUTE,
    MAX_BATCH_SIZE,
    MAX_BATCH_SIZE_WITHOUT_WINDOW,
    MAX_CONCURRENCY,
    MAX_FIFO_BATCH_SIZE,
    MAX_MAX_POLLERS,
    MAX_MAXIMUM_CONCURRENCY,
    MAX_MIN_POLLERS,
    MAX_WINDOW_SECONDS,
    MIN_MAXIMUM_CONCURRENCY,
    MIN_POLLERS,
    PROVISIONED_GROWTH_PER_MINUTE,
)


@dataclass(frozen=True, slots=True)
class Pollers:
    """Provisioned mode: how many pollers a mapping keeps at least, and has at most."""

    least: int
    most: int


@dataclass(frozen=True, slots=True)
class MappingSettings:
    """The settings of a mapping, with AWS's defaults.

    Attributes:
        batch_size: messages.
        window: seconds for which a batch is gathered.
        report_item_failures: whether ``FunctionResponseTypes`` names ReportBatchItemFailures.
        maximum_concurrency: batches at once; None for AWS's own limit.
        filters: patterns as JSON texts.
        pollers: provisioned mode; None for the default one.

    Raises:
        ValidationError: a number is out of AWS's range.
        InvalidParameterValue: a filter is no pattern, or two settings exclude each other.
    """

    batch_size: int = DEFAULT_BATCH_SIZE
    window: int = 0
    report_item_failures: bool = False
    maximum_concurrency: int | None = None
    filters: tuple[str, ...] = ()
    pollers: Pollers | None = None

    def __post_init__(self) -> None:
        _check_range("batchSize", self.batch_size, 1, MAX_BATCH_SIZE)
        _check_range("maximumBatchingWindowInSeconds", self.window, 0, MAX_WINDOW_SECONDS)
        if self.maximum_concurrency is not None:
            _check_range(
                "scalingConfig.maximumConcurrency",
                self.maximum_concurrency,
                MIN_MAXIMUM_CONCURRENCY,
                MAX_MAXIMUM_CONCURRENCY,
            )
        if self.pollers is not None:
            self._check_pollers(self.pollers)
        Filters(self.filters)

    def _check_pollers(self, pollers: Pollers) -> None:
        _check_range("provisionedPollerConfig.minimumPollers", pollers.least, MIN_POLLERS, MAX_MIN_POLLERS)
        _check_range("provisionedPollerConfig.maximumPollers", pollers.most, MIN_POLLERS, MAX_MAX_POLLERS)
        if pollers.least > pollers.most:
            raise InvalidParameterValue("MinimumPollers cannot be greater than MaximumPollers.")
        if self.maximum_concurrency is not None:
            raise InvalidParameterValue("ScalingConfig and ProvisionedPollerConfig cannot be used together.")

    def check_against(self, *, fifo: bool, visibility_timeout: int, function_timeout: int) -> None:
        """Raise the InvalidParameterValue that Lambda answers if the settings do not fit the queue or the function.

        Args:
            fifo: whether the queue is a FIFO queue.
            visibility_timeout: the queue's, in seconds.
            function_timeout: the function's, in seconds.
        """
        if fifo and self.window:
            raise InvalidParameterValue("Batching window is not supported for FIFO queues.")
        if fifo and self.batch_size > MAX_FIFO_BATCH_SIZE:
            raise InvalidParameterValue(
                f"Batch size {self.batch_size} is not supported for FIFO queues; the maximum is {MAX_FIFO_BATCH_SIZE}."
            )
        if self.batch_size > MAX_BATCH_SIZE_WITHOUT_WINDOW and not self.window:
            raise InvalidParameterValue(
                "Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than "
                f"{MAX_BATCH_SIZE_WITHOUT_WINDOW}"
            )
        if function_timeout > visibility_timeout:
            raise InvalidParameterValue(
                f"Queue visibility timeout: {visibility_timeout} seconds is less than Function timeout: "
                f"{function_timeout} seconds"
            )


@dataclass(frozen=True, slots=True)
class Scaling:
    """How many batches at once a mapping begins with and may reach, and how many it adds in a minute."""

    first: int
    most: int
    growth: int


def scaling_of(settings: MappingSettings, *, fifo: bool) -> Scaling:
    """Return how a mapping scales; on a FIFO queue the number of its message groups is the only limit."""
    pollers = settings.pollers
    if pollers is not None:
        least, most = pollers.least * CONCURRENCY_PER_POLLER, pollers.most * CONCURRENCY_PER_POLLER
        return Scaling(most if fifo else least, most, PROVISIONED_GROWTH_PER_MINUTE)
    most = settings.maximum_concurrency or MAX_CONCURRENCY
    return Scaling(most if fifo else min(FIRST_CONCURRENCY, most), most, GROWTH_PER_MINUTE)


def _check_range(member: str, value: int, least: int, most: int) -> None:
    if value < least or value > most:
        bound = f"greater than or equal to {least}" if value < least else f"less than or equal to {most}"
        raise ValidationError(
            f"1 validation error detected: Value '{value}' at '{member}' failed to satisfy constraint: "
            f"Member must have value {bound}"
        )
