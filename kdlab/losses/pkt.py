"""Probabilistic knowledge transfer: matches the probabilities that samples are neighbours.

Passalis & Tefas, "Learning Deep Representations with Probabilistic Knowledge Transfer", ECCV 2018 (arXiv:1803.10837).
"""

from torch import Tensor

from kdlab.losses.batchwise import compares_samples
from kdlab.losses.directions import directions
from kdlab.losses.preconditions import check_samples

EPSILON = 1e-7  # that of the published implementation


@compares_samples
def pkt(student: Tensor, teacher: Tensor) -> Tensor:
    """KL(teacher ‖ student) of the probability that one sample picks another as its neighbour, by cosine similarity.

    Args:
        student: `(batch, ...)`, flattened.
        teacher: `(batch, ...)` of any other shape; treated as a constant.

    Returns:
        Scalar in nats, averaged over all batch² pairs: the scale on which published weights (around 30000) are
        quoted; 0 for a single sample. float32 under any autocast.

    Raises:
        ValueError: not features of the same samples.

    Examples:
        >>> from torch import tensor
        >>> from kdlab.losses import pkt
        >>> student = tensor([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
        >>> teacher = tensor([[0.0, 2.0], [2.0, 0.0], [2.0, 1.0]])
        >>> pkt(student, teacher)
        tensor(0.0011)
    """
    check_samples("pkt", student, teacher)
    ours, theirs = _neighbours(student), _neighbours(teacher.detach())
    return (theirs * ((theirs + EPSILON) / (ours + EPSILON)).log()).mean()


def _neighbours(features: Tensor) -> Tensor:
    """Row i: how likely sample i is to pick each sample, itself included."""
    units = directions(features.float().flatten(1))
    similarities = ((units @ units.T + 1) / 2).clamp(min=0)  # rounding may pass a cosine of −1
    return similarities / similarities.sum(dim=1, keepdim=True)
