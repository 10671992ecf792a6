"""Receives that wait, with clients that are there or not, on an event loop but without a network."""

import asyncio
import socket
from random import Random

import pytest

from infra.localaws.clock import ScaledClock
from infra.localaws.http import Response, _peer_has_closed
from infra.localaws.longpolls import LongPolls
from infra.localaws.sqs.content import MessageDraft
from infra.localaws.sqs.model import SqsModel
from infra.localaws.sqs.queue import ReceiveRequest
from infra.localaws.sqs.rates import STRICT
from infra.localaws.sqs.wire import LongPoll

POLL = LongPoll("q", ReceiveRequest(long_poll=True), 20, lambda deliveries: {"count": len(deliveries)})


async def _serve(present):
    """Let one receive after the other wait, send a message, and return who got it and how often it was received."""

    def notice(queue):
        polls.notice(queue)

    clock = ScaledClock()
    model = SqsModel(clock=clock, rng=Random(0), rates=STRICT, on_available=notice)
    polls = LongPolls(model, clock, lambda: None)
    model.create_queue("q", {"VisibilityTimeout": "0"})
    answered = []
    for number, is_there in enumerate(present):
        receive = polls.wait(POLL, lambda shape: Response(200, str(shape["count"]).encode()))
        receive.start(lambda response, number=number: answered.append((number, response.body)), lambda it=is_there: it)
    model.send("q", MessageDraft("x", delay=0))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    for waiting in list(polls._waiting.get("q", ())):
        waiting.cancel()
    [delivery] = model.receive("q")
    return answered, delivery.receive_count - 1


@pytest.mark.parametrize(
    ("present", "answered"),
    [([True], [(0, b"1")]), ([False, True], [(1, b"1")]), ([False, False], [])],
)
def test_a_message_goes_to_the_first_client_that_is_still_there(present, answered):
    assert asyncio.run(_serve(present)) == (answered, len(answered))


def test_a_farewell_is_seen_before_the_event_loop_reads_it():
    here, there = socket.socketpair()
    with here, there:
        assert not _peer_has_closed(here.fileno())
        there.sendall(b"data")
        assert not _peer_has_closed(here.fileno())
        there.close()
        assert _peer_has_closed(here.fileno())
