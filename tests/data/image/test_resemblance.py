"""Which image sets look alike, and when a warning is given."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.linear_model import Ridge
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler
from torchvision import datasets

from kdlab.data import ImageFolder, Transfer
from kdlab.data.image.digits import read_digits
from kdlab.data.image.memory import read_resized
from kdlab.data.image.published import Published
from kdlab.data.image.resemblance import LIMIT, distinguishability, features, sample_images, transfer_warning
from tests.data.image.test_transfer import OF
from tests.data.tiny import Tiny, read_tiny

DIGITS = {"_target_": "kdlab.data.Digits"}


def some(images, seed, samples=512):
    return images[torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))[:samples]]


def digits(source, seed=0):
    return some(read_resized(read_digits, source, 32).images, seed)


def noise(samples=512, seed=0):
    random = torch.randint(0, 256, (samples, 3, 32, 32), generator=torch.Generator().manual_seed(seed))
    return random.to(torch.uint8)


def reference(images, others):
    """The same test with scikit-learn."""
    areas = []
    for fitted in (0, 1):
        halves = [features(images)[fitted::2], features(others)[fitted::2]]
        held_out = [features(images)[1 - fitted :: 2], features(others)[1 - fitted :: 2]]
        scaler = StandardScaler().fit(np.concatenate(halves))
        side = np.repeat([-1.0, 1.0], [len(half) for half in halves])
        ridge = Ridge(alpha=len(side), fit_intercept=False).fit(scaler.transform(np.concatenate(halves)), side)
        scores = ridge.predict(scaler.transform(np.concatenate(held_out)))
        areas.append(roc_auc_score(np.repeat([0, 1], [len(half) for half in held_out]), scores))
    return np.mean(areas)


@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_ridge_regression_and_area_of_scikit_learn(seed):
    images = some(digits("train"), seed, 201)
    others = some(digits("test"), seed, 150).clone()
    others[:100, :, 10:14] += 20
    expected = reference(images, others)
    assert 0.55 < expected < 0.99
    assert distinguishability(images, others) == pytest.approx(expected, abs=1e-9)


def test_features_are_thumbnail_mean_spread_and_steps():
    images = noise(5)[..., :16, :16]
    pixels = images.numpy() / 255
    small = [[np.asarray(Image.fromarray(channel).convert("F").resize((8, 8), Image.Resampling.BILINEAR)) / 255
              for channel in image] for image in images.numpy()]  # fmt: skip
    steps = [np.abs(np.diff(pixels, axis=axis)).sum(axis=(1, 2, 3))[:, None] / (3 * 16 * 16) for axis in (2, 3)]
    parts = [np.array(small).reshape(5, -1), pixels.mean(axis=(2, 3)), pixels.std(axis=(2, 3)), *steps]
    expected = np.concatenate(parts, axis=1)
    assert features(images).shape == (5, 66 * 3 + 2)
    assert np.abs(features(images).numpy() - expected).max() < 1e-6


def test_train_and_test_images_of_one_set_look_alike():
    areas = [distinguishability(digits("train", seed), digits("test", seed)) for seed in range(5)]
    assert 0.4 < min(areas) <= max(areas) < 0.6


@pytest.mark.parametrize(
    "change",
    [
        lambda images: noise(),
        lambda images: 255 - images,
        lambda images: images // 2,
        lambda images: images.flip(-1),
        lambda images: images.roll(8, -1),
        lambda images: images.flatten(2)[..., torch.randperm(1024, generator=torch.Generator().manual_seed(0))].view_as(
            images
        ),
    ],
    ids=["noise", "inverted", "darkened", "mirrored", "moved", "shuffled pixels"],
)
def test_changed_images_look_unlike(change):
    assert distinguishability(change(digits("train")), digits("test")) > LIMIT


def test_it_is_symmetric_and_deterministic():
    images, others = digits("train"), digits("test") // 2
    assert distinguishability(images, others) == distinguishability(images, others)
    assert distinguishability(images, others) == pytest.approx(distinguishability(others, images), abs=1e-9)


def test_equal_sets_give_one_half():
    grey = torch.full((40, 3, 32, 32), 128, dtype=torch.uint8)
    assert distinguishability(grey, grey) == 0.5
    assert distinguishability(grey, grey + 1) == 1.0
    assert distinguishability(grey[..., :1, :1], grey[..., :1, :1]) == 0.5


def published(dataset, source):
    root = Path(os.environ.get("KDLAB_DATA", ""))
    if not (os.environ.get("KDLAB_DATA") and (root / dataset.base_folder).is_dir()):
        pytest.skip(f"KDLAB_DATA does not name a folder with {dataset.base_folder}")
    return Published(dataset, str(root))(source).images


@pytest.mark.real_data
def test_photographs_look_alike_where_they_are_and_unlike_digits_noise_and_their_negatives():
    test = some(published(datasets.CIFAR10, "test"), 0)
    train, near = (some(published(dataset, "train"), 1) for dataset in (datasets.CIFAR10, datasets.CIFAR100))
    assert distinguishability(train, test) < 0.6
    assert distinguishability(near, test) < 0.65
    for unlike in (digits("train"), noise(), 255 - train):
        assert distinguishability(unlike, test) > LIMIT


def test_images_are_raw_and_drawn_from_the_whole_list_not_from_its_beginning():
    data = Tiny(labelled_fraction=0.5)
    data.setup()
    for part in ("train", "test"):
        shown, listed = sample_images(data, part), read_tiny(part).images
        positions = [int((listed == image).flatten(1).all(1).nonzero()) for image in shown]
        assert sorted(positions) == list(range(len(listed))) != positions


def test_of_images_in_files_few_are_decoded_and_none_is_augmented(tmp_path):
    for part in ("train", "test"):
        (tmp_path / part / "a").mkdir(parents=True)
        for number, image in enumerate(noise(70)):
            Image.fromarray(image.permute(1, 2, 0).numpy()).save(tmp_path / part / "a" / f"{number}.png")
    data = ImageFolder(root=str(tmp_path), image_size=8, num_workers=0)
    data.setup()
    (tested,) = data.test_dataloader()
    for part in ("train", "test"):
        shown = sample_images(data, part)
        assert shown.shape == (64, 3, 8, 8)
        assert all((tested.inputs == image).flatten(1).all(1).any() for image in shown)


def test_a_transfer_set_that_looks_like_the_test_set_gives_no_warning():
    assert transfer_warning(Transfer(of=DIGITS, images=DIGITS)) is None


def test_one_that_does_not_gives_a_warning_with_the_figure_its_meaning_and_what_to_do(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for number, image in enumerate(noise(40, ord(name))):
            Image.fromarray(image.permute(1, 2, 0).numpy()).save(tmp_path / name / f"{number}.png")
    folder = {"_target_": "kdlab.data.ImageFolder", "root": str(tmp_path), "image_size": 32, "num_workers": 0}
    assert transfer_warning(Transfer(of=DIGITS, images=folder)) == (
        "The transfer set does not look like the test set: a simple classifier tells their images apart in 100 of 100 "
        "pairs (50 where two sets look alike; this is printed from 80 on). The teacher's predictions there may be of "
        "little use on the test set: compare with a run without it, or choose images closer to the test set with "
        "data@transfer=…"
    )


def test_other_data_and_few_images_give_no_warning():
    assert transfer_warning(Tiny()) is None
    dark = OF | {"_target_": "tests.data.image.test_resemblance.Dark"}
    assert distinguishability(read_tiny("train").images, read_dark("test").images) > LIMIT
    assert transfer_warning(Transfer(of=OF, images=dark)) is None  # Tiny has 20 test images


def read_dark(source):
    arrays = read_tiny(source)
    return arrays._replace(images=arrays.images // 4)


class Dark(Tiny):
    """Tiny in the dark."""

    def reader(self):
        return read_dark
