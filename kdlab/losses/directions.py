"""Directions of vectors, where some vectors may be zero."""

import torch
from torch import Tensor


def directions(vectors: Tensor, shortest: float | Tensor = 0.0) -> Tensor:
    """Scales the vectors along the last dimension to length 1.

    A vector no longer than `shortest` has no direction and is left as it is. Dividing it by a tiny constant instead,
    as is usual, gives about the same value but multiplies the gradient by the inverse of that constant.
    """
    lengths = vectors.norm(dim=-1, keepdim=True)
    return vectors / torch.where(lengths > shortest, lengths, 1.0)


def centred_directions(vectors: Tensor) -> Tensor:
    """Directions of the vectors less their means: inner products of these are Pearson's correlations.

    A vector whose entries are equal, up to rounding, has none.
    """
    rounding = 1e-6 * vectors.norm(dim=-1, keepdim=True)
    return directions(vectors - vectors.mean(dim=-1, keepdim=True), rounding.clamp(min=1e-8))
