"""Mixed training images: a blend of two, or one with a rectangle of the other.

mixup: Zhang, Cisse, Dauphin & Lopez-Paz, ICLR 2018 (arXiv:1710.09412). CutMix: Yun, Han, Oh, Chun, Choe & Yoo,
ICCV 2019 (arXiv:1905.04899). With the teacher's outputs for the same mixed image: Beyer, Zhai, Royer, Markeeva, Anil &
Kolesnikov, "Knowledge distillation: A good teacher is patient and consistent", CVPR 2022 (arXiv:2106.05237).
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor


class Mixed(NamedTuple):
    """Mixed images, and the labels that they have beside their own.

    Args:
        images: `(batch, channels, height, width)`.
        labels: of the other images: `(batch,)`, int64.
        share: of an image in its mixture, in [0, 1]; its partner has the rest.
    """

    images: Tensor
    labels: Tensor
    share: float


@dataclass(frozen=True)
class Mixing:
    """How images of a batch are mixed; where both are above 0, each batch is mixed by one of them, at even odds.

    Args:
        mixup: of a Beta distribution with both parameters equal to it, from which the share of a blend is drawn; 0 for
            none.
        cutmix: likewise, of the area that stays.
    """

    mixup: float = 0.0
    cutmix: float = 0.0

    def apply(self, images: Tensor, labels: Tensor, draws: np.random.Generator) -> Mixed:
        """Mixes each image with another one of the batch.

        Args:
            images: `(batch, channels, height, width)`, uint8.
            labels: `(batch,)`, int64.
            draws: the random generator.

        Returns:
            Images in uint8, with the exact share of each.
        """
        partners = torch.from_numpy(draws.permutation(len(images))).to(images.device)
        cuts = self.cutmix > 0 and (self.mixup == 0 or draws.random() < 0.5)
        parameter = self.cutmix if cuts else self.mixup
        share = float(draws.beta(parameter, parameter))
        if cuts:
            mixed, share = _cut(images, images[partners], share, draws)
        else:
            mixed = (share * images + (1 - share) * images[partners]).round().to(images.dtype)
        return Mixed(mixed, labels[partners], share)


def _cut(images: Tensor, others: Tensor, share: float, draws: np.random.Generator) -> tuple[Tensor, float]:
    """The images with a rectangle of the others, clipped at the border, and the share of the area that stayed."""
    height, width = images.shape[-2:]
    side = (1 - share) ** 0.5
    top, bottom = _span(height, side, int(draws.integers(height)))
    left, right = _span(width, side, int(draws.integers(width)))
    mixed = images.clone()
    mixed[..., top:bottom, left:right] = others[..., top:bottom, left:right]
    return mixed, 1 - (bottom - top) * (right - left) / (height * width)


def _span(length: int, part: float, centre: int) -> tuple[int, int]:
    half = int(length * part) // 2
    return max(0, centre - half), min(length, centre + half)
