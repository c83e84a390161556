"""How a stage's training went, as its `metrics.csv` tells it."""

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
        Nothing where there is no table that can be read.
    """
    try:
        with (stage / "metrics.csv").open(newline="", encoding="utf-8") as file:
            heading, *rows = csv.reader(file)
        values = np.array([[float(cell or "nan") for cell in row] for row in rows], dtype=float)
    except (OSError, ValueError):
        return {}
    return dict(zip(heading, values.T, strict=True)) if values.shape[1:] == (len(heading),) else {}
