"""A cascade: the student answers, and defers what it is unsure of to the teacher. Pure numpy.

The student is unsure where its largest probability is below a threshold, as in Hendrycks & Gimpel, "A Baseline for
Detecting Misclassified and Out-of-Distribution Examples in Neural Networks", ICLR 2017 (arXiv:1610.02136).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]
Labels = NDArray[np.integer]


@dataclass(frozen=True)
class Point:
    """A cascade with one threshold, on one set of samples.

    Attributes:
        threshold: the student's probability below which it defers.
        deferred: share of samples that it defers.
        agreement: share of samples that the cascade labels as the teacher does.
        accuracy: share of samples that it labels correctly.
    """

    threshold: float
    deferred: float
    agreement: float
    accuracy: float


def probabilities(logits: Array) -> Array:
    """Softmax of logits `(samples, classes)`, in their type."""
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    found: Array = exponentials / exponentials.sum(axis=-1, keepdims=True)
    return found


def confidence(logits: Array) -> Array:
    """The largest probability of each sample: `(samples,)`, float32, as it is compared with the threshold."""
    found: Array = probabilities(logits.astype(np.float32)).max(axis=-1)
    return found


def cascade_curve(student: Array, teacher: Array, labels: Labels) -> list[Point]:
    """Every cascade of two networks, from one that defers nothing to one that defers everything.

    Args:
        student: logits `(samples, classes)`.
        teacher: logits of the same samples.
        labels: `(samples,)`.

    Returns:
        A point for each threshold that makes a difference, in rising order; samples that the student is equally sure
        of are deferred together.
    """
    sure = confidence(student)
    order = np.argsort(sure, kind="stable")
    ours, theirs = student.argmax(-1)[order], teacher.argmax(-1)[order]
    truth, count = labels[order], len(labels)
    agreement = _when_deferring(ours == theirs, np.ones(count, bool))
    accuracy = _when_deferring(ours == truth, theirs == truth)
    levels, firsts = np.unique(sure[order], return_index=True)
    beyond = np.nextafter(levels[-1], np.float32(2))  # no sample is as sure
    cuts = [*zip(levels, firsts, strict=True), (beyond, count)]
    return [
        Point(float(level), int(first) / count, float(agreement[first]), float(accuracy[first]))
        for level, first in cuts
    ]


def _when_deferring(student_is_right: NDArray[np.bool_], teacher_is_right: NDArray[np.bool_]) -> Array:
    """The share that is right when the first 0, 1, … all samples are deferred: `(samples + 1,)`."""
    deferred = np.concatenate([[0], np.cumsum(teacher_is_right)])
    kept = np.concatenate([np.cumsum(student_is_right[::-1])[::-1], [0]])
    found: Array = (deferred + kept) / len(student_is_right)
    return found


def learned(points: Sequence[Point], target: float) -> Point:
    """Of a curve, the cascade that defers the smallest share and predicts as the teacher on at least `target`."""
    return next(point for point in points if point.agreement >= target)  # one that defers all agrees everywhere


def at_threshold(points: Sequence[Point], threshold: float) -> Point:
    """The point of a curve that a threshold leads to, such as one that was learned on other samples."""
    return next((point for point in points if point.threshold >= threshold), points[-1])
