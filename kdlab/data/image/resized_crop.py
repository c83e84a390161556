"""Random resized crops of photographs, determined by counters."""

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image
from torch import Tensor
from torchvision.transforms import functional

from kdlab.data.seeds import Stream, generator

ASPECT_RATIOS = (3 / 4, 4 / 3)
ATTEMPTS = 10


@dataclass(frozen=True)
class ResizedCrop:
    """Part of an image, resized to a square and perhaps mirrored: the augmentation usual on ImageNet.

    The image, its index, the view and these fields determine the pixels; views are epochs, counted from 0.
    Source: Szegedy et al., "Going Deeper with Convolutions", CVPR 2015; the procedure is torchvision's.

    Args:
        size: side of the result in pixels.
        view_seed: at least 0.
        min_scale: smallest share of the image's area that a crop shows, in (0, 1].
        flip: mirror half of the crops.
        crop_fraction: what the centre crop of evaluation shows of the shorter side, in (0, 1].
    """

    size: int
    view_seed: int = 0
    min_scale: float = 0.08
    flip: bool = True
    crop_fraction: float = 0.875

    @property
    def identity(self) -> int:
        """The view that evaluation uses: resized, and cropped at the centre."""
        return -1

    def apply(self, image: Image.Image, index: int, view: int) -> Tensor:
        """One view of one RGB image: `(3, size, size)`, uint8."""
        if view == self.identity:
            resized = functional.resize(image, round(self.size / self.crop_fraction))
            shown = functional.center_crop(resized, [self.size, self.size])
        else:
            draws = generator(Stream.RESIZED_CROP, self.view_seed, view, index)
            top, left, height, width = draw_box(image.height, image.width, self.min_scale, draws)
            shown = functional.resized_crop(image, top, left, height, width, [self.size, self.size])
            if self.flip and draws.random() < 0.5:
                shown = functional.hflip(shown)
        pixels: Tensor = functional.pil_to_tensor(shown)
        return pixels


def draw_box(height: int, width: int, min_scale: float, draws: np.random.Generator) -> tuple[int, int, int, int]:
    """A random box of a share of the area in [min_scale, 1] and an aspect ratio in [3/4, 4/3], log-uniform.

    Args:
        height: of the image, in pixels.
        width: of the image, in pixels.
        min_scale: in (0, 1].
        draws: the random generator.

    Returns:
        `(top, left, height, width)`; when ten attempts do not fit, the largest centred box that does.
    """
    for _ in range(ATTEMPTS):
        area = height * width * draws.uniform(min_scale, 1)
        ratio = math.exp(draws.uniform(*np.log(ASPECT_RATIOS)))
        box_height, box_width = round(math.sqrt(area / ratio)), round(math.sqrt(area * ratio))
        if 0 < box_height <= height and 0 < box_width <= width:
            top = int(draws.integers(height - box_height, endpoint=True))
            left = int(draws.integers(width - box_width, endpoint=True))
            return top, left, box_height, box_width
    narrowest, widest = ASPECT_RATIOS
    box_height, box_width = min(height, round(width / narrowest)), min(width, round(height * widest))
    return (height - box_height) // 2, (width - box_width) // 2, box_height, box_width
