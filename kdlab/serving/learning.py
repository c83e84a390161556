"""Learns the threshold of a cascade in a process of its own, so that the server holds no torch."""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from kdlab.errors import BadInput
from kdlab.serving.artifact import Artifact
from kdlab.serving.cascade import Point, learned


def learned_elsewhere(student: Artifact, teacher: Artifact, target: float) -> Point:
    """See `learned_on_validation`; the process ends with it."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(learned_on_validation, student, teacher, target).result()


def learned_on_validation(student: Artifact, teacher: Artifact, target: float) -> Point:
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
    return learned(ours, theirs, labels, target)
