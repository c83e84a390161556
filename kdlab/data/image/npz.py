"""Your own images as arrays, in a file that `numpy.savez` wrote."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar
from zipfile import BadZipFile

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kdlab.data.image.memory import Arrays, InMemory, Reader
from kdlab.errors import BadInput

CHANNELS = (1, 3)
SAVING = "numpy.savez(file, train_images=…, train_labels=…, test_images=…, test_labels=…)"


@dataclass(frozen=True)
class Npz:
    """Reads arrays from a file of numpy's; pickled objects are refused.

    Args:
        file: holds `train_images`, `train_labels`, `test_images`, `test_labels`, and optionally `class_names`.
        written: when, in nanoseconds: a file that is written anew is read anew.

    Raises:
        BadInput: on a call where the file or an array is absent or of another kind.
    """

    file: str
    written: int

    def __call__(self, source: str) -> Arrays:
        """The `train` or the `test` list."""
        arrays = self._read([f"{source}_images", "train_labels", "test_labels"])
        images = self._images(f"{source}_images", arrays)
        labels = self._labels(f"{source}_labels", arrays, len(images))
        count = 1 + max(int(arrays[name].max(initial=0)) for name in ("train_labels", "test_labels"))
        names = arrays.get("class_names", np.arange(count))
        if len(names) < count:
            raise self._error(f"class_names must name all {count} classes", f"{len(names)} names", "Add the others.")
        return Arrays(images, labels, tuple(str(name) for name in names))

    def _read(self, names: Sequence[str]) -> dict[str, NDArray[Any]]:
        try:
            with np.load(self.file, allow_pickle=False) as opened:
                if absent := [name for name in names if name not in opened]:
                    raise self._error(f"{absent[0]} must be in it", ", ".join(opened), f"Write it: {SAVING}.")
                return {name: opened[name] for name in [*names, "class_names"] if name in opened}
        except OSError as error:
            raise BadInput(f"data.file must be a file that exists, got {self.file}. Write it: {SAVING}.") from error
        except (ValueError, TypeError, BadZipFile, EOFError) as error:
            kind = "data.file must be an .npz file of plain arrays"
            raise BadInput(f"{kind}, got {self.file}. Write it: {SAVING}.") from error

    def _images(self, name: str, arrays: Mapping[str, NDArray[Any]]) -> Tensor:
        images = arrays[name]
        if images.dtype != np.uint8:
            fix = "For values in [0, 1]: (images * 255).round().astype('uint8')."
            raise self._error(f"{name} must be of type uint8", str(images.dtype), fix)
        if images.ndim == 3:
            images = images[:, None]
        elif images.ndim == 4 and images.shape[1] not in CHANNELS and images.shape[3] in CHANNELS:
            images = images.transpose(0, 3, 1, 2)
        if images.ndim != 4 or images.shape[1] not in CHANNELS or not len(images):
            rule = f"{name} must be (samples, height, width), or with 1 or 3 channels in front of or behind them"
            raise self._error(rule, str(images.shape), "Reshape them.")
        return torch.from_numpy(np.ascontiguousarray(images))

    def _labels(self, name: str, arrays: Mapping[str, NDArray[Any]], samples: int) -> Tensor:
        labels = arrays[name]
        if labels.shape != (samples,) or labels.dtype.kind not in "iu" or labels.min() < 0:
            rule = f"{name} must be {samples} whole numbers from 0 on, one for each image"
            raise self._error(rule, f"{labels.dtype} of shape {labels.shape}", "Number the classes from 0.")
        return torch.from_numpy(labels.astype(np.int64))

    def _error(self, rule: str, received: str, fix: str) -> BadInput:
        return BadInput(f"data.file: {rule}, got {received} in {self.file}. {fix}")


@dataclass(eq=False, kw_only=True)
class NpzImages(InMemory):
    """Images of your own, as arrays in memory; see `InMemory` for crops, mirror images and sizes.

    Args:
        file: see `Npz`. Where it lies does not matter: its content is part of the fingerprint.
    """

    NOT_PIXELS: ClassVar[frozenset[str]] = InMemory.NOT_PIXELS | {"file"}
    LOCATED_BY: ClassVar[frozenset[str]] = frozenset({"file"})
    """Settings that fingerprints leave out, since the digest hashes what they lead to."""

    file: str
    image_size: int | None = None
    mean: Sequence[float] = (0.5, 0.5, 0.5)
    std: Sequence[float] = (0.25, 0.25, 0.25)

    def reader(self) -> Reader:
        """Reads the file as it is now."""
        return Npz(str(Path(str(self.file)).absolute()), when_written(self.file))


def when_written(file: object) -> int:
    """In nanoseconds; 0 where there is no such file, as for a value that is no path: it is refused when it is read."""
    path = Path(str(file))
    return path.stat().st_mtime_ns if path.is_file() else 0
