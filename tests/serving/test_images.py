"""Image files become what evaluation sees of the same image, and everything else is refused."""

import io
import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image, ImageFile

from kdlab.data.image.memory import resize
from kdlab.data.image.resized_crop import ResizedCrop
from kdlab.errors import BadInput
from kdlab.serving.images import Images, _crop_fraction
from kdlab.serving.refusals import Refused
from tests.serving.tiny import picture


def noise(height, width, seed=0):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def encoded(image, kind="PNG", **options):
    content = io.BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()


@pytest.mark.parametrize("size", [(8, 8), (20, 20), (9, 31), (5, 4)])
def test_it_is_resized_as_data_in_memory_are(size):
    image = noise(*size)
    found = Images(8, 8, "RGB", None, 10**6).rows(encoded(image))
    raw = torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1)[None]
    expected = resize(raw, 8).numpy()
    assert found.shape == (1, 3, 8, 8) and found.dtype == np.uint8
    assert np.abs(found.astype(int) - expected.astype(int)).max() <= 1  # they round at other places


@pytest.mark.parametrize("size", [(40, 40), (41, 63), (99, 33), (16, 200)])
def test_it_is_cropped_as_evaluation_crops_image_folders(size):
    image = noise(*size)
    found = Images(24, 24, "RGB", 0.875, 10**6).rows(encoded(image))
    views = ResizedCrop(24, crop_fraction=0.875)
    np.testing.assert_array_equal(found[0], views.apply(image, 0, views.identity).numpy())


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_it_takes_three_kinds_of_files_and_gives_the_channels_of_the_model(kind, mode):
    content = encoded(noise(8, 8).convert("L"), kind)
    assert Images(8, 8, mode, None, 64).rows(content).shape == (1, len(mode), 8, 8)


@pytest.mark.parametrize("mode", ["P", "RGBA", "LA", "1", "I;16"])
def test_it_takes_every_mode_of_an_image(mode):
    content = encoded(Image.new(mode, (8, 8)))
    assert Images(8, 8, "RGB", None, 64).rows(content).shape == (1, 3, 8, 8)


def bomb(width, height):
    """A PNG of a few bytes that says it has so many pixels."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(2000, 2000), (40_000, 40_000)])
def test_an_image_with_too_many_pixels_is_refused_before_it_is_decoded(size, monkeypatch):
    monkeypatch.setattr(ImageFile.ImageFile, "load", None)  # would raise a TypeError
    with pytest.raises(Refused, match=r"an image may have 1 megapixels, got (2000 x 2000|more) pixels") as refused:
        Images(8, 8, "RGB", None, 10**6).rows(bomb(*size))
    assert refused.value.status == 413


BROKEN = {
    "nothing": b"",
    "text": b"no image",
    "a cut PNG": picture(size=(64, 64))[:60],
    "a longer PNG": encoded(noise(64, 64))[:-500],
    "a cut JPEG": picture(size=(64, 64), kind="JPEG")[:-200],
    "BMP": encoded(noise(8, 8), "BMP"),
    "GIF": encoded(noise(8, 8), "GIF"),
    "SVG": b"<svg/>",
    "PostScript": b"%!PS-Adobe-3.0 EPSF-3.0\n",
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
def test_what_is_no_whole_image_of_a_known_kind_is_refused(content):
    with pytest.raises(Refused, match=r"^the body is no readable image \(PNG, JPEG, WEBP\)") as refused:
        Images(8, 8, "RGB", None, 10**6).rows(content)
    assert refused.value.status == 400 and "\n" not in refused.value.message


FOLDER = "kdlab.data.image.folder.ImageFolder"


@pytest.mark.parametrize(
    ("settings", "name", "expected"),
    [
        ({"_target_": FOLDER, "crop_fraction": 0.5}, "ImageFolder", 0.5),
        ({"_target_": FOLDER}, "ImageFolder", 0.875),
        ({"_target_": "a.Transfer", "of": {"_target_": FOLDER, "crop_fraction": 0.5}}, "Transfer", 0.5),
        ({"_target_": "kdlab.data.image.published.CIFAR10"}, "CIFAR10", None),
        ({}, "CIFAR10", None),
    ],
)
def test_the_settings_of_the_data_say_how_it_is_cropped(settings, name, expected):
    assert _crop_fraction(settings, name) == expected


def test_without_them_the_user_must_say_it():
    with pytest.raises(BadInput, match=r"serve\.crop_fraction must be given"):
        _crop_fraction({}, "ImageFolder")
