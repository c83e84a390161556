"""Corruptions against their definitions, written with numpy, SciPy, Pillow and colorsys."""

import colorsys
import math

import numpy as np
import pytest
import torch
import torchvision.io
from PIL import Image, ImageEnhance
from scipy.ndimage import gaussian_filter, map_coordinates
from torch import Generator

from kdlab.data.image.corruptions import CORRUPTIONS, blur, corrupted, motion_blur

SIDE = 32


@pytest.fixture(scope="module")
def images():
    """Smooth pictures, in which neighbouring pixels are alike."""
    coarse = torch.from_numpy(np.random.default_rng(0).random((6, 3, 5, 5), dtype=np.float32))
    smooth = torch.nn.functional.interpolate(coarse, (SIDE, SIDE), mode="bicubic", align_corners=True)
    return smooth.clamp(0, 1).mul(255).round().to(torch.uint8)


def changed(images, name, severity=3, **more):
    return corrupted(images, torch.arange(len(images)), name, severity, **more).double() / 255


def grey(value, count=64):
    return torch.full((count, 3, SIDE, SIDE), value, dtype=torch.uint8)


@pytest.mark.parametrize("name", CORRUPTIONS)
@pytest.mark.parametrize("severity", [1, 5])
def test_an_image_depends_on_its_position_and_on_no_other_image(name, severity, images):
    found = corrupted(images, torch.arange(len(images)), name, severity)
    assert found.dtype == torch.uint8 and found.shape == images.shape
    assert not torch.equal(found, images)
    part = corrupted(images[[4, 2]], torch.tensor([4, 2]), name, severity)
    assert torch.equal(part, found[[4, 2]])


@pytest.mark.parametrize("name", ["gaussian_noise", "shot_noise", "impulse_noise", "motion_blur", "fog"])
def test_what_is_drawn_depends_on_the_seed_and_on_the_sample(name, images):
    same = images[:1].expand(2, -1, -1, -1)
    first, second = changed(same, name)
    assert not torch.equal(first, second)
    assert not torch.equal(changed(same, name, seed=1)[0], first)


@pytest.mark.parametrize(("severity", "deviation"), [(1, 0.04), (5, 0.1)])
def test_gaussian_noise_has_its_standard_deviation(severity, deviation):
    noise = changed(grey(128), "gaussian_noise", severity) - 128 / 255
    assert noise.std() == pytest.approx(deviation, rel=0.01) and abs(noise.mean()) < 1e-3


@pytest.mark.parametrize("value", [51, 153])
def test_shot_noise_has_the_spread_of_counted_photons(value):
    found = changed(grey(value), "shot_noise", 1)
    counted = np.random.default_rng(0).poisson(value / 255 * 500, 200_000) / 500
    rounded = np.round(counted * 255) / 255
    assert found.mean() == pytest.approx(rounded.mean(), rel=0.005)
    assert found.var() == pytest.approx(rounded.var(), rel=0.02)


def test_impulse_noise_replaces_its_share_by_black_and_white_alike():
    found = changed(grey(128), "impulse_noise", 5)
    assert (found == 0).double().mean() == pytest.approx(0.035, rel=0.05)
    assert (found == 1).double().mean() == pytest.approx(0.035, rel=0.05)


def test_blur_is_a_gaussian(images):
    reference = gaussian_filter(images.numpy() / 255, (0, 0, 0.7, 0.7), mode="mirror", truncate=5)
    assert np.abs(changed(images, "blur").numpy() - reference).max() < 1 / 255


def test_lengths_grow_with_the_image():
    larger = torch.zeros(1, 3, 64, 64)
    larger[..., 32, 32] = 1
    reference = gaussian_filter(larger.numpy(), (0, 0, 2.0, 2.0), mode="mirror", truncate=5)
    assert np.abs(blur(larger, 4, [Generator()]).numpy() - reference).max() < 1e-3


def test_motion_blur_averages_along_one_line(images):
    """Shifts by 0 to 5 pixels in one direction, weighted by a Gaussian."""
    raw = images[:1].double() / 255
    found = motion_blur(raw.float(), 2, [Generator().manual_seed(3)])[0].numpy()
    angle = torch.rand((), generator=Generator().manual_seed(3)).item() * math.pi
    rows, columns = np.mgrid[:SIDE, :SIDE].astype(float)
    weights = np.exp(-(np.arange(6.0) ** 2) / (2 * 2.0**2))
    for channel in range(3):
        moved = [
            map_coordinates(
                raw[0, channel].numpy(), [rows + step * math.sin(angle), columns + step * math.cos(angle)], order=1,
                mode="mirror",
            )
            for step in range(6)
        ]  # fmt: skip
        expected = np.tensordot(weights / weights.sum(), np.stack(moved), 1)
        assert np.abs(found[channel] - expected).max() < 1e-4


def test_zoom_blur_leaves_the_centre_of_a_symmetric_image_and_smears_its_edge():
    distance = torch.hypot(*torch.meshgrid(torch.arange(32) - 15.5, torch.arange(32) - 15.5, indexing="ij"))
    disc = ((distance < 10) * 255).to(torch.uint8).expand(1, 3, -1, -1)
    found = changed(disc, "zoom_blur", 5)[0, 0]
    assert (found[distance < 8] == 1).all() and (found[distance > 15] == 0).all()
    edge = found[(distance > 10.5) & (distance < 12)]
    assert ((edge > 0) & (edge < 1)).all()


def test_fog_adds_clouds_and_keeps_the_brightest_value():
    found = changed(grey(255, 8), "fog", 2)
    clouds = found * 1.5 - 1  # white stays white where the cloud is 1, and falls to 1 / 1.5 where it is 0
    assert clouds.amin((1, 2, 3)).abs().max() < 0.01 and (clouds.amax((1, 2, 3)) - 0.5).abs().max() < 0.01
    assert torch.equal(found[:, 0], found[:, 2])


def test_the_clouds_of_a_heavy_fog_have_finer_detail():
    def roughness(severity, strength):
        clouds = changed(grey(255, 8), "fog", severity)[:, 0] * (1 + strength) / strength
        return clouds.diff(dim=1).abs().mean()

    assert roughness(5, 1.5) > 1.5 * roughness(1, 0.2)


def test_brightness_adds_to_the_value_of_hsv(images):
    found = changed(images, "brightness")
    for row, column in [(0, 0), (7, 20), (31, 31)]:
        hue, saturation, value = colorsys.rgb_to_hsv(*(images[1, :, row, column].double() / 255).tolist())
        expected = colorsys.hsv_to_rgb(hue, saturation, min(1, value + 0.15))
        assert found[1, :, row, column].tolist() == pytest.approx(expected, abs=0.6 / 255)


def test_black_gets_brighter_too():
    assert changed(grey(0, 1), "brightness", 5).unique().tolist() == pytest.approx([0.3], abs=0.5 / 255)


def test_contrast_shrinks_the_distance_to_the_mean_of_each_channel(images):
    raw = images.double() / 255
    mean = raw.mean((2, 3), keepdim=True)
    assert (changed(images, "contrast", 5) - (mean + 0.15 * (raw - mean))).abs().max() <= 0.5 / 255 + 1e-6


def test_saturation_moves_away_from_the_grey_of_pillow(images):
    picture = Image.fromarray(images[0].permute(1, 2, 0).numpy())
    expected = np.asarray(ImageEnhance.Color(picture).enhance(2.0)).transpose(2, 0, 1) / 255
    assert np.abs(changed(images, "saturation", 4)[0].numpy() - expected).max() < 2.5 / 255


def test_pixelate_shows_the_mean_of_each_of_fewer_squares(images):
    """A pixel belongs to the square in which its centre lies."""
    squares = int(SIDE * 0.65)
    places = ((np.arange(SIDE) + 0.5) * squares / SIDE).astype(int)
    members = (places == np.arange(squares)[:, None]) / np.bincount(places)[:, None]
    expected = (members @ images[0].numpy() @ members.T)[:, places][:, :, places] / 255
    assert np.abs(changed(images, "pixelate", 5)[0].numpy() - expected).max() < 1.6 / 255


@pytest.mark.filterwarnings("ignore:The image decoding")
def test_jpeg_compression_is_torchvisions(images):
    expected = torchvision.io.decode_jpeg(torchvision.io.encode_jpeg(images[0], quality=58)).double() / 255
    assert (changed(images, "jpeg_compression")[0] - expected).abs().mean() < 1 / 255


def test_images_of_one_channel_and_of_other_sizes_can_be_corrupted():
    for shape in [(2, 1, 28, 28), (2, 3, 48, 64)]:
        raw = torch.from_numpy(np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8))
        for name in CORRUPTIONS:
            assert corrupted(raw, torch.arange(2), name, 5).shape == shape
