"""Marks losses that compare the samples of a batch with each other."""

from collections.abc import Callable
from typing import Any, TypeVar

Loss = TypeVar("Loss", bound=Callable[..., Any])


def compares_samples(loss: Loss) -> Loss:
    """Says that a loss (a function or an `nn.Module` class) needs the whole batch at once.

    Several ranks then gather the batch, in its order, before they call it; of the mean of per-sample values each rank
    can compute its own share, of distances between samples it cannot.
    """
    loss.compares_samples = True  # type: ignore[attr-defined]
    return loss
