"""Whether two image sets look alike: checked before a student trains on other images than it is evaluated on.

A classifier two-sample test: Lopez-Paz & Oquab, "Revisiting Classifier Two-Sample Tests", 2017 (arXiv:1610.06545).
"""

import lightning as L
import torch
import torch.nn.functional as F
from torch import Tensor

from kdlab.data.batch import BatchIndices
from kdlab.data.image.base import ImageData
from kdlab.data.image.memory import InMemory
from kdlab.data.image.transfer import Transfer
from kdlab.data.stream import sample_order

LIMIT = 0.8
"""Smallest area that gives a warning. Train against test images give 0.51, CIFAR-100 against CIFAR-10 0.58; above the
limit are mirrored digits (0.86), inverted (0.88) and blurred (0.93) CIFAR, noise and unrelated images (1.00)."""
MAX_IMAGES = 512  # of each set
MIN_IMAGES = 32  # of each set: with fewer, the area is mostly chance
MAX_FILES = 64  # images of each set to decode from files: the check should take less than a second
THUMBNAIL = 8


def transfer_warning(data: L.LightningDataModule) -> str | None:
    """A warning where the transfer set does not look like the test set; None where it does.

    Args:
        data: any data module; set up here. Only a `Transfer` can give a warning.
    """
    if not isinstance(data, Transfer):
        return None
    data.setup("fit")
    images = [sample_images(data.images, "train"), sample_images(data.of, "test")]
    if min(map(len, images)) < MIN_IMAGES or (area := distinguishability(*images)) < LIMIT:
        return None
    return (
        f"The transfer set does not look like the test set: a simple classifier tells their images apart in "
        f"{100 * area:.0f} of 100 pairs (50 where two sets look alike; this is printed from {100 * LIMIT:.0f} on). "
        "The teacher's predictions there may be of little use on the test set: compare with a run without it, or "
        "choose images closer to the test set with data@transfer=…"
    )


def distinguishability(images: Tensor, others: Tensor) -> float:
    """How well a linear discriminant tells two sets apart: the area under its ROC curve on images it was not fitted to.

    Its features are 8 by 8 thumbnails, the mean and the standard deviation of each channel, and the mean absolute
    difference of neighbouring pixels: layout, colour and contrast, and texture. Two-fold cross-validation: fitted on
    one half and measured on the other, so that overfitting does not count.

    Args:
        images: `(samples, channels, height, width)`, uint8, in random order, at least 4 samples.
        others: `(samples', channels, height, width)`, likewise.

    Returns:
        The share of pairs, one image of each set, that are ordered correctly: about 0.5 for sets that look alike,
        1 for sets that are perfectly separable.
    """
    first, second = features(images), features(others)
    return (_held_out_area(first, second, fitted=0) + _held_out_area(first, second, fitted=1)) / 2


def features(images: Tensor) -> Tensor:
    """The discriminant's features of each image: `(samples, 66 * channels + 2)`, float64.

    Args:
        images: `(samples, channels, height, width)`, uint8.
    """
    pixels = images.double() / 255
    thumbnails = F.interpolate(pixels, size=(THUMBNAIL, THUMBNAIL), mode="bilinear", antialias=True).flatten(1)
    spread, mean = torch.std_mean(pixels, dim=(2, 3), correction=0)
    steps = [pixels.diff(dim=axis).abs().sum(dim=(1, 2, 3))[:, None] / pixels[0].numel() for axis in (2, 3)]
    return torch.cat([thumbnails, mean, spread, *steps], dim=1)


def sample_images(data: ImageData, part: str) -> Tensor:
    """Raw images from the training or the test list, in random order: `(samples, channels, height, width)`, uint8.

    Args:
        data: set up.
        part: `train` or `test`.
    """
    length = data.list_size if part == "train" else data.test_size
    positions = sample_order(0, 0, length)[: MAX_IMAGES if isinstance(data, InMemory) else MAX_FILES]
    (images,) = data.inputs(part, [BatchIndices(positions, torch.full_like(positions, data.identity_view))])
    return images


def _held_out_area(first: Tensor, second: Tensor, fitted: int) -> float:
    direction = _discriminant(first[fitted::2], second[fitted::2])
    return _area(first[1 - fitted :: 2] @ direction, second[1 - fitted :: 2] @ direction)


def _discriminant(first: Tensor, second: Tensor) -> Tensor:
    """Ridge regression of the set on standardised features, as weights of the features themselves: `(features,)`."""
    both = torch.cat([first, second])
    spread, mean = torch.std_mean(both, dim=0, correction=0)
    scale = spread.clamp(min=1e-6)
    standard = (both - mean) / scale
    targets = torch.cat([-torch.ones(len(first)), torch.ones(len(second))]).double()
    covariance = standard.T @ standard / len(both)
    weights: Tensor = torch.linalg.solve(covariance + torch.eye(len(mean)), standard.T @ targets / len(both))
    return weights / scale


def _area(first: Tensor, second: Tensor) -> float:
    """The share of pairs in which the second scores higher; a tie counts half."""
    difference = second[:, None] - first
    return float((difference > 0).double().mean() + (difference == 0).double().mean() / 2)
