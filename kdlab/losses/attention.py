"""Attention transfer: the student matches the teacher's spatial attention maps, not its features.

Zagoruyko & Komodakis, "Paying More Attention to Attention", ICLR 2017 (arXiv:1612.03928).
"""

import torch.nn.functional as F
from torch import Tensor

from kdlab.losses.shapes import check_maps, check_positions, to_one_size


def attention_transfer(student: Tensor, teacher: Tensor, power: float = 2.0) -> Tensor:
    """Mean squared distance of two spatial attention maps.

    The mean of |activation|^power over channels is the attention at a position, so student and teacher may differ in
    width and need no adapter. The larger features are first averaged down to the smaller height and width.

    Args:
        student: `(batch, channels, height, width)`, after the activation.
        teacher: `(batch, channels', height', width')`; treated as a constant.
        power: 1 or more; larger values emphasise the strongest positions.

    Returns:
        Scalar, averaged over batch and positions: the scale on which published weights (around 1000) are quoted;
        float32.

    Raises:
        ValueError: the features are not maps, have one position only, or the power is below 1.

    Examples:
        >>> from torch import tensor
        >>> from kdlab.losses import attention_transfer
        >>> student = tensor([[[[1.0, 0.0]]]])  # active at the first position
        >>> teacher = tensor([[[[0.0, 2.0]], [[0.0, 1.0]]]])  # at the second
        >>> attention_transfer(student, teacher)  # ((1 − 0)² + (0 − 1)²) / 2
        tensor(1.)
    """
    check_maps("attention_transfer", student, teacher)
    check_positions("attention_transfer", student, teacher)
    if not 1 <= power < float("inf"):
        raise ValueError(f"attention_transfer needs a finite power of 1 or more, got {power}; power: 2")
    own, other = to_one_size(student.float(), teacher.detach().float())
    return F.mse_loss(_attention(own, power), _attention(other, power))


def _attention(maps: Tensor, power: float) -> Tensor:
    """`(batch, positions)`, of length 1 in each sample."""
    return F.normalize(maps.abs().pow(power).mean(dim=1).flatten(1))
