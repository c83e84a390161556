"""Distances between the directions of two activations of one shape."""

import torch.nn.functional as F
from torch import Tensor

from kdlab.losses.shapes import check_equal


def normalised_distance(student: Tensor, teacher: Tensor, reduction: str = "sum") -> Tensor:
    """Squared distance of features that are scaled to length 1, each sample by itself.

    Args:
        student: `(batch, …)`, of any shape; `adapter: student` maps it to the teacher's.
        teacher: features of the same shape; treated as a constant.
        reduction: over the elements of a sample: "sum", or "mean" as in many tutorials, which divides by the number
            of elements.

    Returns:
        Scalar, averaged over the batch; with "sum" in [0, 4] and twice the `cosine_distance`; float32.

    Raises:
        ValueError: the shapes differ, or the reduction is neither.

    Examples:
        >>> from torch import tensor
        >>> from kdlab.losses import normalised_distance
        >>> normalised_distance(tensor([[1.0, 0.0]]), tensor([[0.0, 3.0]]))  # 1² + 1²
        tensor(2.)
    """
    check_equal("normalised_distance", student, teacher)
    if reduction not in ("sum", "mean"):
        raise ValueError(
            f"normalised_distance reduces over elements by 'sum' or 'mean', got {reduction!r}; reduction: sum"
        )
    own, other = F.normalize(student.float().flatten(1)), F.normalize(teacher.detach().float().flatten(1))
    squares = (own - other).square()
    return squares.mean() if reduction == "mean" else squares.sum(dim=1).mean()


def cosine_distance(student: Tensor, teacher: Tensor) -> Tensor:
    """1 − cosine of the angle between two samples' features.

    Args:
        student: `(batch, …)`, of any shape, each sample read as one vector; `adapter: student` maps it to the
            teacher's.
        teacher: features of the same shape; treated as a constant.

    Returns:
        Scalar in [0, 2], averaged over the batch; 1 where a sample is zero; float32.

    Raises:
        ValueError: the shapes differ.

    Examples:
        >>> from torch import tensor
        >>> from kdlab.losses import cosine_distance
        >>> cosine_distance(tensor([[1.0, 0.0]]), tensor([[0.0, 3.0]]))  # 90 degrees
        tensor(1.)
    """
    check_equal("cosine_distance", student, teacher)
    cosine = F.cosine_similarity(student.float().flatten(1), teacher.detach().float().flatten(1))
    return 1 - cosine.mean()
