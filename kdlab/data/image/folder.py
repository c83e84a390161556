"""Image files in one folder per class, decoded as they are needed."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from kdlab.data.batch import BatchIndices
from kdlab.data.image.base import Contents, ImageData
from kdlab.data.image.randaugment import randaugmented
from kdlab.data.image.resized_crop import ResizedCrop
from kdlab.data.split import portion, stratified_order
from kdlab.errors import BadInput
from kdlab.settings.numbers import is_fraction, is_whole

SUFFIXES = {".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp"}


@dataclass(eq=False, kw_only=True)
class ImageFolder(ImageData):
    """`root/train/<class>/*.jpg`, optionally with `val` and `test` beside `train`; or `root/<class>/*.jpg`.

    Without a `test` folder, `test_fraction` of the training images become the test set; without a `val`
    folder, `val_fraction` of the others the validation set. Classes are numbered by name, as in torchvision.

    Args:
        root: the folder.
        image_size: side of the images in pixels, at least 1.
        test_fraction: in (0, 1); used where there is no `test` folder.
        min_scale: smallest share of an image's area that a training crop shows, in (0, 1].
        flip: mirror half of the training crops.
        crop_fraction: what evaluation's centre crop shows of the shorter side, in (0, 1].
        num_workers: decoding processes, at least 0; their number changes no pixel.

    Raises:
        BadInput: for folders that are absent or empty, and at a file that cannot be decoded.
    """

    root: str
    image_size: int = 224
    test_fraction: float = 0.1
    min_scale: float = 0.08
    flip: bool = True
    crop_fraction: float = 0.875
    num_workers: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        self.views = ResizedCrop(self.image_size, self.view_seed, self.min_scale, self.flip, self.crop_fraction)

    def check(self) -> None:
        """Raise for values outside their range."""
        super().check()
        self.require("image_size", is_whole(self.image_size, 1), "a whole number, at least 1")
        self.require("num_workers", is_whole(self.num_workers, 0), "a whole number, at least 0")
        allowed = is_fraction(self.test_fraction) and 0 < self.test_fraction < 1
        self.require("test_fraction", allowed, "in (0, 1)")
        for name in ("min_scale", "crop_fraction"):
            self.require(name, is_fraction(getattr(self, name)) and getattr(self, name) > 0, "in (0, 1]")

    def read_contents(self) -> Contents:
        """The labels from the names of folders; images are decoded batch by batch."""
        lists = find_images(Path(self.root))
        names = tuple(find_classes(training_folder(Path(self.root))))
        if "test" not in lists:
            lists |= hold_out(lists["train"], self.test_fraction, self.split_seed)
        self._files = {part: listed.files for part, listed in lists.items()}
        labels = {part: listed.labels for part, listed in lists.items()}
        return Contents(labels, names, (3, self.image_size, self.image_size))

    def draw_views(self, epoch: int, samples: int) -> Tensor:
        """The epoch itself, `(samples,)`: each epoch draws new crops."""
        return torch.full((samples,), epoch)

    @property
    def identity_view(self) -> int:
        """Resized, and cropped at the centre."""
        return self.views.identity

    def inputs(self, source: str, batches: Sequence[BatchIndices]) -> Iterator[Tensor]:
        """Decoded and augmented images; workers prefetch the next batches."""
        pairs = [list(zip(samples.tolist(), view.tolist(), strict=True)) for samples, view in batches]
        loader = DataLoader(
            DecodedImages(self._files[source], self.views, self.randaugment),
            batch_sampler=pairs,
            num_workers=self.num_workers,
            collate_fn=already_batched,
            generator=torch.Generator(),  # otherwise each epoch would draw from the global one
        )
        for images in loader:
            if isinstance(images, BadInput):
                raise images
            yield images

    def digest(self) -> str:
        """A hash of relative names and contents. Reads every file, about a second per GB."""
        root, content = Path(self.root), hashlib.sha256()
        for listed in find_images(root).values():
            for path in listed.files:
                with path.open("rb") as file:
                    checksum = hashlib.file_digest(file, "sha256").hexdigest()
                content.update(f"{path.relative_to(root).as_posix()} {checksum}\n".encode())
        return content.hexdigest()


class DecodedImages(Dataset[Tensor]):
    """Decodes and augments batches in worker processes."""

    def __init__(self, files: list[Path], views: ResizedCrop, randaugment: int = 0) -> None:
        self.files = files
        self.views = views
        self.randaugment = randaugment

    def __getitems__(self, pairs: list[tuple[int, int]]) -> Tensor | BadInput:
        """The images of `(index, view)` pairs, or the error: raised in a worker, it would lose its message."""
        try:
            images = torch.stack([self.views.apply(decode(self.files[i]), i, view) for i, view in pairs])
        except BadInput as error:
            return error
        if not self.randaugment or pairs[0][1] == self.views.identity:
            return images
        samples, view = torch.tensor(pairs).T
        return randaugmented(images, samples, view, self.randaugment)


class Listed(NamedTuple):
    """Image files, and their labels: `(files,)`, int64."""

    files: list[Path]
    labels: Tensor


def find_images(root: Path) -> dict[str, Listed]:
    """The files of `train` and, where the root has them, of `val` and `test`.

    Raises:
        BadInput: where a folder is absent, or a class has no images or is unknown to the training folder.
    """
    if not root.is_dir():
        raise BadInput(f"data.root={root} is not a folder: name one that holds train/<class>/ or <class>/")
    folders = {"train": training_folder(root)}
    if folders["train"] != root:
        folders |= {part: root / part for part in ("val", "test") if (root / part).is_dir()}
    classes = find_classes(folders["train"])
    return {part: list_images(folder, classes) for part, folder in folders.items()}


def training_folder(root: Path) -> Path:
    """`root/train`, or the root itself where that is absent."""
    return root / "train" if (root / "train").is_dir() else root


def find_classes(folder: Path) -> list[str]:
    """The names of the class folders in label order; hidden folders are not classes.

    Raises:
        BadInput: where there are none.
    """
    names = (path.name for path in folder.iterdir() if path.is_dir())
    classes = sorted(name for name in names if not name.startswith("."))
    if not classes:
        raise BadInput(f"{folder} has no class folders: data.root must hold one folder of images per class")
    return classes


def list_images(folder: Path, classes: list[str]) -> Listed:
    """The images of every class in `folder`, by class and then by name.

    Raises:
        BadInput: for a class that is empty or not among `classes`.
    """
    known = ", ".join(classes)
    files: list[Path] = []
    labels: list[int] = []
    for name in find_classes(folder):
        if name not in classes:
            raise BadInput(f"{folder / name} is not a class to train on; those are {known}: rename it")
        found = sorted(path for path in (folder / name).rglob("*") if path.suffix.lower() in SUFFIXES)
        if not found:
            suffixes = " ".join(sorted(SUFFIXES))
            raise BadInput(f"{folder / name} has no images ({suffixes}): add some or remove the folder")
        files += found
        labels += [classes.index(name)] * len(found)
    return Listed(files, torch.tensor(labels))


def hold_out(listed: Listed, test_fraction: float, split_seed: int) -> dict[str, Listed]:
    """`train` and `test`, a stratified split of one list; each keeps its order."""
    order = stratified_order(listed.labels, split_seed)
    size = portion("data.test_fraction", test_fraction, len(order))
    chosen = {"train": order[size:].sort().values, "test": order[:size].sort().values}
    return {part: Listed([listed.files[i] for i in rows], listed.labels[rows]) for part, rows in chosen.items()}


def decode(path: Path) -> Image.Image:
    """The file as an RGB image.

    Raises:
        BadInput: for a file that is damaged or not an image, naming it.
    """
    try:
        with Image.open(path) as image:
            return image.convert("RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise BadInput(f"{path} cannot be decoded as an image ({error}): replace it or remove it") from error


def already_batched(images: Any) -> Any:
    """The collate function: `DecodedImages` returns whole batches."""
    return images
