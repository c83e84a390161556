"""The training history of a stage, from its `metrics.csv`."""

import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Column = NDArray[np.float64]


def history(stage: Path) -> dict[str, Column]:
    """The columns of a stage's `metrics.csv`, NaN where a row has no value.

    Args:
        stage: its folder, or the link to it in a run directory.

    Returns:
        Empty where the file is missing or malformed.
    """
    try:
        with (stage / "metrics.csv").open(newline="", encoding="utf-8") as file:
            heading, *rows = csv.reader(file)
        values = np.array([[float(cell or "nan") for cell in row] for row in rows], dtype=float)
    except (OSError, ValueError):
        return {}
    return dict(zip(heading, values.T, strict=True)) if values.shape[1:] == (len(heading),) else {}
