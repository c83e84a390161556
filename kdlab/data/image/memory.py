"""Small image sets, held in memory as uint8 and augmented in batches on the training device."""

import hashlib
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from kdlab.data.batch import Batch, BatchIndices, moved
from kdlab.data.image.base import Contents, ImageData
from kdlab.data.image.randaugment import randaugmented
from kdlab.data.image.views import CropFlip
from kdlab.settings.numbers import is_whole


class Arrays(NamedTuple):
    """The training or the test list of a data set as published.

    Args:
        images: `(samples, channels, height, width)`, uint8; one channel or three.
        labels: `(samples,)`, int64, from 0 on.
        class_names: in label order.
    """

    images: Tensor
    labels: Tensor
    class_names: tuple[str, ...]


RESIDENT_BYTES = 2**31  # a list of images up to this size is kept on the training GPU: CIFAR takes 150 MB

Reader = Callable[[str], Arrays]
"""Reads the `train` or the `test` list; equal readers read the same data."""


@dataclass(eq=False, kw_only=True)
class InMemory(ImageData):
    """Image sets that fit in memory; a subclass reads them and sets whether mirror images keep their label.

    Args:
        image_size: side in pixels that images are resized to once, at least 1; None keeps their size. Memory is
            samples · 3 · image_size² bytes: CIFAR takes 0.2 GB at 32 and 9 GB at 224.
        padding: zeros around the raw image before it is cropped, in pixels; at least 0.
        flip: mirror half of the training images.
    """

    NOT_PIXELS: ClassVar[frozenset[str]] = ImageData.NOT_PIXELS | {"view_seed", "split_seed"}

    image_size: int | None = 32
    padding: int = 4
    flip: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self.views = CropFlip(self.padding, self.flip)

    @abstractmethod
    def reader(self) -> Reader:
        """The function that reads the published images: hashable, so that the stages of a run share one copy."""

    def check(self) -> None:
        """Raise for values outside their range."""
        super().check()
        side = self.image_size
        self.require("image_size", side is None or is_whole(side, 1), "a whole number, at least 1, or null")
        self.require("padding", is_whole(self.padding, 0), "a whole number, at least 0")

    def read_contents(self) -> Contents:
        """Both lists, resized, with three channels."""
        train, test = (read_resized(self.reader(), source, self.image_size) for source in ("train", "test"))
        self._images = {"train": train.images, "test": test.images}
        _, channels, height, width = train.images.shape
        labels = {"train": train.labels, "test": test.labels}
        return Contents(labels, train.class_names, (channels, height, width))

    def draw_views(self, epoch: int, samples: int) -> Tensor:
        """One of `views` for each training sample: `(samples,)`, int64."""
        return self.views.draw(self.view_seed, epoch, samples)

    @property
    def identity_view(self) -> int:
        """The view that leaves an image as it is."""
        return self.views.identity

    def inputs(self, source: str, batches: Sequence[BatchIndices]) -> Iterator[Tensor]:
        """The raw images, on the GPU where they are kept there: views are applied after the transfer."""
        images, samples = self._resident(source), [indices.samples for indices in batches]
        # A whole epoch's positions are moved at once. `cat` fails on an empty list, where no batch is left.
        positions = moved(torch.cat([torch.empty(0, dtype=torch.int64), *samples]), images.device)
        return (images[part] for part in torch.split(positions, [len(part) for part in samples]))

    def _resident(self, source: str) -> Tensor:
        """The images of a list; up to `RESIDENT_BYTES` they are moved to the trainer's device and kept there."""
        images = self._images[source]
        device = torch.device("cpu") if self.trainer is None else self.trainer.strategy.root_device
        if images.device != device and images.nbytes <= RESIDENT_BYTES:
            images = self._images[source] = images.to(device)
        return images

    @property
    def batches_any_views(self) -> bool:
        """Images in memory are all of one shape."""
        return True

    def training_inputs(self, batches: Sequence[BatchIndices]) -> Iterator[Tensor]:
        """For each batch its training images in their views."""
        for images, indices in zip(self.inputs("train", batches), batches, strict=True):
            yield self._in_views(images, indices)

    def _in_views(self, images: Tensor, indices: BatchIndices) -> Tensor:
        shown = self.views.apply(images, moved(indices.view, images.device))
        return randaugmented(shown, *indices, self.randaugment) if self.randaugment else shown

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Apply the views to training images; evaluation images stay as they are."""
        if self.trainer is None or not self.trainer.training:
            return batch
        images, indices = batch.inputs, batch.indices
        assert isinstance(images, Tensor) and indices is not None
        return batch._replace(inputs=self._in_views(images, indices))

    def digest(self) -> str:
        """A hash of all published pixels and labels, before resizing; reads them."""
        content = hashlib.sha256()
        for source in ("train", "test"):
            images, labels, names = self.reader()(source)
            content.update(repr((tuple(images.shape), names)).encode())
            content.update(images.contiguous().numpy().data)
            content.update(labels.numpy().data)
        return content.hexdigest()


@lru_cache(maxsize=4)
def read_resized(reader: Reader, source: str, image_size: int | None) -> Arrays:
    """One list with three channels at the requested size. The copy is shared: do not write to it.

    Args:
        reader: hashable; equal readers read the same data.
        source: `train` or `test`.
        image_size: side in pixels, or None for the published size.
    """
    arrays = reader(source)
    images = arrays.images if image_size is None else resize(arrays.images, image_size)
    return arrays._replace(images=images.expand(-1, 3, -1, -1).contiguous())


def resize(images: Tensor, side: int) -> Tensor:
    """Bilinear resize with antialiasing to `side` by `side`, rounded to uint8.

    Args:
        images: `(samples, channels, height, width)`, uint8.
        side: in pixels, at least 1.
    """
    if images.shape[-2:] == (side, side):
        return images
    return torch.cat([_resize(chunk, side) for chunk in torch.split(images, 1024)])


def _resize(images: Tensor, side: int) -> Tensor:
    resized = F.interpolate(images.float(), size=(side, side), mode="bilinear", antialias=True)
    return resized.round().clamp(0, 255).to(torch.uint8)
