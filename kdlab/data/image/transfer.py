"""An unlabelled transfer set: a student trains on other images than it is validated and tested on.

Distillation uses the teacher's outputs, which need no labels.
Hinton, Vinyals & Dean, "Distilling the Knowledge in a Neural Network", 2015 (arXiv:1503.02531).
"""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import lightning as L
import torch
from torch import Tensor

from kdlab.data.batch import UNLABELLED, Batch, BatchIndices, Inputs
from kdlab.data.image.base import ImageData
from kdlab.data.image.mixing import Mixing
from kdlab.data.loader import EpochLoader
from kdlab.data.module import Addressed
from kdlab.errors import BadInput
from kdlab.settings.targets import build

STEPS = ("batch_size", "drop_last")  # taken from the labelled data, as for a student without a transfer set
UNREAD = ("seed", "labelled_fraction", "eval_batch_size", "mean", "std")  # have no effect in a transfer set


class Transfer(Addressed):
    """Trains on the images of one set without their labels; validates and tests on another.

    Order, views, ranks and resuming are those of the transfer set by itself: `index` and `view` are positions in its
    training list and its own views.

    After `setup()`: `num_classes`, `class_names`, `val_size`, `test_size` of the labelled data, `train_size` of the
    transfer set, `sample_shape` of both.

    Args:
        of: settings of the labelled data, an `ImageData`.
        images: settings of the transfer set, an `ImageData`; its training part is trained on.
        seed: of both, in place of their own; at least 0.

    Raises:
        BadInput: one of them is no image set, or has an invalid setting.
    """

    def __init__(self, *, of: Mapping[str, Any], images: Mapping[str, Any], seed: int = 0) -> None:
        self.of = _image_set({**of, "seed": seed}, "data")
        with _errors_name_transfer():
            self.images = _image_set({**images, "seed": seed}, "transfer")
        super().__init__()

    @property
    def trainer(self) -> L.Trainer | None:
        """The trainer of both sets, for epoch, step and rank."""
        return self.images.trainer

    @trainer.setter
    def trainer(self, trainer: L.Trainer | None) -> None:
        self.of.trainer = self.images.trainer = trainer

    def prepare_data(self) -> None:
        """Download both once per machine, before its ranks read."""
        self.of.prepare_data()
        with _errors_name_transfer():
            self.images.prepare_data()

    def setup(self, stage: str | None = None) -> None:
        """Read both sets; a second call does nothing.

        Raises:
            BadInput: also where their images differ in shape.
        """
        self.of.setup(stage)
        with _errors_name_transfer():
            self.images.setup(stage)
        shape, transfer_shape = self.of.sample_shape, self.images.sample_shape
        if shape != transfer_shape:
            raise BadInput(
                f"data.image_size and transfer.image_size must give images of one shape, got {_written(shape)} and "
                f"{_written(transfer_shape)} (channels x height x width). Set both, for example to {max(shape[1:])}."
            )
        self.num_classes, self.class_names = self.of.num_classes, self.of.class_names
        self.sample_shape, self.train_size = self.images.sample_shape, self.images.train_size
        self.val_size, self.test_size = self.of.val_size, self.of.test_size

    @property
    def task(self) -> str:
        """The task of the labelled data."""
        return self.of.task

    @property
    def sample_labels(self) -> Tensor:
        """`UNLABELLED` for each image of the transfer set's training list: `(samples,)`, int64."""
        return torch.full_like(self.images.sample_labels, UNLABELLED)

    @property
    def batch_size(self) -> int:
        """Of one step, over all ranks together."""
        return self.images.batch_size

    @property
    def mixing(self) -> Mixing | None:
        """How images of the transfer set are mixed; see `ImageData.mixing`."""
        return self.images.mixing

    @property
    def list_size(self) -> int:
        """Images of the transfer set's training list."""
        return self.images.list_size

    @property
    def batches_any_views(self) -> bool:
        """Whether the transfer set does; see `Addressed.batches_any_views`."""
        return self.images.batches_any_views

    def check_ranks(self, ranks: int) -> None:
        """Steps are those of the transfer set; see `StreamData.check_ranks`."""
        self.images.check_ranks(ranks)

    def cache_key(self) -> Mapping[str, Any] | None:
        """What the pixels of the transfer set depend on; see `ImageData.cache_key`."""
        return self.images.cache_key()

    def visits(self, epoch: int) -> BatchIndices:
        """The samples of an epoch, from the transfer set; see `StreamData.visits`."""
        return self.images.visits(epoch)

    def batches(self, epoch: int) -> list[BatchIndices]:
        """This rank's share of each batch of an epoch; see `StreamData.batches`."""
        return self.images.batches(epoch)

    def training_inputs(self, batches: Sequence[BatchIndices]) -> Iterator[Inputs]:
        """Images of the transfer set in their views; see `StreamData.training_inputs`."""
        return self.images.training_inputs(batches)

    def train_dataloader(self) -> EpochLoader:
        """The transfer set's batches, without labels, from the trainer's position on."""
        images = self.images.train_dataloader()
        return EpochLoader(
            batches=images.batches,
            draw=lambda epoch, first: map(_without_labels, images.draw(epoch, first)),
            position=images.position,
        )

    def val_dataloader(self) -> EpochLoader | list[Any]:
        """The validation samples of the labelled data."""
        return self.of.val_dataloader()

    def test_dataloader(self) -> EpochLoader:
        """The test samples of the labelled data."""
        return self.of.test_dataloader()

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Apply the views of the set that the batch comes from."""
        training = self.trainer is not None and self.trainer.training
        shown: Batch = (self.images if training else self.of).on_after_batch_transfer(batch, dataloader_idx)
        return shown

    def thumbnails(self, samples: Tensor) -> Tensor:
        """Test samples of the labelled data; see `ImageData.thumbnails`."""
        return self.of.thumbnails(samples)

    def digest(self) -> str:
        """A hash of the content of both sets."""
        return hashlib.sha256(f"{self.of.digest()} {self.images.digest()}".encode()).hexdigest()


def transfer_settings(data: Mapping[str, Any], transfer: Mapping[str, Any]) -> dict[str, Any]:
    """The data settings of a student that trains on a transfer set, with the seed and the batch size of its data.

    Args:
        data: resolved settings of the labelled data, as they would be without a transfer set.
        transfer: resolved settings of the transfer set.
    """
    steps = {name: data[name] for name in STEPS if name in data}
    return {
        "_target_": "kdlab.data.Transfer",
        "of": {name: value for name, value in data.items() if name != "seed"},
        "images": {name: value for name, value in transfer.items() if name not in UNREAD} | steps,
        "seed": data.get("seed", 0),
    }


def _image_set(settings: Mapping[str, Any], setting: str) -> ImageData:
    data = build(settings, setting)
    if not isinstance(data, ImageData):
        raise BadInput(
            f"{setting} must be an image set of kdlab.data where there is a transfer set, got {settings['_target_']}. "
            "Choose another one, or leave data@transfer out."
        )
    return data


def _written(shape: tuple[int, int, int]) -> str:
    return "x".join(map(str, shape))


@contextmanager
def _errors_name_transfer() -> Iterator[None]:
    """Rewrites `data.…` to `transfer.…` in the errors of the transfer set."""
    try:
        yield
    except BadInput as error:
        raise BadInput(re.sub(r"(?<![\w.])data\.(?=\w)", "transfer.", str(error))) from error


def _without_labels(batch: Batch) -> Batch:
    return batch._replace(targets=torch.full_like(batch.targets, UNLABELLED))
