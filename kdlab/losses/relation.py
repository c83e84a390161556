"""Relational distillation: the distances and angles between samples, not the features themselves.

Park, Kim, Lu & Cho, "Relational Knowledge Distillation", CVPR 2019 (arXiv:1904.05068).
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from kdlab.losses.batchwise import compares_samples
from kdlab.losses.directions import directions
from kdlab.losses.preconditions import check_samples


@compares_samples
def rkd_distance(student: Tensor, teacher: Tensor) -> Tensor:
    """Smooth L1 between the distances of all pairs of samples, each network's divided by its mean distance.

    Args:
        student: `(batch, ...)`, flattened.
        teacher: `(batch, ...)` of any other shape; treated as a constant.

    Returns:
        Scalar, averaged over all batch² pairs: the scale on which published weights (around 25) are quoted; 0 for a
        single sample. float32 under any autocast.

    Raises:
        ValueError: not features of the same samples.

    Examples:
        >>> from torch import tensor
        >>> from kdlab.losses import rkd_distance
        >>> student = tensor([[0.0], [1.0], [2.0]])  # distances 1, 1, 2
        >>> teacher = tensor([[0.0, 0.0], [3.0, 0.0], [0.0, 3.0]])  # 3, 3, √18
        >>> rkd_distance(student, teacher)
        tensor(0.0717)
    """
    check_samples("rkd_distance", student, teacher)
    return F.smooth_l1_loss(_distances(student), _distances(teacher.detach()))


@compares_samples
def rkd_angle(student: Tensor, teacher: Tensor) -> Tensor:
    """Smooth L1 between the cosines of the angles that all triples of samples form.

    Takes memory for batch² · features and for batch³ numbers.

    Args:
        student: `(batch, ...)`, flattened.
        teacher: `(batch, ...)` of any other shape; treated as a constant.

    Returns:
        Scalar, averaged over all batch³ triples, those that form no angle included: the scale on which published
        weights (around 50) are quoted; 0 for a single sample. float32 under any autocast.

    Raises:
        ValueError: not features of the same samples.

    Examples:
        >>> from torch import tensor
        >>> from kdlab.losses import rkd_angle
        >>> student = tensor([[0.0], [1.0], [2.0]])  # on a line
        >>> teacher = tensor([[0.0, 0.0], [3.0, 0.0], [0.0, 3.0]])  # a triangle
        >>> rkd_angle(student, teacher)
        tensor(0.1296)
    """
    check_samples("rkd_angle", student, teacher)
    return F.smooth_l1_loss(_angles(student), _angles(teacher.detach()))


def _distances(features: Tensor) -> Tensor:
    features = features.float().flatten(1)
    exact = "donot_use_mm_for_euclid_dist"  # the faster mode makes equal samples differ by rounding
    distances = torch.cdist(features, features, compute_mode=exact)
    mean = distances.sum() / max(len(features) * (len(features) - 1), 1)
    return distances / torch.where(mean > 0, mean, 1.0)


def _angles(features: Tensor) -> Tensor:
    """At `[i, j, k]` the cosine of the angle at sample i between the rays to j and k; 0 where one has no length."""
    features = features.float().flatten(1)
    rays = directions(features[None] - features[:, None])
    return rays @ rays.transpose(1, 2)
