"""Predictions on the test set, with class names and pictures of its samples, read from the store."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file

BINS = 15
UNLABELLED = -100
READ_ERRORS = (OSError, SafetensorError, KeyError, ValueError)  # of a missing, damaged or foreign file


@dataclass(frozen=True, eq=False)
class Examples:
    """Class names and pictures of a test set.

    Attributes:
        names: of the classes; their numbers where they have no names.
        pictures: `(height, width, channels)`, uint8, of a few labelled samples by their index.
    """

    names: tuple[str, ...]
    pictures: Mapping[int, NDArray[np.uint8]]


def predictions(stage: Path) -> tuple[NDArray[np.float32], NDArray[np.int64]] | None:
    """Logits `(samples, classes)` and targets `(samples,)` of the labelled test samples of a stage.

    Args:
        stage: its folder, or the link to it in a run directory.

    Returns:
        None where the file is missing or damaged.
    """
    try:
        tensors = load_file(stage / "predictions.safetensors")
        logits, targets = tensors["logits"], tensors["targets"].reshape(-1)
        logits = logits.reshape(len(targets), -1)
    except READ_ERRORS:
        return None
    kept = targets != UNLABELLED
    return logits[kept], targets[kept]


def examples(stage: Path, classes: int) -> Examples:
    """Class names and pictures that a stage saved when it evaluated; otherwise class numbers and no pictures.

    Args:
        stage: as in `predictions`.
        classes: how many.
    """
    try:
        with safe_open(stage / "examples.safetensors", framework="numpy") as file:
            names = json.loads((file.metadata() or {})["class_names"])
            samples = file.keys()
            pictures = {int(sample): file.get_tensor(sample).transpose(1, 2, 0) for sample in samples}
    except READ_ERRORS:
        names, pictures = [], {}
    named = len(names) == classes
    return Examples(tuple(str(name).replace("_", " ") for name in (names if named else range(classes))), pictures)


def correctness(stage: Path) -> NDArray[np.bool_] | None:
    """Whether a stage's prediction is right for each labelled test sample, in the order of the test set."""
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
    """A network's reliability diagram: confidence, accuracy and samples of each bin that is not empty.

    Guo, Pleiss, Sun & Weinberger, "On Calibration of Modern Neural Networks", ICML 2017 (arXiv:1706.04599).

    Args:
        stage: as in `predictions`.
        bins: of equal width over [0, 1]; the upper edge of each belongs to the next.

    Returns:
        Confidence and accuracy in [0, 1]; weighted by samples, their distance is the expected calibration error.
    """
    found = predictions(stage)
    if found is None:
        return None
    logits, targets = found
    logits = logits - logits.max(-1, keepdims=True)
    confidence = 1 / np.exp(logits).sum(-1)
    indices = np.minimum((confidence * bins).astype(int), bins - 1)
    right = logits.argmax(-1) == targets
    return [
        (float(confidence[indices == bin].mean()), float(right[indices == bin].mean()), int((indices == bin).sum()))
        for bin in np.unique(indices)
    ]
