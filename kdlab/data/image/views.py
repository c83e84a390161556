"""The label-preserving views of small images: every crop of the padded image, mirrored or not.

A view is one integer: `(index, view)` determines an augmented image, so that a teacher's output can be cached.
"""

from dataclasses import dataclass
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from kdlab.data.stream import draw_views


@dataclass(frozen=True)
class CropFlip:
    """Zero padding, a crop of the original size, then perhaps a mirror image.

    A view is `(top * n + left) * 2 + mirrored`, without `flip` `top * n + left`; `n` is `2 * padding + 1`.

    Args:
        padding: zeros added on each side of the raw image, in pixels, at least 0.
        flip: whether mirror images keep their label. Photographs: yes; digits and letters: no.
    """

    padding: int = 4
    flip: bool = False

    @property
    def count(self) -> int:
        """How many views there are: 162 for padding 4 with flips, 81 without."""
        return self._offsets**2 * self._mirrors

    @property
    def identity(self) -> int:
        """The view that leaves an image as it is."""
        return (self.padding * self._offsets + self.padding) * self._mirrors

    def apply(self, images: Tensor, view: Tensor) -> Tensor:
        """Apply each image's view: bit for bit equal to torchvision's pad, crop and hflip.

        Args:
            images: `(batch, channels, height, width)`, any dtype and device.
            view: `(batch,)`, int64, each in `[0, count)`, on the same device.

        Returns:
            As `images`, in shape and dtype.
        """
        padded = F.pad(images, (self.padding,) * 4)
        corners, pixels = self._pixel_positions(*images.shape[-2:], view.device)
        positions = corners[view, None] + pixels[view % self._mirrors]
        positions = positions[:, None].expand(-1, images.shape[1], -1)
        return padded.flatten(2).gather(2, positions).view_as(images)

    def draw(self, view_seed: int, epoch: int, samples: int) -> Tensor:
        """The view of every sample in one epoch: `draw_views` over these views."""
        return draw_views(self.count, view_seed, epoch, samples)

    @cache  # noqa: B019  # the instance is frozen; computing them takes ten small operations a step
    def _pixel_positions(self, height: int, width: int, device: torch.device) -> tuple[Tensor, Tensor]:
        """In the flattened padded image: the first pixel of each view's crop, and its pixels relative to that."""
        row = width + 2 * self.padding
        corner = torch.arange(self.count) // self._mirrors
        corners = corner // self._offsets * row + corner % self._offsets
        pixels = torch.arange(height)[:, None] * row + torch.arange(width)
        both = torch.stack([pixels, pixels.flip(1)]).flatten(1)
        return corners.to(device), both.to(device)

    @property
    def _offsets(self) -> int:
        return 2 * self.padding + 1

    @property
    def _mirrors(self) -> int:
        return 2 if self.flip else 1
