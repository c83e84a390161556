"""Correlation congruence: the student's errors on neighbouring samples of the batch are orthogonal.

Peng, Jin, Liu, Li, Wu, Liu, Zhou & Zhang, "Correlation Congruence for Knowledge Distillation", ICCV 2019
(arXiv:1904.01802), in the form of the authors' code.
"""

from torch import Tensor

from kdlab.losses.batchwise import compares_samples
from kdlab.losses.shapes import check_equal


@compares_samples
def correlation_congruence(student: Tensor, teacher: Tensor) -> Tensor:
    """Inner product of the absolute errors |student − teacher| on each sample and on the next of the batch.

    Args:
        student: `(batch, ...)`, flattened.
        teacher: of the same shape; treated as a constant.

    Returns:
        Scalar: summed over features, averaged over the pairs of neighbours: the scale on which published weights
        (around 0.02) are quoted; 0 for a single sample. float32 under any autocast.

    Raises:
        ValueError: the shapes differ.

    Examples:
        >>> from torch import tensor
        >>> from kdlab.losses import correlation_congruence
        >>> student = tensor([[1.0, 2.0], [3.0, 0.0]])
        >>> teacher = tensor([[0.0, 0.0], [1.0, 0.0]])
        >>> correlation_congruence(student, teacher)  # errors (1, 2) and (2, 0)
        tensor(2.)
    """
    check_equal("correlation_congruence", student, teacher)
    errors = (student.float() - teacher.detach().float()).abs()
    return (errors[:-1] * errors[1:]).sum() / max(len(errors) - 1, 1)
