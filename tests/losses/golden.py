"""Loss values of independent public implementations for fixed inputs; see tests/golden/."""

import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

FOLDER = Path(__file__).resolve().parents[1] / "golden"
EXPECTED: dict[str, float] = json.loads((FOLDER / "expected.json").read_text())
ARRAYS = {name: array for file in ("inputs", "modules") for name, array in np.load(FOLDER / f"{file}.npz").items()}


def golden_input(name: str) -> Tensor:
    return torch.from_numpy(ARRAYS[name])


def with_golden_weights(name: str, module: nn.Module, like: Tensor) -> nn.Module:
    """A loss with the parameters (and banks) of `<name>/…` in modules.npz, on the device of a tensor."""
    weights = {key.removeprefix(f"{name}/"): golden_input(key) for key in ARRAYS if key.startswith(f"{name}/")}
    missing, unexpected = module.load_state_dict(weights, strict=False)
    assert not unexpected and not set(missing) & {key for key, _ in module.named_parameters()}
    return module.to(like.device)
