"""The table in plain text."""

import pytest

from kdlab.inference.summary import summaries
from kdlab.inference.text import aligned, latency_table, machine_lines, number

ROW = {"engine": "e", "batch": 1, "threads": 1, "calls": 300, "p95": 0.3, "p99": 0.4, "cold_start": 1.0}
MORE = {"memory_bytes": 50e6, "joules": None, "bare_p50": 0.001}


def table(*seconds, **more):
    rows = [{"round": at, "name": "a", **ROW, **MORE, "p50": one, **more} for at, one in enumerate(seconds)]
    return "\n".join(latency_table(summaries(rows), rows, "a"))


def test_columns_stand_below_each_other_and_a_failure_takes_the_rest_of_its_line():
    blocks = {"first": [["1", "12.5", "x"], ["10", "fails: a reason"]], "second": [["2", "3", ""]]}
    assert aligned(["n", "value", "y"], blocks) == [
        "   n  value  y",
        "first",
        "   1   12.5  x",
        "  10  fails: a reason",
        "second",
        "   2      3",
    ]


@pytest.mark.parametrize(("value", "text"), [(0.12345, "0.123"), (12.345, "12.3"), (123.45, "123"), (98765.0, "98765")])
def test_three_digits_are_shown_or_all_before_the_point(value, text):
    assert number(value) == text


def test_a_machine_that_was_busy_is_warned_of():
    assert "WARNING: the noise is up to 100 %" in table(0.1, 0.2, 0.15, 0.1, 0.25, 0.15)
    assert "WARNING" not in table(0.1, 0.12, 0.11)


def test_energy_has_a_column_only_where_it_was_measured():
    assert "mJ" not in table(0.1)
    assert "mJ" in table(0.1, joules=0.5) and table(0.1, joules=0.5).splitlines()[2].endswith("  500")


def test_a_machine_says_why_it_has_no_energy():
    about = {"cpu": "C", "cores": 1, "features": [], "platform": "P", "python": "3", "packages": {}}
    assert machine_lines({**about, "energy": "no counter"})[2] == "energy: null, because no counter"
    assert machine_lines({**about, "energy": None})[2] == "energy: of the whole processor, with all it ran"
    assert machine_lines({**about, "energy": None})[0] == "C, 1 core; instructions unknown"
