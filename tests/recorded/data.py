"""Data sets that need no download: their parts, order, views and pixels."""

import hashlib
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from kdlab.data import MNIST, Digits, FashionMNIST, ImageFolder, NpzImages, Transfer
from kdlab.data.image.base import ImageData
from kdlab.data.image.memory import resize
from kdlab.data.image.views import CropFlip
from kdlab.data.split import stratified_order
from kdlab.data.stream import draw_views, sample_order
from tests.data.image.test_published import write_mnist
from tests.recorded.recording import Case, Values, case_of, summary

SEEDS = {"seed": 3, "view_seed": 4, "split_seed": 5}


def digest(*tensors: Tensor) -> str:
    """A hash of integers, which are the same on all machines."""
    content = b"".join(tensor.contiguous().numpy().tobytes() for tensor in tensors)
    return hashlib.sha256(content).hexdigest()[:16]


def contents(data: ImageData | Transfer) -> Values:
    """Samples, their labels, order and views, and summaries of their images."""
    data.setup()
    visits = [data.visits(epoch) for epoch in (0, 2)]
    first = data.batches(1)[0]
    evaluated = [batch for loader in (data.val_dataloader(), data.test_dataloader()) for batch in loader]
    return {
        "digest": data.digest(),
        "sizes": str([data.num_classes, data.train_size, data.val_size, data.test_size, *data.sample_shape]),
        "labels": digest(data.sample_labels, *(batch.targets for batch in evaluated)),
        "order": digest(*(visit.samples for visit in visits), *(batch.index for batch in evaluated)),
        "views": digest(*(visit.view for visit in visits)),
        "training images": summary(*data.training_inputs([first])),
        "test images": summary(evaluated[-1].inputs),
    }


def digits() -> Values:
    return contents(Digits(image_size=16, padding=2, labelled_fraction=0.3, train_samples=200, **SEEDS))


def transfer() -> Values:
    of = {"_target_": "kdlab.data.Digits", "image_size": 12}
    images = {"_target_": "kdlab.data.Digits", "image_size": 12, "train_samples": 100, "padding": 1, "flip": True}
    return contents(Transfer(of=of, images=images, seed=6))


def folder(**settings: Any) -> Values:
    with photographs() as root:
        return contents(ImageFolder(root=str(root), image_size=24, batch_size=8, num_workers=0, **SEEDS, **settings))


@contextmanager
def photographs() -> Iterator[Path]:
    """Three classes of twelve smooth pictures of unequal sizes."""
    with tempfile.TemporaryDirectory() as root:
        for number in range(36):
            draws = np.random.default_rng(number)
            coarse = Image.fromarray(draws.integers(0, 256, (4, 5, 3), dtype=np.uint8))
            path = Path(root, f"class{number % 3}", f"{number}.png")
            path.parent.mkdir(exist_ok=True)
            coarse.resize((int(draws.integers(30, 60)), int(draws.integers(30, 60)))).save(path)
        yield Path(root)


def published(kind: Callable[..., ImageData]) -> Values:
    with tempfile.TemporaryDirectory() as root:
        write_mnist(Path(root), kind.__name__)
        return contents(kind(root=root, image_size=20, batch_size=8, val_fraction=0.2, **SEEDS))


def npz() -> Values:
    draws = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as root:
        images, labels = draws.integers(0, 256, (30, 7, 6, 3), dtype=np.uint8), np.arange(30) % 4
        arrays = {"train_images": images, "train_labels": labels, "test_images": images[:9], "test_labels": labels[:9]}
        np.savez(Path(root, "mine.npz"), **arrays)
        return contents(NpzImages(file=f"{root}/mine.npz", image_size=9, batch_size=8, val_fraction=0.2, **SEEDS))


def views() -> Values:
    images = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (40, 3, 6, 6), dtype=np.uint8))
    labels = torch.arange(90) % 7
    crops, mirrored = CropFlip(2), CropFlip(1, flip=True)
    return {
        "order": digest(sample_order(1, 2, 50), sample_order(0, 0, 7)),
        "split": digest(stratified_order(labels, 3)),
        "views": digest(draw_views(162, 1, 2, 50), crops.draw(0, 3, 40)),
        "crops": digest(crops.apply(images, crops.draw(0, 0, 40))),
        "mirrored crops": digest(mirrored.apply(images, mirrored.draw(0, 0, 40))),
        "unchanged": str([crops.identity, mirrored.identity, crops.count, mirrored.count]),
        "resized": summary(resize(images, 9), resize(images, 4)),
    }


DATA: dict[str, Case] = {
    "views": case_of("views", views),
    "data.digits": case_of("data.digits", digits, "views"),
    "data.npz": case_of("data.npz", npz, "views"),
    "data.transfer": case_of("data.transfer", transfer, "views", "data.digits"),
    "data.folder": case_of("data.folder", folder, "views"),
    "data.folder: settings": case_of(
        "data.folder", partial(folder, min_scale=0.5, flip=False, crop_fraction=0.6), "views"
    ),
    "data.published: MNIST": case_of("data.published", partial(published, MNIST), "views"),
    "data.published: FashionMNIST": case_of("data.published", partial(published, FashionMNIST), "views"),
}
