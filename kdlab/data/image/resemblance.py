"""Do two sets of images look alike? Asked before a student learns on other images than those it is judged by.

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
"""Warned about from here on. Train against test images give 0.51, CIFAR-100 against CIFAR-10 0.58; upwards of the limit
are mirrored digits (0.86), inverted (0.88) and blurred (0.93) CIFAR, noise and other worlds (1.00)."""
MOST = 512  # images of each set that are looked at
FEWEST = 32  # below, the figure is mostly chance
DECODED = 64  # of each set where every image is a file: the answer should take no second
THUMBNAIL = 8


def transfer_warning(data: L.LightningDataModule) -> str | None:
    """What to tell someone whose transfer set does not look like the test set; None where it does.

    Args:
        data: any; set up here. Only a `Transfer` can be warned about.
    """
    if not isinstance(data, Transfer):
        return None
    data.setup("fit")
    images = [some_images(data.images, "train"), some_images(data.of, "test")]
    if min(map(len, images)) < FEWEST or (told_apart := distinguishability(*images)) < LIMIT:
        return None
    return (
        f"The transfer set does not look like the test set: a simple classifier tells their images apart in "
        f"{100 * told_apart:.0f} of 100 pairs (50 where two sets look alike; this is printed from {100 * LIMIT:.0f} on). "
        "The teacher's predictions there may be of little use on the test set: compare with a run without it, or choose "
        "images closer to the test set with data@transfer=…"
    )


def distinguishability(images: Tensor, others: Tensor) -> float:
    """How well a linear discriminant tells two sets apart: the area under its ROC curve on images it was not fitted to.

    It sees 8 by 8 thumbnails, the mean and the standard deviation of each channel, and the mean absolute difference of
    neighbouring pixels: what is where, colour and contrast, and texture. Fitted on one half and measured on the other,
    both ways round, so that what it learns by heart does not count.

    Args:
        images: `(samples, channels, height, width)`, uint8, in random order, at least 4 samples.
        others: `(samples', channels, height, width)`, likewise.

    Returns:
        The share of pairs, one image of each set, that are put in the right order: about 0.5 for sets that look alike,
        1 for sets that never do.
    """
    first, second = features(images), features(others)
    return (_held_out_area(first, second, fitted=0) + _held_out_area(first, second, fitted=1)) / 2


def features(images: Tensor) -> Tensor:
    """What the discriminant sees of each image: `(samples, 66 * channels + 2)`, float64.

    Args:
        images: `(samples, channels, height, width)`, uint8.
    """
    pixels = images.double() / 255
    thumbnails = F.interpolate(pixels, size=(THUMBNAIL, THUMBNAIL), mode="bilinear", antialias=True).flatten(1)
    spread, mean = torch.std_mean(pixels, dim=(2, 3), correction=0)
    steps = [pixels.diff(dim=axis).abs().sum(dim=(1, 2, 3))[:, None] / pixels[0].numel() for axis in (2, 3)]
    return torch.cat([thumbnails, mean, spread, *steps], dim=1)


def some_images(data: ImageData, part: str) -> Tensor:
    """Raw images from the training or the test list, in random order: `(samples, channels, height, width)`, uint8.

    Args:
        data: set up.
        part: `train` or `test`.
    """
    length = data.list_size if part == "train" else data.test_size
    positions = sample_order(0, 0, length)[: MOST if isinstance(data, InMemory) else DECODED]
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
    side = torch.cat([-torch.ones(len(first)), torch.ones(len(second))]).double()
    covariance = standard.T @ standard / len(both)
    weights: Tensor = torch.linalg.solve(covariance + torch.eye(len(mean)), standard.T @ side / len(both))
    return weights / scale


def _area(first: Tensor, second: Tensor) -> float:
    """The share of pairs in which the second scores higher; a tie counts half."""
    difference = second[:, None] - first
    return float((difference > 0).double().mean() + (difference == 0).double().mean() / 2)
