import numpy as np

from kdlab.reporting.render.figures.curves import MOST_THIN, curves
from tests.reporting.made_up import evidence, setting, with_run


def test_accuracy_and_each_term_of_student_and_baseline_by_epoch(tmp_path):
    best = with_run(setting("T 4", {}), tmp_path / "run")
    accuracy, terms = curves(evidence([best]))
    (axes,) = accuracy.figure.axes
    lines = {line.get_label(): line for line in axes.lines}
    np.testing.assert_array_equal(lines["student"].get_xydata()[-1], (5, 35))
    np.testing.assert_array_equal(lines["baseline"].get_xydata()[-1], (5, 15))
    assert [axes.get_title(loc="left") or axes.get_title() for axes in terms.figure.axes] == [
        "loss",
        "ce",
        "response_kd",
    ]
    np.testing.assert_allclose(terms.figure.axes[1].lines[0].get_ydata(), [2, 1, 2 / 3, 0.5, 0.4])
    assert "student 35.00 %, baseline 15.00 %" in accuracy.alt


def test_of_many_settings_some_are_drawn_thin_and_the_caption_counts_them(tmp_path):
    many = [with_run(setting(f"T {i}", {}), tmp_path / str(i), epochs=2) for i in range(MOST_THIN + 6)]
    accuracy, _ = curves(evidence(many))
    (axes,) = accuracy.figure.axes
    assert len(axes.lines) == MOST_THIN + 2
    assert f"{MOST_THIN} of the {MOST_THIN + 5} other settings" in accuracy.caption


def test_runs_without_a_history_have_no_curves():
    assert curves(evidence([setting("T 4", {})])) == []
    assert curves(evidence([])) == []
