"""Gradients by central differences, to compare with what autograd makes of a loss."""

from collections.abc import Callable

import numpy as np
import torch

STEP = 1e-5


def numeric_gradient(value: Callable[[np.ndarray], float], at: torch.Tensor) -> torch.Tensor:
    """The gradient of a function of a numpy array, in float64."""
    point = at.double().numpy()
    gradient = np.zeros_like(point)
    for place in np.ndindex(*point.shape):
        step = np.zeros_like(point)
        step[place] = STEP
        gradient[place] = (value(point + step) - value(point - step)) / (2 * STEP)
    return torch.from_numpy(gradient).float()
