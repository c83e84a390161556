import io

import pytest
from rich.console import Console

from kdlab.screen import Screen, _scaled, conclusions, figures_table


def network(accuracy):
    return {"test/accuracy": accuracy, "test/nll": 0.5, "params": 5006, "flops": 1_700_000, "seconds": 0.0}


def result(teacher, baseline, student, recovered):
    roles = {"teacher": network(teacher), "baseline": network(baseline), "student": network(student)}
    return {
        **roles,
        "gain": student - baseline,
        "gap_recovered": recovered,
        "agreement": 97.0,
        "stages": [{"name": "student", "epochs": 30}],
        "agreement_baseline": 90.0,
    }


def shown(renderable):
    console = Console(file=io.StringIO(), width=100)
    console.print(renderable)
    return [line.split() for line in console.file.getvalue().splitlines()]


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
    ],
)
def test_large_numbers_have_three_digits_and_a_prefix(value, text):
    assert _scaled(value) == text


def test_the_table_has_a_column_a_network_and_leaves_out_what_nobody_has():
    found = result(99.0, 92.0, 98.0, 0.857)
    rows = shown(figures_table({role: found[role] for role in ("teacher", "baseline", "student")}, found))
    assert rows[0] == ["teacher", "baseline", "student"]
    assert ["test", "accuracy", "99.00", "%", "92.00", "%", "98.00", "%"] in rows
    assert ["agrees", "with", "teacher", "–", "90.00", "%", "97.00", "%"] in rows
    assert not any("validation" in row for row in rows)


def test_the_gain_is_said_with_its_share_of_the_gap():
    line, budget = conclusions(result(99.0, 92.0, 98.0, 6 / 7))
    assert "One seed, 30 epochs" in budget
    assert "+6.00 points" in line
    assert "86 % of the gap" in line


def test_a_loss_is_said_without_a_share_and_a_worse_teacher_loudly():
    lines = conclusions(result(90.0, 92.0, 91.0, None))
    assert "-1.00 points" in lines[0]
    assert "gap" not in lines[0]
    assert "The teacher is worse than the baseline." in lines[2]


def test_without_a_baseline_nothing_is_concluded():
    assert conclusions({"gain": None}) == []


def test_without_a_terminal_there_is_no_bar():
    console = Console(file=io.StringIO())
    with Screen(console).bar("student", 3) as (callbacks, listen):
        listen({"epoch": 1, "train/loss": 0.5})
    assert len(callbacks) == 1
    assert console.file.getvalue().strip() == ""
