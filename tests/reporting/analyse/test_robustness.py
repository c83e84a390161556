"""Points lost on corrupted images, with what the teacher loses beside them."""

import numpy as np
import pytest
import torch

from kdlab.reporting.analyse.robustness import robustness, sentences

LABELS = {"teacher": "big", "student": "small"}


def flags(teacher, student, samples=1000):
    """Shares of correct samples by corruption; the first samples are the correct ones."""

    def first(share):
        return torch.arange(samples) < round(share * samples)

    return {name: {"teacher": first(teacher[name]), "student": first(student[name])} for name in teacher}


def test_points_are_lost_in_the_mean_over_corruptions():
    found = robustness(
        flags({"clean": 0.95, "fog": 0.85, "blur": 0.75}, {"clean": 0.9, "fog": 0.7, "blur": 0.5}), LABELS, 3
    )
    assert found["accuracy"]["student"] == pytest.approx({"clean": 90.0, "fog": 70.0, "blur": 50.0})
    assert found["lost"] == pytest.approx({"teacher": 15.0, "student": 30.0})
    assert found["more_lost"]["student"]["points"] == pytest.approx(15.0)
    assert found["corruptions"] == ["fog", "blur"] and found["samples"] == 1000 and found["severity"] == 3


def test_the_interval_is_of_the_paired_differences_of_samples():
    draw = np.random.default_rng(0)
    right = {
        name: {
            role: torch.from_numpy(draw.random(2000) < share) for role, share in (("teacher", 0.9), ("student", 0.7))
        }
        for name in ("clean", "fog")
    }
    found = robustness(right, LABELS, 1)["more_lost"]["student"]
    lost = {role: 100.0 * (right["clean"][role].double() - right["fog"][role].double()) for role in LABELS}
    differences = (lost["student"] - lost["teacher"]).numpy()
    half = 1.96 * differences.std(ddof=1) / len(differences) ** 0.5
    assert found["points"] == pytest.approx(differences.mean())
    assert np.diff(found["interval"]) / 2 == pytest.approx(half, rel=0.1)


@pytest.mark.parametrize(
    ("student", "text"),
    [
        (0.5, "20.00 more than the teacher (95 % interval"),
        (0.85, "15.00 fewer than the teacher (95 % interval"),
        (0.7, "as many as the teacher within the uncertainty (+0.00"),
    ],
)
def test_a_sentence_says_who_loses_more(student, text):
    made = flags({"clean": 0.95, "fog": 0.75}, {"clean": 0.9, "fog": student})
    assert text in sentences(robustness(made, LABELS, 3))[1]


def test_without_a_teacher_nothing_is_compared():
    made = flags({"clean": 0.95, "fog": 0.75}, {"clean": 0.9, "fog": 0.5})
    found = robustness(made, {"student": "small"}, 3)
    assert sentences(found) == ["The student loses 40.00 points of test accuracy."]
