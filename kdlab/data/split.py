"""Stratified splits: every part of a data set holds each class in proportion."""

import numpy as np
import torch
from torch import Tensor

from kdlab.data.seeds import Stream, generator
from kdlab.errors import BadInput


def stratified_order(labels: Tensor, seed: int) -> Tensor:
    """A random order in which every run of consecutive samples is stratified.

    In the first `k` of `n` samples each class has its share `k * n_class / n`, within one sample.
    Cutting this order at several positions gives disjoint stratified parts; a larger cut contains a smaller one.

    Args:
        labels: `(samples,)`, int64.
        seed: at least 0.

    Returns:
        `(samples,)`, int64: a permutation of `[0, samples)`.
    """
    shuffled = generator(Stream.SPLIT, seed).permutation(len(labels))
    classes = labels.numpy()[shuffled]
    position = np.empty(len(labels))
    for label in np.unique(classes):
        members = classes == label
        position[members] = (np.arange(members.sum()) + 0.5) / members.sum()
    # Classes of equal size tie at every position: the stable sort keeps the order of the shuffle.
    return torch.from_numpy(shuffled[np.argsort(position, kind="stable")])


def portion(setting: str, fraction: float, samples: int) -> int:
    """How many samples a fraction is, at least one unless the fraction is 0.

    Args:
        setting: the config key, for the message.
        fraction: in `[0, 1]`.
        samples: of the whole.

    Raises:
        BadInput: where a fraction above 0 rounds to no sample, or one below 1 to all of them.
    """
    count = round(fraction * samples)
    if (fraction > 0 and count == 0) or (fraction < 1 and count == samples > 0):
        raise BadInput(
            f"{setting}={fraction} of {samples} samples rounds to {count}: "
            f"set it to at least {1 / samples:.2g} and at most {1 - 1 / samples:.4g}"
        )
    return count
