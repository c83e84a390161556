"""Standardised logits: the student matches the teacher's logits up to their mean and scale.

Sun, Ren, Li, Wang & Cao, "Logit Standardization in Knowledge Distillation", CVPR 2024 (arXiv:2403.01427).
"""

import math

from torch import Tensor

from kdlab.losses.directions import centred_directions
from kdlab.losses.preconditions import check_logits
from kdlab.losses.response import response_kd


def standardised_kd(student: Tensor, teacher: Tensor, temperature: float = 2.0) -> Tensor:
    """T² · KL(teacher ‖ student) at temperature T, with each sample's logits standardised to mean 0 and deviation 1.

    Args:
        student: logits, `(batch, classes)` or `(batch, positions, classes)`; at least two classes.
        teacher: logits of the same shape; treated as a constant.
        temperature: T > 0.

    Returns:
        Scalar in nats: summed over classes, averaged over the batch (and positions). float32 under any autocast.

    Raises:
        ValueError: the shapes differ, or the temperature is not positive.

    Examples:
        >>> from torch import tensor
        >>> from kdlab.losses import standardised_kd
        >>> student, teacher = tensor([[1.0, 0.0, -1.0]]), tensor([[3.0, 0.0, -1.0]])
        >>> standardised_kd(student, teacher), standardised_kd(student, 5 * teacher)
        (tensor(0.0218), tensor(0.0218))
    """
    check_logits("standardised_kd", student, teacher, temperature)
    return response_kd(_standardise(student), _standardise(teacher), temperature)


def _standardise(logits: Tensor) -> Tensor:
    """Each row with mean 0 and (unbiased) deviation 1; equal logits all 0."""
    return centred_directions(logits.float()) * math.sqrt(logits.shape[-1] - 1)
