import pytest

from infra.stack.expected_attributes import actual_attributes, differences

PROMISED = {
    "VisibilityTimeout": 2,
    "DelaySeconds": 0,
    "RedrivePolicy": {"deadLetterTargetArn": "arn", "maxReceiveCount": 5},
}
TOLD = {
    "VisibilityTimeout": "2",
    "DelaySeconds": "0",
    "RedrivePolicy": '{"maxReceiveCount": "5", "deadLetterTargetArn": "arn"}',
    "CreatedTimestamp": "1700000000",
}


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({}, []),
        ({"DelaySeconds": None}, []),
        ({"DelaySeconds": "900"}, [("DelaySeconds", 0, 900)]),
        ({"VisibilityTimeout": None}, [("VisibilityTimeout", 2, None)]),
        ({"RedrivePolicy": None}, [("RedrivePolicy", PROMISED["RedrivePolicy"], None)]),
    ],
)
def test_what_differs_is_named_and_what_an_endpoint_does_not_tell_is_not_taken_for_another(change, found):
    told = {name: text for name, text in (TOLD | change).items() if text is not None}
    assert list(differences(PROMISED, actual_attributes(told))) == found
