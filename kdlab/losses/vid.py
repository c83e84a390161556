"""Variational information distillation: the teacher's activations are predicted from the student's.

Ahn, Hu, Damianou, Lawrence & Dai, "Variational Information Distillation for Knowledge Transfer", CVPR 2019
(arXiv:1904.05835).
"""

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kdlab.errors import BadInput
from kdlab.losses.map_shapes import check_map_shapes
from kdlab.losses.shapes import check_maps, to_one_size


class VariationalInformation(nn.Module):
    """Negative log-likelihood of the teacher's map under a Gaussian that is predicted from the student's.

    Minimising it raises a lower bound on the mutual information of the two maps. The Gaussian's mean comes from three
    1×1 convolutions, its variance is learned for each channel of the teacher.

    Args:
        student_shape: `(channels, height, width)` of the student's map.
        teacher_shape: `(channels', height', width')` of the teacher's; the larger map is averaged down to the smaller.
        initial_variance: of every channel before training; above `minimum_variance`.
        minimum_variance: above 0; the learned variance stays above it.

    Raises:
        BadInput: the features are not maps, or a variance is out of its range.

    Examples:
        >>> import torch
        >>> from kdlab.losses import VariationalInformation
        >>> shapes = torch.Size([2, 4, 4]), torch.Size([3, 4, 4])
        >>> loss = VariationalInformation(*shapes, initial_variance=4.0)
        >>> value = loss(torch.zeros(1, 2, 4, 4), torch.zeros(1, 3, 4, 4))
        >>> round(value.item(), 4)  # ½ · log 4: there is no error
        0.6931
    """

    def __init__(
        self,
        student_shape: torch.Size,
        teacher_shape: torch.Size,
        initial_variance: float = 5.0,
        minimum_variance: float = 1e-5,
    ) -> None:
        super().__init__()
        check_map_shapes("VariationalInformation", student_shape, teacher_shape)
        if not 0 < minimum_variance < initial_variance < math.inf:
            raise BadInput(
                "VariationalInformation needs 0 < minimum_variance < initial_variance, got minimum_variance "
                f"{minimum_variance} and initial_variance {initial_variance}; minimum_variance: 1e-5, "
                "initial_variance: 5"
            )
        self.minimum_variance = minimum_variance
        self.predict_mean = _regressor(student_shape[0], teacher_shape[0])
        raw = _inverse_softplus(initial_variance - minimum_variance)
        self.raw_variance = nn.Parameter(torch.full((teacher_shape[0],), raw))

    @property
    def variance(self) -> Tensor:
        """Of each channel of the teacher, `(channels',)`."""
        return F.softplus(self.raw_variance) + self.minimum_variance

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """½ · ((teacher − mean)² / variance + log variance): the constant ½ · log 2π is left out.

        Args:
            student: `(batch, channels, height, width)`.
            teacher: `(batch, channels', height', width')`; treated as a constant.

        Returns:
            Scalar in nats, averaged over batch, channels and positions: the scale on which the published weight (1) is
            quoted. Below 0 where the prediction is good; float32.

        Raises:
            ValueError: the features are not maps.
        """
        check_maps("VariationalInformation", student, teacher)
        own, other = to_one_size(student.float(), teacher.detach().float())
        mean: Tensor = self.predict_mean(own)
        variance = self.variance[:, None, None]
        return 0.5 * ((other - mean).square() / variance + variance.log()).mean()


def _regressor(own: int, other: int) -> nn.Module:
    widths = (own, other, other, other)
    layers = [nn.Conv2d(before, after, kernel_size=1, bias=False) for before, after in pairwise(widths)]
    return nn.Sequential(layers[0], nn.ReLU(), layers[1], nn.ReLU(), layers[2])


def _inverse_softplus(value: float) -> float:
    return value + math.log(-math.expm1(-value))
