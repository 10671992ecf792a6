"""Event filters: which messages reach the function; a message that no filter matches is deleted.

Source: https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventfiltering.html and
https://docs.aws.amazon.com/lambda/latest/dg/with-sqs-filtering.html
"""

import json
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from infra.localaws.lambda_.errors import InvalidParameterValue
from infra.localaws.lambda_.limits import MAX_FILTERS, MAX_PATTERN_LENGTH

Test = Callable[[Any], bool]
"""Tells whether a value, or ``MISSING``, passes."""
MISSING: Final = object()
"""Stands for the value of a field that an event does not have."""
INVALID: Final = "Invalid filter pattern definition."


class Filters:
    """The filters of one mapping.

    Args:
        patterns: JSON texts, at most 5; an empty sequence lets everything through.

    Raises:
        InvalidParameterValue: there are too many, or one is no pattern.
    """

    def __init__(self, patterns: Sequence[str]) -> None:
        if len(patterns) > MAX_FILTERS:
            raise InvalidParameterValue(
                f"An event source mapping takes at most {MAX_FILTERS} filters, and {len(patterns)} are given."
            )
        self._tests = [_record_test(pattern) for pattern in patterns]

    def __bool__(self) -> bool:
        return bool(self._tests)

    def match(self, record: Mapping[str, Any]) -> bool:
        """Return whether a record reaches the function: any of the filters suffices."""
        return not self._tests or any(test(record) for test in self._tests)


def _record_test(text: str) -> Test:
    if len(text) > MAX_PATTERN_LENGTH:
        raise InvalidParameterValue(INVALID)
    try:
        pattern = json.loads(text)
    except (ValueError, RecursionError):
        raise InvalidParameterValue(INVALID) from None
    if not isinstance(pattern, dict):
        raise InvalidParameterValue(INVALID)
    body = pattern.pop("body", None)
    tests: list[Test] = []
    if pattern:
        tests.append(_object_test(pattern))
    if body is not None:
        tests.append(_body_test(body))
    return lambda record: all(test(record) for test in tests)


def _body_test(pattern: Any) -> Test:
    """Return the test of a body: a JSON pattern passes no plain text, and a plain one no JSON."""
    if isinstance(pattern, dict):
        inner = _object_test(pattern)
        return lambda record: isinstance(body := _document(record["body"]), dict | list) and _any_object(inner, body)
    rules = _value_test(pattern)
    return lambda record: not isinstance(_document(record["body"]), dict | list) and rules(record["body"])


def _document(body: str) -> Any:
    if body.lstrip()[:1] not in {"{", "["}:
        return None
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _any_object(test: Test, value: Any) -> bool:
    """Return whether an object passes, or any object of a list."""
    if isinstance(value, list):
        return any(_any_object(test, part) for part in value)
    return isinstance(value, dict) and test(value)


def _object_test(pattern: Mapping[str, Any]) -> Test:
    if not pattern:
        raise InvalidParameterValue(INVALID)
    tests = [_or_test(part) if key == "$or" else _field_test(key, part) for key, part in pattern.items()]
    return lambda event: all(test(event) for test in tests)


def _or_test(alternatives: Any) -> Test:
    if not isinstance(alternatives, list) or not all(isinstance(part, dict) for part in alternatives):
        raise InvalidParameterValue(INVALID)
    tests = [_object_test(part) for part in alternatives]
    return lambda event: any(test(event) for test in tests)


def _field_test(key: str, pattern: Any) -> Test:
    if isinstance(pattern, dict):
        inner = _object_test(pattern)

        def nested(event: Any) -> bool:
            value = event.get(key, MISSING)
            return inner({}) if value is MISSING else _any_object(inner, value)

        return nested
    rules = _value_test(pattern)
    return lambda event: rules(event.get(key, MISSING))


def _value_test(rules: Any) -> Test:
    """Return the test of a field's value: any rule suffices, and of a list any member."""
    if not isinstance(rules, list) or not rules:
        raise InvalidParameterValue(INVALID)
    tests = [_rule_test(rule) for rule in rules]

    def test(value: Any) -> bool:
        values = value if isinstance(value, list) and value else [value]
        return any(rule(part) for rule in tests for part in values)

    return test


def _rule_test(rule: Any) -> Test:
    if isinstance(rule, list):
        raise InvalidParameterValue(INVALID)
    if not isinstance(rule, dict):
        return lambda value: _equal(value, rule)
    if len(rule) != 1:
        raise InvalidParameterValue(INVALID)
    ((name, operand),) = rule.items()
    make = _RULES.get(name)
    if make is None:
        raise InvalidParameterValue(INVALID)
    return make(operand)


def _equal(value: Any, wanted: Any) -> bool:
    # JSON's true is not its 1, as Python's is.
    return isinstance(value, bool) is isinstance(wanted, bool) and bool(value == wanted)


def _prefix(operand: Any) -> Test:
    text = _text(operand)
    return lambda value: isinstance(value, str) and value.startswith(text)


def _suffix(operand: Any) -> Test:
    text = _text(operand)
    return lambda value: isinstance(value, str) and value.endswith(text)


def _ignoring_case(operand: Any) -> Test:
    text = _text(operand).casefold()
    return lambda value: isinstance(value, str) and value.casefold() == text


def _exists(operand: Any) -> Test:
    if not isinstance(operand, bool):
        raise InvalidParameterValue(INVALID)
    return lambda value: (value is not MISSING) is operand


def _anything_but(operand: Any) -> Test:
    if isinstance(operand, dict):
        if not operand.keys() <= {"prefix", "suffix", "equals-ignore-case"}:
            raise InvalidParameterValue(INVALID)
        inner = _rule_test(operand)
        return lambda value: value is not MISSING and not inner(value)
    excluded = operand if isinstance(operand, list) else [operand]
    if not excluded or any(isinstance(part, dict | list) for part in excluded):
        raise InvalidParameterValue(INVALID)
    return lambda value: value is not MISSING and not any(_equal(value, part) for part in excluded)


def _numeric(operand: Any) -> Test:
    if not isinstance(operand, list) or len(operand) not in {2, 4}:
        raise InvalidParameterValue(INVALID)
    bounds = list(zip(operand[::2], operand[1::2], strict=True))
    if any(not isinstance(sign, str) or sign not in _SIGNS or not _is_number(bound) for sign, bound in bounds):
        raise InvalidParameterValue(INVALID)
    return lambda value: _is_number(value) and all(_SIGNS[sign](value, bound) for sign, bound in bounds)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _text(operand: Any) -> str:
    if not isinstance(operand, str):
        raise InvalidParameterValue(INVALID)
    return operand


_SIGNS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_RULES: Final[Mapping[str, Callable[[Any], Test]]] = {
    "prefix": _prefix,
    "suffix": _suffix,
    "equals-ignore-case": _ignoring_case,
    "exists": _exists,
    "anything-but": _anything_but,
    "numeric": _numeric,
}
