"""Factor transfer: a paraphraser compresses the teacher's maps to factors, which the student's translator matches.

Kim, Park & Kwak, "Paraphrasing Complex Network: Network Compression via Factor Transfer", NeurIPS 2018
(arXiv:1802.04977).
"""

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kdlab.errors import BadInput
from kdlab.losses.batchwise import compares_samples
from kdlab.losses.map_shapes import check_map_shapes
from kdlab.losses.shapes import check_maps, check_positions, smaller_size, to_one_size


def factor_transfer(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean absolute difference of two factors' energies at each position, scaled to length 1 in each sample.

    The energy is the mean square over channels. The larger map is first averaged down to the smaller.

    Args:
        student: factors, `(batch, channels, height, width)`.
        teacher: `(batch, channels', height', width')`; treated as a constant.

    Returns:
        Scalar, averaged over batch and positions: the scale on which the published weight (200) is quoted; float32.

    Raises:
        ValueError: the factors are not maps, or have one position only.

    Examples:
        >>> from torch import tensor
        >>> from kdlab.losses import factor_transfer
        >>> student, teacher = tensor([[[[1.0, 0.0]]]]), tensor([[[[0.0, 2.0]]]])
        >>> factor_transfer(student, teacher)  # (|1 − 0| + |0 − 1|) / 2
        tensor(1.)
    """
    check_maps("factor_transfer", student, teacher)
    check_positions("factor_transfer", student, teacher)
    own, other = to_one_size(student.float(), teacher.detach().float())
    return F.l1_loss(_energy(own), _energy(other))


@compares_samples  # through BatchNorm
class FactorTransfer(nn.Module):
    """`factor_transfer` between the outputs of a translator (student) and of a paraphraser (teacher).

    The paraphraser is an autoencoder of the teacher's maps. In the paper it is trained beforehand; here it is
    trained together with the student, with BatchNorm so that the student's learning rate suits it.

    Args:
        student_shape: `(channels, height, width)` of the student's map.
        teacher_shape: `(channels', height', width')` of the teacher's.
        rate: above 0, how many channels the factors have for each of the teacher's.
        reconstruction_weight: above 0; of the autoencoder's mean squared error, beside 1 for the transfer. At the
            published weight of the whole, 200, the error counts once.

    Raises:
        BadInput: the features are not maps or have one position only, or a number is out of its range.

    Examples:
        >>> import torch
        >>> from kdlab.losses import FactorTransfer
        >>> loss = FactorTransfer(torch.Size([4, 8, 8]), torch.Size([6, 4, 4]))
        >>> loss(torch.randn(2, 4, 8, 8), torch.randn(2, 6, 4, 4)).shape
        torch.Size([])
    """

    def __init__(
        self,
        student_shape: torch.Size,
        teacher_shape: torch.Size,
        rate: float = 0.5,
        reconstruction_weight: float = 0.005,
    ) -> None:
        super().__init__()
        check_map_shapes("FactorTransfer", student_shape, teacher_shape)
        _check_settings(student_shape, teacher_shape, rate, reconstruction_weight)
        own, other = student_shape[0], teacher_shape[0]
        factors = max(int(rate * other), 1)
        self.reconstruction_weight = reconstruction_weight
        self.translate = _layers(nn.Conv2d, own, own, factors, factors)
        self.paraphrase = _layers(nn.Conv2d, other, other, factors, factors)
        self.reconstruct = _layers(nn.ConvTranspose2d, factors, factors, other, other)

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """The transfer, which trains student and translator, and the reconstruction, which trains the paraphraser.

        Args:
            student: `(batch, channels, height, width)`.
            teacher: `(batch, channels', height', width')`; treated as a constant.

        Returns:
            Scalar: `factor_transfer` plus `reconstruction_weight` times the error averaged over all elements; float32.
        """
        original = teacher.detach().float()
        factors = self.paraphrase(original)
        reconstruction = F.mse_loss(self.reconstruct(factors), original)
        return factor_transfer(self.translate(student.float()), factors) + self.reconstruction_weight * reconstruction


def _energy(maps: Tensor) -> Tensor:
    """`(batch, positions)`, of length 1 in each sample."""
    return F.normalize(maps.square().mean(dim=1).flatten(1))


def _layers(convolution: type[nn.Conv2d] | type[nn.ConvTranspose2d], *widths: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [convolution(before, after, kernel_size=3, padding=1), nn.BatchNorm2d(after), nn.LeakyReLU(0.1)]
    return nn.Sequential(*layers)


def _check_settings(student: torch.Size, teacher: torch.Size, rate: float, reconstruction_weight: float) -> None:
    if smaller_size(student, teacher) == (1, 1):
        raise BadInput(
            "FactorTransfer needs maps of more than one position, got student "
            f"{tuple(student)} and teacher {tuple(teacher)}; tap an earlier layer or raise image_size."
        )
    if not 0 < rate < math.inf:
        raise BadInput(f"FactorTransfer needs a rate above 0, got {rate}; rate: 0.5")
    if not 0 < reconstruction_weight < math.inf:
        raise BadInput(
            "FactorTransfer needs a reconstruction_weight above 0 (nothing else trains the paraphraser), "
            f"got {reconstruction_weight}; reconstruction_weight: 0.005"
        )
