"""Hints: the student's inner features predict the teacher's.

Romero et al., "FitNets: Hints for Thin Deep Nets", ICLR 2015 (arXiv:1412.6550).
"""

import torch.nn.functional as F
from torch import Tensor

from kdlab.losses.shapes import check_equal


def hint(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared error of the student's features.

    Args:
        student: `(batch, …)`, of any shape; `adapter: student` maps it to the teacher's.
        teacher: features of the same shape; treated as a constant.

    Returns:
        Scalar, averaged over batch and elements: the scale on which the published weight (100) is quoted; float32.

    Raises:
        ValueError: the shapes differ.

    Examples:
        >>> from torch import tensor
        >>> from kdlab.losses import hint
        >>> hint(tensor([[1.0, 2.0]]), tensor([[1.0, 4.0]]))  # (0² + 2²) / 2
        tensor(2.)
    """
    check_equal("hint", student, teacher)
    return F.mse_loss(student.float(), teacher.detach().float())
