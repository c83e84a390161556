"""Marks losses that compare the samples of a batch with each other."""

from collections.abc import Callable
from typing import Any, TypeVar

Loss = TypeVar("Loss", bound=Callable[..., Any])


def compares_samples(loss: Loss) -> Loss:
    """Marks a loss (a function or an `nn.Module` class) that needs the whole batch at once.

    Under DDP the ranks gather the batch, in its order, before they call it. A mean of per-sample values can be computed
    rank by rank; distances between samples cannot.
    """
    loss.compares_samples = True  # type: ignore[attr-defined]
    return loss
