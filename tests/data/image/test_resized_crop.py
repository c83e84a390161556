import numpy as np
import pytest
import torch
from PIL import Image
from scipy.stats import ks_2samp
from torchvision import transforms

from kdlab.data.image.resized_crop import ResizedCrop, draw_box


def picture(width: int, height: int) -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


@pytest.mark.parametrize(("width", "height"), [(80, 60), (60, 80), (32, 32), (20, 400)])
def test_evaluation_equals_torchvision(width, height):
    views = ResizedCrop(size=56)
    reference = transforms.Compose([transforms.Resize(64), transforms.CenterCrop(56), transforms.PILToTensor()])
    shown = views.apply(picture(width, height), 0, views.identity)
    assert torch.equal(shown, reference(picture(width, height)))


def test_boxes_are_distributed_as_torchvisions():
    draws, image = np.random.default_rng(0), torch.zeros(3, 60, 80)
    mine = np.array([draw_box(60, 80, 0.08, draws) for _ in range(3000)])
    torch.manual_seed(0)
    crop = transforms.RandomResizedCrop
    theirs = np.array([crop.get_params(image, [0.08, 1.0], [3 / 4, 4 / 3]) for _ in range(3000)])
    for box in (mine, theirs):
        assert (box >= 0).all() and (box[:, 0] + box[:, 2] <= 60).all() and (box[:, 1] + box[:, 3] <= 80).all()
    for quantity in (
        lambda b: b[:, 0],
        lambda b: b[:, 1],
        lambda b: b[:, 2] * b[:, 3],
        lambda b: b[:, 3] / b[:, 2],
    ):
        assert ks_2samp(quantity(mine), quantity(theirs)).pvalue > 0.001
    shares = mine[:, 2] * mine[:, 3] / (60 * 80)
    assert 0.07 < shares.min() < 0.09 and shares.max() > 0.95


@pytest.mark.parametrize(("height", "width"), [(10, 1000), (1000, 10)])
def test_an_image_too_narrow_for_any_box_is_cropped_at_its_centre(height, width):
    box = draw_box(height, width, 1.0, np.random.default_rng(0))
    image = torch.zeros(3, height, width)
    assert box == transforms.RandomResizedCrop.get_params(image, [1.0, 1.0], [3 / 4, 4 / 3])


def test_a_training_view_is_the_drawn_box_resized_and_half_are_mirrored():
    image, views = picture(80, 60), ResizedCrop(size=16, min_scale=1.0)
    plain = ResizedCrop(size=16, min_scale=1.0, flip=False)
    mirrored = 0
    for index in range(200):
        shown, expected = views.apply(image, index, 0), plain.apply(image, index, 0)
        mirrored += not torch.equal(shown, expected)
        assert torch.equal(shown, expected) or torch.equal(shown, expected.flip(2))
    assert 70 < mirrored < 130


def test_a_view_depends_on_seed_epoch_and_index_and_on_nothing_else():
    image = picture(80, 60)
    shown = ResizedCrop(size=16).apply(image, 5, 2)
    torch.manual_seed(1)
    assert torch.equal(ResizedCrop(size=16).apply(image, 5, 2), shown)
    for other in (ResizedCrop(size=16).apply(image, 5, 3), ResizedCrop(size=16).apply(image, 6, 2)):
        assert not torch.equal(other, shown)
    assert not torch.equal(ResizedCrop(size=16, view_seed=1).apply(image, 5, 2), shown)
