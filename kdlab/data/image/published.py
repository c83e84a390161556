"""Image sets in the files their authors published, read through torchvision."""

import hashlib
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torchvision import datasets

from kdlab.data.image.memory import Arrays, InMemory, Reader
from kdlab.errors import BadInput


@dataclass(frozen=True)
class Published:
    """Reads one of torchvision's data sets.

    Args:
        dataset: torchvision's class, such as MNIST or CIFAR10.
        root: the parent of torchvision's own folder.
        download: download files that are absent.

    Raises:
        BadInput: on a call where files are absent or damaged, with their names and how to get them.
    """

    dataset: Any
    root: str
    download: bool = False

    def __call__(self, source: str) -> Arrays:
        """The `train` or the `test` list."""
        try:
            data = self.dataset(self.root, train=source == "train", download=self.download)
        except (RuntimeError, OSError, EOFError) as error:
            raise BadInput(self._explain(error)) from error
        images = torch.as_tensor(data.data)
        # MNIST has no channels, CIFAR has them last.
        images = images[:, None] if images.ndim == 3 else images.permute(0, 3, 1, 2)
        return Arrays(images, torch.as_tensor(data.targets).long(), tuple(data.classes))

    def files(self) -> list[Path]:
        """The files that must exist."""
        if hasattr(self.dataset, "base_folder"):
            listed = [*self.dataset.train_list, *self.dataset.test_list, [self.dataset.meta["filename"]]]
            return [Path(self.root, self.dataset.base_folder, name) for name, *_ in listed]
        folder = Path(self.root, self.dataset.__name__, "raw")
        return [folder / name.removesuffix(".gz") for name, _ in self.dataset.resources]

    def _explain(self, error: Exception) -> str:
        files = self.files()
        absent = [path for path in files if not path.is_file()]
        names = ", ".join(path.name for path in absent)
        fault = f"is not there or not complete, absent: {names}" if absent else "differs from the published files"
        tried = self.download and (absent or hasattr(self.dataset, "base_folder"))  # MNIST's are not verified
        failure = f" The download failed: {error}." if tried else ""
        unpack = self._unpacking(absent)
        first = f" Unpack what is there already: {unpack}. If that is not enough:" if unpack else ""
        advice = self._advice(bool(absent), bool(tried))
        return f"{self.dataset.__name__} in {files[0].parent} {fault}.{failure}{first} {advice}"

    def _advice(self, absent: bool, tried: bool) -> str:
        """What to do, given whether files are absent or damaged and whether a download was tried."""
        elsewhere = f"paths.data (KDLAB_DATA), now {self.root}, to where it is"
        if tried:
            folder = self.files()[0].parent
            return f"Check the connection and try again, put the files into {folder} yourself, or set {elsewhere}"
        if absent:
            return f"Set data.download=true to fetch it, or {elsewhere}"
        again = "run the same command" if self.download else "set data.download=true"
        return f"Remove the damaged files and {again} to fetch them again, or set {elsewhere}"

    def _unpacking(self, absent: Sequence[Path]) -> str:
        """The command that unpacks archives of the absent files; empty where there are none."""
        if not hasattr(self.dataset, "base_folder"):
            packed = [f"{path}.gz" for path in absent if Path(f"{path}.gz").is_file()]
            return shlex.join(["gunzip", "-k", *packed]) if packed else ""
        candidates = [Path(self.root, self.dataset.filename), self.files()[0].parent / self.dataset.filename]
        archives = [str(path) for path in candidates if absent and path.is_file()]
        return shlex.join(["tar", "-xzf", archives[0], "-C", self.root]) if archives else ""


@dataclass(eq=False, kw_only=True)
class PublishedImages(InMemory):
    """The base of the data sets below.

    Args:
        root: the folder with the torchvision layout.
        download: download the files when they are absent.
    """

    root: str
    download: bool = False

    def prepare_data(self) -> None:
        """Download once per machine, before its ranks read."""
        if self.download:
            self.reader()("test")


@dataclass(eq=False, kw_only=True)
class MNIST(PublishedImages):
    """Handwritten digits, 28 pixels, grey: 60,000 and 10,000; no mirror images. LeCun et al., 1998."""

    def reader(self) -> Reader:
        """Reads `MNIST/raw`."""
        return Published(datasets.MNIST, str(self.root), self.download)


@dataclass(eq=False, kw_only=True)
class FashionMNIST(PublishedImages):
    """Clothes, 28 pixels, grey: 60,000 and 10,000; a mirrored shirt is a shirt. arXiv:1708.07747."""

    flip: bool = True

    def reader(self) -> Reader:
        """Reads `FashionMNIST/raw`."""
        return Published(datasets.FashionMNIST, str(self.root), self.download)


@dataclass(eq=False, kw_only=True)
class CIFAR10(PublishedImages):
    """Photographs, 32 pixels, ten classes: 50,000 and 10,000. Krizhevsky, 2009."""

    flip: bool = True

    def reader(self) -> Reader:
        """Reads `cifar-10-batches-py`."""
        return Published(datasets.CIFAR10, str(self.root), self.download)

    def digest(self) -> str:
        """The published MD5 sums, which every file is checked against when it is read."""
        return checksums(datasets.CIFAR10)


@dataclass(eq=False, kw_only=True)
class CIFAR100(PublishedImages):
    """Photographs, 32 pixels, a hundred classes: 50,000 and 10,000. Krizhevsky, 2009."""

    flip: bool = True

    def reader(self) -> Reader:
        """Reads `cifar-100-python`."""
        return Published(datasets.CIFAR100, str(self.root), self.download)

    def digest(self) -> str:
        """The published MD5 sums, which every file is checked against when it is read."""
        return checksums(datasets.CIFAR100)


def checksums(dataset: Any) -> str:
    """A hash of the MD5 sums that torchvision expects of a CIFAR set's files."""
    listed = [*dataset.train_list, *dataset.test_list, dataset.meta["md5"]]
    return hashlib.sha256(repr(listed).encode()).hexdigest()
