"""What networks said of each test sample, as the store keeps it."""

from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file

BINS = 15
UNLABELLED = -100
READ = (OSError, SafetensorError, KeyError, ValueError)  # what a file that is absent, torn or foreign can raise


def predictions(stage: Path) -> tuple[NDArray[np.float32], NDArray[np.int64]] | None:
    """Logits `(samples, classes)` and targets `(samples,)` of the labelled test samples of a stage.

    Args:
        stage: its folder, or the link to it in a run directory.

    Returns:
        None where there are none that can be read.
    """
    try:
        tensors = load_file(stage / "predictions.safetensors")
        logits, targets = tensors["logits"], tensors["targets"].reshape(-1)
        logits = logits.reshape(len(targets), -1)
    except READ:
        return None
    kept = targets != UNLABELLED
    return logits[kept], targets[kept]


def correctness(stage: Path) -> NDArray[np.bool_] | None:
    """Whether a stage's network is right on each labelled test sample, in the set's order."""
    return _correctness(stage.resolve())


@lru_cache(maxsize=4096)  # one bit a sample, and baselines are shared by many runs
def _correctness(stage: Path) -> NDArray[np.bool_] | None:
    found = predictions(stage)
    if found is None:
        return None
    logits, targets = found
    right: NDArray[np.bool_] = logits.argmax(-1) == targets
    return right


def reliability(stage: Path, bins: int = BINS) -> list[tuple[float, float, int]] | None:
    """How often a network is right when it is so sure: for each bin with samples in it confidence, accuracy, samples.

    Guo, Pleiss, Sun & Weinberger, "On Calibration of Modern Neural Networks", ICML 2017 (arXiv:1706.04599).

    Args:
        stage: as of `predictions`.
        bins: of equal width over [0, 1]; the top of each belongs to the next.

    Returns:
        Confidence and accuracy in [0, 1]; weighed by samples, their distance is the expected calibration error.
    """
    found = predictions(stage)
    if found is None:
        return None
    logits, targets = found
    logits = logits - logits.max(-1, keepdims=True)
    confidence = 1 / np.exp(logits).sum(-1)
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    right = logits.argmax(-1) == targets
    return [
        (float(confidence[place == bin].mean()), float(right[place == bin].mean()), int((place == bin).sum()))
        for bin in np.unique(place)
    ]
