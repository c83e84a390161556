"""Similarity preservation: the student matches the teacher's pairwise similarities within a batch.

Tung & Mori, "Similarity-Preserving Knowledge Distillation", ICCV 2019 (arXiv:1907.09682).
"""

from torch import Tensor

from kdlab.losses.batchwise import compares_samples
from kdlab.losses.directions import directions
from kdlab.losses.preconditions import check_samples


@compares_samples
def similarity_preserving(student: Tensor, teacher: Tensor) -> Tensor:
    """Squared distance between the row-normalised Gram matrices of a batch.

    The matrices are `(batch, batch)` for any features, so student and teacher need no adapter.

    Args:
        student: `(batch, ...)`, flattened.
        teacher: `(batch, ...)` of any other shape; treated as a constant.

    Returns:
        Scalar: summed over the matrix and divided by batch², the scale on which published weights (around 3000) are
        quoted; 0 for a single sample. float32 under any autocast.

    Raises:
        ValueError: not features of the same samples.

    Examples:
        >>> from torch import tensor
        >>> from kdlab.losses import similarity_preserving
        >>> student, teacher = tensor([[3.0, 0.0], [0.0, 1.0]]), tensor([[1.0], [1.0]])
        >>> similarity_preserving(student, teacher)  # (1, 0), (0, 1); (√½, √½) twice
        tensor(0.2929)
    """
    check_samples("similarity_preserving", student, teacher)
    return (_similarities(student) - _similarities(teacher.detach())).square().mean()


def _similarities(features: Tensor) -> Tensor:
    features = features.float().flatten(1)
    return directions(features @ features.T)
