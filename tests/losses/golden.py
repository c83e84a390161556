"""Loss values of independent public implementations for fixed inputs; see tests/golden/."""

import json
from pathlib import Path

import numpy as np
import torch

FOLDER = Path(__file__).resolve().parents[1] / "golden"
EXPECTED: dict[str, float] = json.loads((FOLDER / "expected.json").read_text())


def golden_input(name: str) -> torch.Tensor:
    return torch.from_numpy(np.load(FOLDER / "inputs.npz")[name])
