import pytest

from kdlab.reporting.render.magnitude import duration, scaled


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (999, "999"),
        (5006, "5.01 k"),
        (43_634, "43.6 k"),
        (853_018, "853 k"),
        (23_500_000, "23.5 M"),
        (4e13, "40 T"),
        (724, "724"),
        (999_600, "1 M"),
        (4.1e9, "4.1 G"),
    ],
)
def test_large_numbers_have_three_digits_and_a_prefix(value, text):
    assert scaled(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (119, "119 s"), (150, "2 min"), (7140, "119 min"), (9000, "2.5 h")]
)
def test_durations_have_one_unit(seconds, text):
    assert duration(seconds) == text
