"""Learns the threshold of a cascade in a process of its own, so that the server holds no torch."""

from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

from kdlab.errors import BadInput
from kdlab.serving.artifact import Artifact
from kdlab.serving.cascade import Point, cascade_curve, learned

SUSPICIOUS = 0.03  # by which a student may be better on validation than on test


@dataclass(frozen=True)
class Learned:
    """A cascade that was learned.

    Attributes:
        point: the cascade on the validation set.
        student_accuracy: of the student without its teacher, there.
    """

    point: Point
    student_accuracy: float

    def doubt(self, artifact: Artifact) -> str:
        """Why the threshold is probably too low: the student knows the validation samples; empty where it does not."""
        on_test = artifact.proof.get("test/accuracy")
        if on_test is None or self.student_accuracy - on_test / 100 <= SUSPICIOUS:
            return ""
        return (
            f"the student is right on {100 * self.student_accuracy:.1f} % of validation and {on_test:.1f} % of test: "
            "its weights have probably seen the validation samples, as published ones have, and the threshold is too "
            "low. Set one: serve.cascade.threshold=0.95"
        )


def learned_elsewhere(student: Artifact, teacher: Artifact, target: float) -> Learned:
    """See `learned_on_validation`; the process ends with it."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(learned_on_validation, student, teacher, target).result()


def learned_on_validation(student: Artifact, teacher: Artifact, target: float) -> Learned:
    """The cascade that defers the least and predicts as the teacher on `target` of the validation samples.

    Args:
        student: an artifact whose stage and store are at hand.
        teacher: an artifact of a network that takes the same samples.
        target: share in [0, 1].

    Raises:
        BadInput: there are no validation samples, or no store.
    """
    if student.stage_folder is None:
        raise BadInput(
            "serve.cascade.target needs the validation set of the run, and this export was copied without its store. "
            "Learn the threshold where the run is, and set it here: serve.cascade.threshold=…"
        )
    from kdlab.serving.validation import predictions  # imports torch

    ours, labels = predictions(student, student.stage_folder, "val")
    theirs, _ = predictions(teacher, student.stage_folder, "val")
    points = cascade_curve(ours, theirs, labels)
    return Learned(learned(points, target), points[0].accuracy)  # the first defers nothing
