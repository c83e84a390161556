"""Names of classes and pictures of test samples, for data sets that everybody knows, read without training code."""

import gzip
import hashlib
import importlib.util
import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdlab.data.seeds import Stream, generator

Pixels = NDArray[np.uint8]
Labels = NDArray[np.int64]

CLASSES: Mapping[str, tuple[str, ...]] = {
    "CIFAR10": ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    "FashionMNIST": (
        *("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"),
    ),
}
CIFAR_FILES = {  # as published, with their MD5: a pickle is read only where it is the very same file
    "CIFAR10": ("cifar-10-batches-py/test_batch", "40351d587109b95175f43aff81a1287e", "labels"),
    "CIFAR100": ("cifar-100-python/test", "f0ef6b0ae62326f3e7ffdfab6717acfc", "fine_labels"),
}
CIFAR100_NAMES = ("cifar-100-python/meta", "7973b15100ade9c7d40fb424638fde48", "fine_label_names")
DIGITS_TEST, DIGITS_SEED = 500, 1797  # of kdlab.data.image.digits


@dataclass(frozen=True, eq=False)
class KnownData:
    """What can be shown of a data set.

    Attributes:
        names: of the classes; their numbers where they have no known names.
        pixels: `(samples, height, width[, 3])` of the test set, where they are at hand.
    """

    names: tuple[str, ...]
    pixels: Pixels | None = None

    def picture(self, index: int) -> Pixels | None:
        """One test sample, if it can be shown."""
        return None if self.pixels is None else self.pixels[index]


def known_data(settings: Mapping[str, Any], targets: Labels, classes: int) -> KnownData:
    """Class names and, where the files are at hand and agree with `targets`, the test set's pictures.

    Args:
        settings: `data` of a run's config.
        targets: `(samples,)`, the true classes of the test samples in the run's order.
        classes: how many.
    """
    kind = str(settings.get("_target_", "")).rpartition(".")[2]
    root = Path(str(settings.get("root", "")))
    names = _names(kind, root)
    names = names if len(names) == classes else tuple(str(label) for label in range(classes))
    try:
        pixels, labels = READERS[kind](kind, root)
    except (KeyError, OSError, ValueError):
        return KnownData(names)
    return KnownData(names, pixels if np.array_equal(labels, targets) else None)


def _names(kind: str, root: Path) -> tuple[str, ...]:
    if kind != "CIFAR100":
        return CLASSES.get(kind, ())
    name, digest, key = CIFAR100_NAMES
    try:
        return tuple(name.replace("_", " ") for name in _published(root / name, digest)[key])
    except (OSError, ValueError):
        return ()


def _digits(kind: str, root: Path) -> tuple[Pixels, Labels]:
    """kdlab's test set of scikit-learn's digits, from the file itself: importing scikit-learn takes seconds."""
    found = importlib.util.find_spec("sklearn")
    if found is None or found.origin is None:
        raise FileNotFoundError("scikit-learn")
    table = np.loadtxt(Path(found.origin).parent / "datasets/data/digits.csv.gz", delimiter=",")
    labels = table[:, -1].astype(np.int64)
    shuffled = generator(Stream.SPLIT, DIGITS_SEED).permutation(len(labels))
    place = np.empty(len(labels))
    for label in np.unique(labels):
        members = labels[shuffled] == label
        place[members] = (np.arange(members.sum()) + 0.5) / members.sum()
    chosen = np.sort(shuffled[np.argsort(place, kind="stable")][:DIGITS_TEST])
    return (table[chosen, :-1] * 255 / 16).round().astype(np.uint8).reshape(-1, 8, 8), labels[chosen]


def _cifar(kind: str, root: Path) -> tuple[Pixels, Labels]:
    name, digest, labels = CIFAR_FILES[kind]
    batch = _published(root / name, digest)
    return batch["data"].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), np.array(batch[labels], dtype=np.int64)


def _published(path: Path, digest: str) -> dict[str, Any]:
    content = path.read_bytes()
    if hashlib.md5(content, usedforsecurity=False).hexdigest() != digest:
        raise ValueError(f"{path} differs from the published file")
    batch: dict[str, Any] = pickle.loads(content, encoding="latin1")
    return batch


def _mnist(kind: str, root: Path) -> tuple[Pixels, Labels]:
    folder = root / kind / "raw"
    pixels = np.frombuffer(_unpacked(folder / "t10k-images-idx3-ubyte"), np.uint8, offset=16).reshape(-1, 28, 28)
    labels = np.frombuffer(_unpacked(folder / "t10k-labels-idx1-ubyte"), np.uint8, offset=8)
    return pixels, labels.astype(np.int64)


def _unpacked(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else gzip.decompress(path.with_name(f"{path.name}.gz").read_bytes())


READERS: Mapping[str, Callable[[str, Path], tuple[Pixels, Labels]]] = {
    "Digits": _digits,
    "CIFAR10": _cifar,
    "CIFAR100": _cifar,
    "MNIST": _mnist,
    "FashionMNIST": _mnist,
}
