"""Adapters: learned layers that bring features of one network to the shape of another's.

An adapter changes the width. Sizes are the business of `match_size`, which both sides go through: whichever map is
larger is averaged down to the other's height and width.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from kdlab.errors import BadInput
from kdlab.losses.shapes import pool_to, smaller_size

KINDS = {1: "a vector", 2: "tokens", 3: "a map"}


def make_adapter(own: torch.Size, other: torch.Size) -> nn.Module | None:
    """The layer that maps one network's features to the shape of another's, where the shapes differ.

    Args:
        own: shape, without the batch, of the features that go through the layer: `(features,)`,
            `(tokens, channels)` or `(channels, height, width)`.
        other: shape of the features to match, of the same kind.

    Returns:
        None where the shapes are equal. For maps a 1×1 convolution and BatchNorm, which leave their size to
        `match_size`; for maps of one position, for vectors and for each of the tokens, an affine layer.

    Raises:
        BadInput: the two are not of one kind, or not of as many tokens.
    """
    if own == other:
        return None
    if len(own) != len(other) or len(own) not in KINDS:
        raise BadInput(
            f"adapter: no layer maps {_described(own)} to {_described(other)}. Tap layers of one kind in both "
            "networks: two maps, two vectors or two sequences of tokens."
        )
    if len(own) == 3:
        return _map_adapter(own, other)
    if own[:-1] != other[:-1]:
        raise BadInput(
            f"adapter: {_described(own)} and {_described(other)} are not as many tokens, and which belong together "
            "is not known. Tap layers that see as many, or a map, or a vector."
        )
    return nn.Linear(own[-1], other[-1])


def match_size(features: Tensor, other: Sequence[int]) -> Tensor:
    """Maps averaged down to the height and width of other maps where those are smaller; the rest as it is.

    Args:
        features: `(batch, …)`.
        other: the other features' shape without the batch.
    """
    if features.ndim != 4 or len(other) != 3:
        return features
    return pool_to(features, smaller_size(features.shape, other))


def _map_adapter(own: torch.Size, other: torch.Size) -> nn.Module:
    """A single position of a single sample has no variance, so that maps of one position go without the norm."""
    if smaller_size(own, other) == (1, 1):
        return nn.Conv2d(own[0], other[0], kernel_size=1)
    return nn.Sequential(nn.Conv2d(own[0], other[0], kernel_size=1, bias=False), nn.BatchNorm2d(other[0]))


def _described(shape: torch.Size) -> str:
    return f"{KINDS.get(len(shape), 'something')} of shape {tuple(shape)}"
