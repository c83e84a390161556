from dataclasses import replace

from kdlab.reporting.evidence import Gain, Interval
from kdlab.reporting.render.settings_table import columns
from tests.reporting.made_up import setting


def cells(settings, heading, role="student"):
    (column,) = [column for column in columns(settings, role) if column.heading == heading]
    return column.cells


def test_uncertain_gains_have_a_note():
    settings = [
        setting("a", {}, gain=(0.2, 0.5)),
        setting("b", {}, gain=(2.0, 0.5)),
        setting("c", {}, gain=(1.0, None)),
    ]
    assert [(cell.text, cell.note) for cell in cells(settings, "gain")] == [
        ("+0.20 ± 0.50", "smaller than its uncertainty"),
        ("+2.00 ± 0.50", ""),
        ("+1.00", "one seed: no interval"),
    ]


def test_what_settings_are_ranked_by_is_shown():
    one = setting("lr 0.1", {}, **{"baseline/val/accuracy": Interval(91.25, 0.5, 3)})
    assert cells([one], "validation %")[0].text == "97.51 ± 0.55"
    assert cells([one], "validation %, baseline", "baseline")[0].text == "91.25 ± 0.50"


def test_columns_without_any_value_are_left_out_and_single_gaps_stay():
    with_p = setting("a", {})
    without = replace(with_p, gain=Gain(Interval(1.0, 0.5, 3)))
    headings = [column.heading for column in columns([without])]
    assert "p (Holm)" not in headings
    assert "bootstrap" not in headings
    assert "over control" not in headings
    assert [cell and cell.number for cell in cells([with_p, without], "p (Holm)")] == [0.0123, None]


def test_a_size_that_settings_share_needs_no_column():
    one, other = setting("a", {}), setting("b", {}, **{"student/params": Interval(9000, 0.0, 3)})
    shared = {column.heading: column.is_shared for column in columns([one, other])}
    assert not shared["parameters"] and shared["FLOPs"] and not shared["agreement %"]
    assert not any(column.is_shared for column in columns([one]))
