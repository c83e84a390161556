"""The curve of a cascade and its threshold, beside a search that tries every threshold."""

import numpy as np
import pytest
from scipy.special import softmax

from kdlab.serving.cascade import at_threshold, cascade_curve, confidence, learned, probabilities


def networks(count=60, classes=4, seed=0, ties=False):
    """Logits of a student and a teacher, and labels."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes, count)
    teacher = random.normal(size=(count, classes)) + 3 * np.eye(classes)[labels]
    student = random.normal(size=(count, classes)) + 1.5 * np.eye(classes)[labels]
    if ties:
        student = np.round(student)
    return student.astype(np.float32), teacher.astype(np.float32), labels


def cascaded(student, teacher, threshold):
    """The labels of a cascade, and which samples were deferred, sample by sample."""
    deferred = np.array([softmax(one).max() < threshold for one in student])
    return np.where(deferred, teacher.argmax(1), student.argmax(1)), deferred


def test_probabilities_are_a_softmax_also_of_large_logits():
    logits = np.array([[1000.0, 0.0], [-1000.0, -1001.0]])
    np.testing.assert_allclose(probabilities(logits), softmax(logits, axis=1))


@pytest.mark.parametrize("ties", [False, True])
def test_each_point_is_the_cascade_with_its_threshold(ties):
    student, teacher, labels = networks(ties=ties)
    points = cascade_curve(student, teacher, labels)
    for point in points:
        found, deferred = cascaded(student, teacher, np.float32(point.threshold))
        assert point.deferred == deferred.mean()
        assert point.accuracy == (found == labels).mean()
        assert point.agreement == (found == teacher.argmax(1)).mean()
    assert (points[0].deferred, points[-1].deferred, points[-1].agreement) == (0, 1, 1)
    assert len(points) == len(np.unique(confidence(student))) + 1


@pytest.mark.parametrize("target", [0.0, 0.8, 0.95, 0.99, 1.0])
@pytest.mark.parametrize("seed", range(3))
def test_the_threshold_defers_the_least_that_reaches_the_target(target, seed):
    student, teacher, labels = networks(seed=seed)
    point = learned(cascade_curve(student, teacher, labels), target)
    sure = np.sort(np.float32(softmax(student, axis=1).max(1)))
    tried = [cascaded(student, teacher, threshold) for threshold in (*sure, np.float32(1.1))]
    enough = [deferred.mean() for found, deferred in tried if (found == teacher.argmax(1)).mean() >= target]
    assert point.agreement >= target
    assert point.deferred == min(enough)


def test_a_student_that_is_sure_of_everything_still_defers_all_where_it_must():
    student = np.array([[99.0, 0.0], [99.0, 0.0]], np.float32)
    point = learned(cascade_curve(student, -student, np.zeros(2, int)), 1.0)
    assert point.deferred == 1 and (confidence(student) < np.float32(point.threshold)).all()


def test_a_threshold_of_other_samples_is_found_on_a_curve():
    student, teacher, labels = networks()
    points = cascade_curve(student, teacher, labels)
    for threshold in (0.0, 0.5, 0.77, 2.0):
        _, deferred = cascaded(student, teacher, threshold)
        assert at_threshold(points, threshold).deferred == deferred.mean()
