"""Gradients by central differences, to compare with autograd's."""

from collections.abc import Callable

import numpy as np
import torch

STEP = 1e-5


def numeric_gradient(value: Callable[[np.ndarray], float], at: torch.Tensor) -> torch.Tensor:
    """The gradient of a function of a numpy array, in float64."""
    point = at.double().numpy()
    gradient = np.zeros_like(point)
    for index in np.ndindex(*point.shape):
        step = np.zeros_like(point)
        step[index] = STEP
        gradient[index] = (value(point + step) - value(point - step)) / (2 * STEP)
    return torch.from_numpy(gradient).float()
