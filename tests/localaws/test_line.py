"""A line of messages keeps their places, whenever they join it and leave it."""

from hypothesis import given
from hypothesis import strategies as st

from infra.localaws.sqs.line import Line
from infra.localaws.sqs.message import Message, State

PLACES = st.lists(st.tuples(st.sampled_from(["add", "pop", "pop one of", "leave"]), st.integers(0, 11)), max_size=60)


def _message(place):
    return Message(str(place), "", "", 0.0, place=place, state=State.IN_FLIGHT)


@given(PLACES)
def test_a_line_is_a_sorted_list(steps):
    messages = [_message(place) for place in range(12)]
    line = Line(lambda message: message.state is State.VISIBLE)
    standing = set()
    for step, number in steps:
        first = min(standing, default=None)
        match step:
            case "add":
                messages[number].state = State.VISIBLE
                line.add(messages[number])
                standing.add(number)
            case "leave":
                messages[number].state = State.IN_FLIGHT
                standing.discard(number)
            case "pop":
                popped = line.pop()
                assert (None if popped is None else popped.place) == first
                standing.discard(first)
            case _:
                others = sorted(standing)[1 : 1 + number]
                popped = line.pop_one_of(number + 1, lambda choices: choices[-1])
                assert (None if popped is None else popped.place) == (others[-1] if others else None)
                if popped is not None:
                    standing.discard(popped.place)
                    popped.state = State.IN_FLIGHT
        found = line.first()
        assert (None if found is None else found.place) == min(standing, default=None)
