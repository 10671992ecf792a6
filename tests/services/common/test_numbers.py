import pytest

from services.common.numbers import finite_number, whole_number


@pytest.mark.parametrize(("text", "number"), [("0", 0), ("007", 7), ("9" * 18, 10**18 - 1)])
def test_digits_are_a_whole_number(text, number):
    assert whole_number(text) == number


@pytest.mark.parametrize("text", ["", "-1", "+1", "1.0", "1_0", " 1", "1\n", "٣", "²", "9" * 19])
def test_no_other_text_is_a_whole_number(text):
    assert whole_number(text) is None


@pytest.mark.parametrize(("text", "number"), [("1", 1.0), ("-0.5", -0.5), ("1e3", 1000.0)])
def test_a_decimal_is_a_finite_number(text, number):
    assert finite_number(text) == number


@pytest.mark.parametrize("text", ["", "nan", "inf", "-inf", "1e999", "1_0", "much"])
def test_no_other_text_is_a_finite_number(text):
    assert finite_number(text) is None
