"""What an operation declares about itself is enough for all that read it."""

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
