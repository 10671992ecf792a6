"""What Lambda refuses of a mapping's settings, and of reserved concurrency."""

import pytest

from infra.localaws.lambda_.concurrency import Concurrency
from infra.localaws.lambda_.errors import InvalidParameterValue, ValidationError
from infra.localaws.lambda_.settings import MappingSettings, Pollers

FITTING = {"fifo": False, "visibility_timeout": 30, "function_timeout": 3}


def test_the_defaults_are_awss():
    settings = MappingSettings()
    assert (settings.batch_size, settings.window, settings.report_item_failures) == (10, 0, False)
    assert (settings.maximum_concurrency, settings.filters, settings.pollers) == (None, (), None)


@pytest.mark.parametrize(
    ("member", "options", "bound"),
    [
        ("batchSize", {"batch_size": 0}, "greater than or equal to 1"),
        ("batchSize", {"batch_size": 10_001}, "less than or equal to 10000"),
        ("maximumBatchingWindowInSeconds", {"window": 301}, "less than or equal to 300"),
        ("maximumBatchingWindowInSeconds", {"window": -1}, "greater than or equal to 0"),
        ("scalingConfig.maximumConcurrency", {"maximum_concurrency": 1}, "greater than or equal to 2"),
        ("scalingConfig.maximumConcurrency", {"maximum_concurrency": 1_001}, "less than or equal to 1000"),
        ("provisionedPollerConfig.minimumPollers", {"pollers": Pollers(1, 5)}, "greater than or equal to 2"),
        ("provisionedPollerConfig.minimumPollers", {"pollers": Pollers(201, 300)}, "less than or equal to 200"),
        ("provisionedPollerConfig.maximumPollers", {"pollers": Pollers(2, 2_001)}, "less than or equal to 2000"),
    ],
)
def test_a_number_out_of_range_is_refused_in_awss_words(member, options, bound):
    with pytest.raises(ValidationError) as refusal:
        MappingSettings(**options)
    assert str(refusal.value).startswith("1 validation error detected: Value '")
    assert f"at '{member}' failed to satisfy constraint: Member must have value {bound}" in str(refusal.value)


def test_the_bounds_themselves_are_accepted():
    for options in (
        {"batch_size": 1, "window": 0, "maximum_concurrency": 2},
        {"batch_size": 10_000, "window": 300, "maximum_concurrency": 1_000},
        {"pollers": Pollers(2, 2)},
        {"pollers": Pollers(200, 2_000)},
    ):
        MappingSettings(**options).check_against(**FITTING)


def test_provisioned_mode_excludes_maximum_concurrency():
    with pytest.raises(InvalidParameterValue, match="cannot be used together"):
        MappingSettings(pollers=Pollers(2, 5), maximum_concurrency=5)


def test_a_function_timeout_above_the_visibility_timeout_is_refused():
    MappingSettings().check_against(fifo=False, visibility_timeout=30, function_timeout=30)
    with pytest.raises(InvalidParameterValue) as refusal:
        MappingSettings().check_against(fifo=False, visibility_timeout=30, function_timeout=31)
    assert str(refusal.value) == "Queue visibility timeout: 30 seconds is less than Function timeout: 31 seconds"


def test_a_batch_above_ten_needs_a_window():
    with pytest.raises(InvalidParameterValue) as refusal:
        MappingSettings(batch_size=11).check_against(**FITTING)
    assert str(refusal.value) == (
        "Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10"
    )
    MappingSettings(batch_size=11, window=1).check_against(**FITTING)


def test_a_fifo_queue_takes_no_window_and_at_most_ten_messages():
    fifo = {**FITTING, "fifo": True}
    MappingSettings(batch_size=10).check_against(**fifo)
    with pytest.raises(InvalidParameterValue, match="not supported for FIFO queues"):
        MappingSettings(window=1).check_against(**fifo)
    with pytest.raises(InvalidParameterValue, match="Batch size 11 is not supported for FIFO queues"):
        MappingSettings(batch_size=11).check_against(**fifo)


def test_reserved_concurrency_is_the_most_that_a_function_gets_and_is_its_own():
    concurrency = Concurrency(account=102)
    concurrency.reserve("one", 2)
    assert [concurrency.acquire("one") for _ in range(3)] == [True, True, False]
    assert [concurrency.acquire("other") for _ in range(101)] == [True] * 100 + [False]
    concurrency.release("one")
    assert concurrency.acquire("one")
    concurrency.release("other")
    assert concurrency.acquire("other")


def test_the_account_keeps_a_hundred_unreserved():
    concurrency = Concurrency()
    concurrency.reserve("one", 900)
    concurrency.reserve("one", 800)
    concurrency.reserve("two", 100)
    with pytest.raises(InvalidParameterValue, match=r"below its minimum value of \[100\]"):
        concurrency.reserve("three", 1)
    concurrency.unreserve("one")
    concurrency.reserve("three", 800)
    assert concurrency.unreserved() == 100


def test_reserved_concurrency_of_nothing_throttles_everything():
    concurrency = Concurrency()
    concurrency.reserve("one", 0)
    assert not concurrency.acquire("one")
