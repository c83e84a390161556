"""Corrupted test images: noise, blur, weather and compression at five severities, in the style of CIFAR-10-C.

Hendrycks & Dietterich, "Benchmarking Neural Network Robustness to Common Corruptions and Perturbations", ICLR 2019
(arXiv:1903.12261). The strengths are theirs for 32 pixels, lengths in pixels grow with the image; the images are not
theirs, so figures are close to those on CIFAR-10-C and not equal.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from io import BytesIO

import torch
import torch.nn.functional as F
from PIL.Image import Image, Resampling
from PIL.Image import open as open_image
from torch import Generator, Tensor
from torchvision.transforms.v2.functional import adjust_saturation, gaussian_blur, pil_to_tensor, to_pil_image

from kdlab.data.seeds import Stream, derive_seed

SIDE = 32  # pixels for which the lengths below are stated

Generators = Sequence[Generator]
Corrupt = Callable[[Tensor, int, Generators], Tensor]
"""Images `(images, channels, height, width)` in [0, 1], a severity from 0 on, and a generator for each image."""


def corrupted(images: Tensor, samples: Tensor, name: str, severity: int, seed: int = 0) -> Tensor:
    """Raw images with one corruption; each depends on its position in the list, and on no other image of the batch.

    Args:
        images: `(images, channels, height, width)`, uint8.
        samples: `(images,)`, their positions in the test list.
        name: of `CORRUPTIONS`.
        severity: 1 to 5.
        seed: of whatever is drawn.

    Returns:
        As `images`, in shape and dtype, on the CPU.
    """
    number = list(CORRUPTIONS).index(name)
    seeds = [derive_seed(Stream.CORRUPTIONS, seed, number, sample) for sample in samples.tolist()]
    generators = [Generator().manual_seed(one) for one in seeds]
    found = CORRUPTIONS[name](images.cpu().float() / 255, severity - 1, generators)
    return found.clamp(0, 1).mul(255).round().to(torch.uint8)


def gaussian_noise(images: Tensor, severity: int, generators: Generators) -> Tensor:
    """The noise of a sensor in little light."""
    return images + (0.04, 0.06, 0.08, 0.09, 0.1)[severity] * _drawn(torch.randn, images, generators)


def shot_noise(images: Tensor, severity: int, generators: Generators) -> Tensor:
    """Counts of photons: noise that grows with the light."""
    photons = (500, 250, 100, 75, 50)[severity]
    counts = [torch.poisson(image * photons, one) for image, one in zip(images, generators, strict=True)]
    return torch.stack(counts) / photons


def impulse_noise(images: Tensor, severity: int, generators: Generators) -> Tensor:
    """Values that are 0 or 1 instead of what they were."""
    share = (0.01, 0.02, 0.03, 0.05, 0.07)[severity]
    drawn = _drawn(torch.rand, images, generators)
    return torch.where(drawn < share / 2, 0.0, torch.where(drawn > 1 - share / 2, 1.0, images))


def blur(images: Tensor, severity: int, generators: Generators) -> Tensor:
    """Out of focus, as a Gaussian."""
    sigma = (0.4, 0.6, 0.7, 0.8, 1.0)[severity] * _side(images)
    blurred: Tensor = gaussian_blur(images, [2 * math.ceil(3 * sigma) + 1] * 2, [sigma] * 2)
    return blurred


def motion_blur(images: Tensor, severity: int, generators: Generators) -> Tensor:
    """A camera that moves along a line, each image in a direction of its own."""
    sigma = (1.0, 1.5, 2.0, 2.0, 2.5)[severity] * _side(images)
    reach = math.ceil((6, 6, 6, 8, 9)[severity] * _side(images))
    angles = torch.stack([torch.rand((), generator=one) for one in generators]) * math.pi
    steps = torch.arange(reach, dtype=torch.float32)
    weights = torch.exp(-(steps**2) / (2 * sigma**2))
    padded = F.pad(images, (reach,) * 4, mode="replicate" if reach >= min(images.shape[-2:]) else "reflect")
    moved = sum(
        weight * _shifted(padded, reach, step * angles.cos(), step * angles.sin())
        for weight, step in zip(weights / weights.sum(), steps, strict=True)
    )
    assert isinstance(moved, Tensor)
    return moved


def zoom_blur(images: Tensor, severity: int, generators: Generators) -> Tensor:
    """A camera that moves towards what it sees: the mean of enlarged images."""
    hundredths = (6, 11, 16, 21, 26)[severity]
    sizes = images.shape[-2:]
    mean = images.clone()
    for factor in (1 + one / 100 for one in range(hundredths)):
        larger = [math.ceil(size * factor) for size in sizes]
        enlarged = F.interpolate(images, larger, mode="bilinear", align_corners=False)
        top, left = ((large - size) // 2 for large, size in zip(larger, sizes, strict=True))
        mean += enlarged[..., top : top + sizes[0], left : left + sizes[1]]
    return mean / (hundredths + 1)


def fog(images: Tensor, severity: int, generators: Generators) -> Tensor:
    """A haze of clouds in every size, the small ones fainter."""
    strength, fainter = ((0.2, 3.0), (0.5, 3.0), (0.75, 2.5), (1.0, 2.0), (1.5, 1.75))[severity]
    largest = images.amax((1, 2, 3), keepdim=True)
    return (images + strength * _clouds(images, fainter, generators)) * largest / (largest + strength)


def brightness(images: Tensor, severity: int, generators: Generators) -> Tensor:
    """More light: a higher value in HSV, with hue and saturation kept."""
    value = images.amax(1, keepdim=True)
    brighter = (value + (0.05, 0.1, 0.15, 0.2, 0.3)[severity]).clamp(max=1)
    return torch.where(value > 0, images * brighter / value.clamp(min=1e-6), brighter)


def contrast(images: Tensor, severity: int, generators: Generators) -> Tensor:
    """Nearer to the mean of each channel."""
    mean = images.mean((2, 3), keepdim=True)
    return mean + (images - mean) * (0.75, 0.5, 0.4, 0.3, 0.15)[severity]


def saturation(images: Tensor, severity: int, generators: Generators) -> Tensor:
    """Nearly grey at severities 1 and 2, glaring from 3 on."""
    changed: Tensor = adjust_saturation(images, (0.3, 0.1, 1.5, 2.0, 2.5)[severity])
    return changed


def pixelate(images: Tensor, severity: int, generators: Generators) -> Tensor:
    """Fewer pixels, shown as large squares."""
    share = (0.95, 0.9, 0.85, 0.75, 0.65)[severity]

    def change(picture: Image) -> Image:
        smaller = picture.resize([max(1, int(side * share)) for side in picture.size], Resampling.BOX)
        return smaller.resize(picture.size, Resampling.BOX)

    return _of_pictures(images, change)


def jpeg_compression(images: Tensor, severity: int, generators: Generators) -> Tensor:
    """Saved as JPEG in low quality."""

    def change(picture: Image) -> Image:
        file = BytesIO()
        picture.save(file, "JPEG", quality=(80, 65, 58, 50, 40)[severity])
        return open_image(file)

    return _of_pictures(images, change)


CORRUPTIONS: Mapping[str, Corrupt] = {
    function.__name__: function
    for function in (
        gaussian_noise,
        shot_noise,
        impulse_noise,
        blur,
        motion_blur,
        zoom_blur,
        fog,
        brightness,
        contrast,
        saturation,
        pixelate,
        jpeg_compression,
    )
}


def _drawn(draw: Callable[..., Tensor], images: Tensor, generators: Generators) -> Tensor:
    """Numbers of the shape of the images, each image's from its own generator."""
    return torch.stack([draw(images.shape[1:], generator=one) for one in generators])


def _of_pictures(images: Tensor, change: Callable[[Image], Image]) -> Tensor:
    """The images, each changed as a picture of Pillow's."""
    pixels = images.mul(255).round().to(torch.uint8)
    return torch.stack([pil_to_tensor(change(to_pil_image(one))) for one in pixels]).float() / 255


def _side(images: Tensor) -> float:
    """How much longer than 32 pixels the shorter side is."""
    return min(images.shape[-2:]) / SIDE


def _shifted(padded: Tensor, margin: int, right: Tensor, down: Tensor) -> Tensor:
    """The images inside of a margin, each shifted by a fraction of pixels: bilinear.

    Args:
        padded: `(images, channels, height + 2 * margin, width + 2 * margin)`.
        margin: in pixels; no shift is longer.
        right: `(images,)`, in pixels.
        down: likewise.
    """
    height, width = (side - 2 * margin for side in padded.shape[-2:])
    rows = torch.arange(height) + margin + down[:, None]
    columns = torch.arange(width) + margin + right[:, None]
    vertical, horizontal = (
        (2 * places / (side - 1) - 1) for places, side in zip((rows, columns), padded.shape[-2:], strict=True)
    )
    grid = torch.stack(
        [horizontal[:, None, :].expand(-1, height, -1), vertical[:, :, None].expand(-1, -1, width)], dim=-1
    )
    return F.grid_sample(padded, grid, mode="bilinear", padding_mode="border", align_corners=True)


def _clouds(images: Tensor, fainter: float, generators: Generators) -> Tensor:
    """Noise in octaves, `(images, 1, height, width)` in [0, 1]: each half as large is so many times fainter."""
    sizes = images.shape[-2:]
    octaves = max(1, math.ceil(math.log2(max(sizes))))
    clouds = torch.zeros(len(images), 1, *sizes)
    for octave in range(1, octaves + 1):
        cells = [1, 2**octave + 1, 2**octave + 1]
        coarse = torch.stack([torch.rand(cells, generator=one) for one in generators])
        clouds += F.interpolate(coarse, sizes, mode="bilinear", align_corners=True) / fainter ** (octave - 1)
    lowest, highest = clouds.amin((2, 3), keepdim=True), clouds.amax((2, 3), keepdim=True)
    return (clouds - lowest) / (highest - lowest).clamp(min=1e-6)
