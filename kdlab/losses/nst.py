"""Neuron selectivity transfer: matches the distributions of channel activation patterns.

Huang & Wang, "Like What You Like: Knowledge Distill via Neuron Selectivity Transfer", 2017 (arXiv:1707.01219).
"""

import torch.nn.functional as F
from torch import Tensor

from kdlab.losses.shapes import check_maps, check_positions, to_one_size


def nst(student: Tensor, teacher: Tensor) -> Tensor:
    """Squared maximum mean discrepancy between the channels of two maps, with the kernel (xᵀy)².

    Each channel is one sample of a distribution over positions, scaled to length 1, so student and teacher may
    differ in width. The larger maps are first averaged down to the smaller height and width.

    Args:
        student: `(batch, channels, height, width)`.
        teacher: `(batch, channels', height', width')`; treated as a constant.

    Returns:
        Scalar, each of the three kernel terms averaged over batch and pairs of channels: the scale on which the
        published weight (50) is quoted; float32.

    Raises:
        ValueError: the features are not maps, or have one position only.

    Examples:
        >>> from torch import tensor
        >>> from kdlab.losses import nst
        >>> student, teacher = tensor([[[[1.0, 0.0]]]]), tensor([[[[0.0, 2.0]]]])
        >>> nst(student, teacher)  # 1 + 1 − 2 · 0: no position in common
        tensor(2.)
    """
    check_maps("nst", student, teacher)
    check_positions("nst", student, teacher)
    sized = to_one_size(student.float(), teacher.detach().float())
    own, other = (F.normalize(maps.flatten(2), dim=2) for maps in sized)  # (batch, channels, positions)
    return _kernel(own, own) + _kernel(other, other) - 2 * _kernel(own, other)


def _kernel(first: Tensor, second: Tensor) -> Tensor:
    return (first @ second.mT).square().mean()
