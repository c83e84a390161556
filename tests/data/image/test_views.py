import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import functional

from kdlab.data.image.views import CropFlip


def through_torchvision(image: torch.Tensor, top: int, left: int, mirrored: bool, padding: int) -> torch.Tensor:
    picture = Image.fromarray(image.permute(1, 2, 0).numpy())
    picture = functional.crop(functional.pad(picture, padding), top, left, *image.shape[1:])
    picture = functional.hflip(picture) if mirrored else picture
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)


@pytest.mark.parametrize(("flip", "count"), [(True, 162), (False, 81)])
def test_every_view_equals_torchvision_bit_for_bit(flip, count):
    views = CropFlip(4, flip)
    assert views.count == count
    mirrors = [False, True] if flip else [False]
    shown = [(top, left, mirrored) for top in range(9) for left in range(9) for mirrored in mirrors]
    images = torch.randint(0, 256, (count, 3, 32, 32), dtype=torch.uint8)
    expected = [through_torchvision(image, *view, 4) for image, view in zip(images, shown, strict=True)]
    assert torch.equal(views.apply(images, torch.arange(count)), torch.stack(expected))


@pytest.mark.parametrize(("height", "width", "padding"), [(5, 9, 2), (9, 5, 1), (3, 3, 0)])
def test_images_need_not_be_square(height, width, padding):
    images = torch.randint(0, 256, (2, 3, height, width), dtype=torch.uint8)
    views = CropFlip(padding, True)
    view = torch.tensor([views.count - 1, 0])  # the lower right crop mirrored, the upper left one
    expected = [
        through_torchvision(images[0], 2 * padding, 2 * padding, True, padding),
        through_torchvision(images[1], 0, 0, False, padding),
    ]
    assert torch.equal(views.apply(images, view), torch.stack(expected))


@pytest.mark.parametrize("views", [CropFlip(4, True), CropFlip(4, False), CropFlip(0, True), CropFlip(0, False)])
def test_the_identity_leaves_images_as_they_are(views):
    images = torch.randint(0, 256, (4, 3, 8, 8), dtype=torch.uint8)
    assert torch.equal(views.apply(images, torch.full((4,), views.identity)), images)


def test_the_images_given_are_not_written_to():
    images = torch.randint(0, 256, (4, 3, 8, 8), dtype=torch.uint8)
    before = images.clone()
    CropFlip(2, True).apply(images, torch.arange(4)).zero_()
    assert torch.equal(images, before)
