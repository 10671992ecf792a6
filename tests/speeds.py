"""What a parametrised test runs at once, and what it leaves to the thorough tier."""

import pytest


def first_then_thorough(quick, values):
    """Return the values of a ``parametrize``; those after the first few run only in ``invoke test --thorough``."""
    return [*values[:quick], *(_thorough(value) for value in values[quick:])]


def _thorough(value):
    return pytest.param(*(value if isinstance(value, tuple) else (value,)), marks=pytest.mark.thorough)
