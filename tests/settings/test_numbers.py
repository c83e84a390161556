import math

import pytest

from kdlab.settings.numbers import is_fraction, is_number, is_weight, is_whole

KINDS = {
    "number": is_number,
    "whole from 1": lambda value: is_whole(value, 1),
    "weight": is_weight,
    "fraction": is_fraction,
}


@pytest.mark.parametrize(
    ("value", "kinds"),
    [
        (1, {"number", "whole from 1", "weight", "fraction"}),
        (0, {"number", "weight", "fraction"}),
        (2, {"number", "whole from 1", "weight"}),
        (0.5, {"number", "weight", "fraction"}),
        (-0.5, {"number"}),
        (math.inf, {"number"}),
        (math.nan, {"number"}),
        (True, set()),
        ("1", set()),
        (None, set()),
    ],
)
def test_what_kind_of_number_a_value_is(value, kinds):
    assert {name for name, fits in KINDS.items() if fits(value)} == kinds
