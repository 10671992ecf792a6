"""Which queue a queue URL means, in which region."""

from random import Random

import pytest

from infra.localaws.sqs.context import OtherRegion, Wire
from infra.localaws.sqs.errors import InvalidAddress, QueueDoesNotExist
from infra.localaws.sqs.model import SqsModel

BASE = "http://127.0.0.1:1"
ACCOUNT = "000000000000"


def _wire(region):
    model = SqsModel(clock=lambda: 0.0, rng=Random(0), region=region)
    return Wire(model, BASE, "us-west-1")


@pytest.mark.parametrize("region", ["us-west-1", "eu-west-1"])
def test_a_region_reads_the_urls_that_it_gives(region):
    wire = _wire(region)
    wire.model.create_queue("q.fifo", {"FifoQueue": "true"})
    url = wire.url("q.fifo")
    for spelled in (
        url,
        f"{url}/",
        url.replace(BASE, "https://elsewhere"),
        url.replace("q.fifo", "q%2Efifo"),
        "q.fifo",
    ):
        assert wire.queue_name_of(spelled) == "q.fifo"


@pytest.mark.parametrize(
    "url",
    [
        f"{BASE}/queue/eu-west-1/{ACCOUNT}/q",
        f"https://sqs.eu-west-1.amazonaws.com/{ACCOUNT}/q",
        f"https://eu-west-1.queue.amazonaws.com/{ACCOUNT}/q",
    ],
)
def test_a_url_that_names_a_region_is_that_regions(url):
    assert _wire("eu-west-1").queue_name_of(url) == "q"
    with pytest.raises(OtherRegion, match=r"^eu-west-1$"):
        _wire("us-west-1").queue_name_of(url)


def test_a_url_without_a_region_is_the_requests_or_else_the_endpoints_own():
    url = f"{BASE}/{ACCOUNT}/q"
    wire = _wire("eu-west-1")
    for spelled in (url, "q"):
        with pytest.raises(OtherRegion, match=r"^us-west-1$"):
            wire.queue_name_of(spelled)
    wire.model.create_queue("q")
    for spelled in (url, "q"):
        assert wire.queue_name_of(spelled) == "q"


@pytest.mark.parametrize(
    "url", ["", "/", BASE, f"{BASE}/q", f"{BASE}/a/b/c", "http://[", f"{BASE}/other/r/{ACCOUNT}/q"]
)
def test_what_is_no_queues_url(url):
    with pytest.raises(InvalidAddress, match="is not valid for this endpoint"):
        _wire("us-west-1").queue_name_of(url)


def test_other_accounts_have_no_queues_here():
    with pytest.raises(QueueDoesNotExist):
        _wire("us-west-1").queue_name_of(f"{BASE}/111111111111/q")
