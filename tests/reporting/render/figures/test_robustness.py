from dataclasses import replace
from pathlib import Path

from kdlab.reporting.evidence import Run
from kdlab.reporting.render.figures.robustness import corrupted_images
from tests.reporting.made_up import evidence, setting


def content(student, severity=3):
    return {
        "severity": severity,
        "samples": 100,
        "corruptions": ["fog", "blur"],
        "labels": {"teacher": "big", "student": "small"},
        "accuracy": {
            "teacher": {"clean": 95.0, "fog": 90.0, "blur": 93.0},
            "student": {"clean": 90.0, "fog": student, "blur": 88.0},
        },
        "lost": {"teacher": 3.5, "student": (90 - student + 2) / 2},
        "more_lost": {"student": {"points": 0.0, "interval": [0.0, 0.0]}},
    }


def with_contents(*contents):
    runs = tuple(Run(Path("run"), {"robustness": one} if one else {}, {}) for one in contents)
    return evidence([setting("T 2", {}), replace(setting("T 4", {}), runs=runs)])


def test_each_network_is_a_series_of_points_lost_with_the_mean_over_seeds():
    picture = corrupted_images(with_contents(content(70.0), content(60.0), None))
    series = {line.get_label(): line.get_xdata().tolist() for line in picture.figure.axes[0].lines}
    assert series == {"teacher": [2.0, 5.0], "student": [2.0, 25.0]}
    assert [label.get_text() for label in picture.figure.axes[0].get_yticklabels()] == ["blur", "fog"]
    assert "Severity 3 of 5; in the mean over 2 seeds: teacher 3.50, student 13.50 points." in picture.caption


def test_runs_at_another_severity_do_not_join():
    picture = corrupted_images(with_contents(content(70.0), content(10.0, severity=5)))
    assert "in the mean: teacher 3.50, student 11.00 points." in picture.caption


def test_without_evaluations_there_is_no_plot():
    assert corrupted_images(with_contents(None)) is None
