"""What an operation declares about itself is enough for all that read it."""

import dataclasses

import pytest

from services import operations as op
from services.drivers.aws import AwsDriver
from services.drivers.outbox import Outbox
from services.drivers.payloads import Payloads
from services.drivers.queue import Queue
from services.drivers.store import Store
from services.errors import Unusable

RECORDED = [kind for kind in op.OPERATIONS.values() if kind.recorded]


def driver():
    return AwsDriver(Queue(None, "q"), Store(None, "s", "l"), payloads=Payloads(None, "b"), outbox=Outbox(None, "s"))


def test_the_driver_performs_every_operation_there_is():
    others = ("program", "runtime")
    assert driver()._methods.keys() == {kind for kind in op.OPERATIONS.values() if kind.part not in others}


@pytest.mark.parametrize(("kind", "method"), [(op.LookUpSideEffect, "look_up_side_effect"), (op.Send, "send")])
def test_an_operation_is_performed_by_the_method_of_its_name(kind, method):
    assert kind.method == driver()._methods[kind].__name__ == method


@pytest.mark.parametrize("kind", RECORDED, ids=lambda kind: kind.__name__)
def test_an_operation_that_is_recorded_is_drawn_with_words_of_its_own(kind):
    assert kind.mark.label or kind is op.AppendToLog


@pytest.mark.parametrize(
    ("operation", "variable"),
    [
        (op.FetchObject("k"), "PAYLOAD_BUCKET"),
        (op.CommitChange("k", "x"), "MESSAGE_STATUS_TABLE"),
        (op.Claim("k", "me", 1.0), "MESSAGE_STATUS_TABLE"),
        (op.Complete("k", 1), "MESSAGE_STATUS_TABLE"),
    ],
)
def test_an_operation_on_what_a_process_does_not_have_is_one_sentence(operation, variable):
    with pytest.raises(Unusable, match=f"{type(operation).__name__} .*{variable}"):
        AwsDriver(Queue(None, "q"), Store(None, "", "")).perform(operation)


def test_a_record_holds_what_json_can_hold():
    message = op.Message("m-1", "r-1", "{}", 2, None, None)
    assert op.plain((message,)) == [
        {
            "message_id": "m-1",
            "receipt_handle": "r-1",
            "body": "{}",
            "receive_count": 2,
            "group": None,
            "sequence_number": None,
        }
    ]
    assert op.plain(op.Claimed(3)) == {"type": "Claimed", "fencing_token": 3}
    assert op.plain({1: (message.body, op.QueueFacts(30, fifo=False))}) == {
        "1": ["{}", {"visibility_timeout": 30, "fifo": False}]
    }


def test_equal_operations_are_one_and_a_copy_with_another_field_is_another():
    claim = op.Claim("key", "me", 27.0)
    assert {claim, op.Claim("key", "me", 27.0)} == {claim}
    assert dataclasses.replace(claim, owner="another") != claim
