"""Noise to train on. A module of its own: the plain loop must not import what kdlab's data sets import."""

import torch
from torch import Tensor


def noise(samples: int, classes: int, side: int) -> tuple[Tensor, Tensor]:
    """The same images each time, with labels that cycle through the classes.

    Args:
        samples: how many.
        classes: how many.
        side: in pixels.

    Returns:
        `(samples, 3, side, side)`, uint8, and `(samples,)`, int64.
    """
    random = torch.Generator().manual_seed(samples)
    images = torch.randint(0, 256, (samples, 3, side, side), generator=random, dtype=torch.uint8)
    return images, torch.arange(samples) % classes
