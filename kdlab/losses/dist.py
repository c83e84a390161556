"""DIST: the student's probabilities correlate with the teacher's, over classes and over samples.

Huang, You, Wang, Qian & Xu, "Knowledge Distillation from A Stronger Teacher", NeurIPS 2022 (arXiv:2205.10536).
"""

from torch import Tensor

from kdlab.losses.batchwise import compares_samples
from kdlab.losses.directions import centred_directions
from kdlab.losses.preconditions import check_logits


@compares_samples
def dist(
    student: Tensor,
    teacher: Tensor,
    inter_weight: float = 2.0,
    intra_weight: float = 2.0,
    temperature: float = 4.0,
) -> Tensor:
    """T² · (1 − Pearson's correlation) of class probabilities at temperature T: within samples, and within classes.

    A correlation matches order and proportions, not values, which a small student of a much stronger teacher cannot
    reach.

    Args:
        student: logits, `(batch, classes)`.
        teacher: logits of the same shape; treated as a constant.
        inter_weight: beta of the paper: of one sample's probabilities over the classes.
        intra_weight: gamma of the paper: of one class's probabilities over the batch; nothing for a single sample.
        temperature: T > 0; 4 for CIFAR, 1 for ImageNet.

    Returns:
        Scalar: averaged over samples, and over classes; each part lies in [0, 2 T²]. float32 under any autocast.

    Raises:
        ValueError: the shapes differ, or the temperature is not positive.

    Examples:
        >>> from torch import tensor
        >>> from kdlab.losses import dist
        >>> student, teacher = tensor([[1.0, 0.0, -1.0]]), tensor([[3.0, 0.0, -1.0]])
        >>> dist(student, teacher, temperature=1.0)  # of one sample: over classes
        tensor(0.0548)
    """
    check_logits("dist", student, teacher, temperature)
    probabilities = (student.float() / temperature).softmax(dim=1)
    target = (teacher.detach().float() / temperature).softmax(dim=1)
    value = inter_weight * _distance(probabilities, target)
    if len(student) > 1:
        value = value + intra_weight * _distance(probabilities.T, target.T)
    return temperature**2 * value


def _distance(student: Tensor, teacher: Tensor) -> Tensor:
    """1 − the mean correlation of rows; a constant row correlates with nothing."""
    return 1 - (centred_directions(student) * centred_directions(teacher)).sum(dim=1).mean()
