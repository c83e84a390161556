"""Logit matching: the student copies the teacher's logits themselves.

Ba & Caruana, "Do Deep Nets Really Need to be Deep?", NeurIPS 2014 (arXiv:1312.6184).
"""

from torch import Tensor

from kdlab.losses.preconditions import check_logits


def logit_mse(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared difference of logits.

    Of logits with mean 0 it is twice what `response_kd` tends to for a high temperature (arXiv:1503.02531).

    Args:
        student: logits, `(batch, classes)` or `(batch, positions, classes)`.
        teacher: logits of the same shape; treated as a constant.

    Returns:
        Scalar, averaged over batch (and positions) and classes, as `torch.nn.functional.mse_loss`. float32 under any
        autocast.

    Raises:
        ValueError: the shapes differ.

    Examples:
        >>> from torch import tensor
        >>> from kdlab.losses import logit_mse
        >>> logit_mse(tensor([[1.0, 0.0]]), tensor([[3.0, 0.0]]))
        tensor(2.)
    """
    check_logits("logit_mse", student, teacher)
    return (student.float() - teacher.detach().float()).square().mean()
