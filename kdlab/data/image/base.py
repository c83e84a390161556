"""What all image sets share: which sample is in which part, which batch and which view."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, NamedTuple

import lightning as L
import torch
import torch.nn.functional as F
from torch import Tensor

from kdlab.data.batch import UNLABELLED, Batch
from kdlab.data.image.views import sample_order
from kdlab.data.loader import EpochLoader, trainer_position
from kdlab.data.split import portion, stratified_order
from kdlab.errors import BadInput
from kdlab.settings.numbers import is_fraction, is_whole

THUMBNAIL = 64  # pixels of its longer side, at most


class Request(NamedTuple):
    """One batch to be fetched: which samples, in which views; both `(batch,)`, int64."""

    samples: Tensor
    view: Tensor


class Contents(NamedTuple):
    """What a data set holds, once read.

    Args:
        labels: of `train`, `test` and, where the set has its own, `val`; each `(samples,)`, int64, from 0 on.
        class_names: in label order.
        sample_shape: `(channels, height, width)`.
    """

    labels: dict[str, Tensor]
    class_names: tuple[str, ...]
    sample_shape: tuple[int, int, int]


@dataclass(eq=False, kw_only=True)
class ImageData(L.LightningDataModule, ABC):
    """Images in batches that depend on seeds, epoch and position alone.

    Workers, ranks and interruptions change neither the samples of a batch nor their views. Rank r of n takes
    the samples r, r + n, r + 2n, … of each batch: shares differ by one sample where n does not divide it.

    After `setup()`: `num_classes`, `class_names`, `sample_shape`, `train_size`, `val_size`, `test_size`.

    Args:
        batch_size: of one step, over all ranks together; at least 1.
        eval_batch_size: at most so many samples at once on each rank when evaluating; at least 1.
        val_fraction: of the training set, held out stratified for choosing; in [0, 1). At 0 there is no
            validation. Not used where the data set has its own validation list.
        labelled_fraction: of the samples trained on, those that keep their label, stratified; in (0, 1]. The
            others are an unlabelled transfer set: their target is `UNLABELLED`.
        train_samples: train on so many, stratified; None for all. For short trials.
        drop_last: leave out the last batch of an epoch when it is not full. Published recipes keep it.
        seed: of the sample order, at least 0.
        view_seed: of the augmentation, at least 0.
        split_seed: of every held-out part, at least 0.
        mean: per channel of images scaled to [0, 1]. Networks read it; images stay raw here.
        std: per channel, above 0; likewise.

    Raises:
        BadInput: for a value outside its range, naming its key under `data`.
    """

    NOT_PIXELS: ClassVar[frozenset[str]] = frozenset(
        {"batch_size", "eval_batch_size", "val_fraction", "labelled_fraction", "train_samples", "drop_last", "seed"}
        | {"mean", "std", "root", "download", "num_workers"}
    )
    """Settings that choose and order samples, or say where they lie: the pixels of `(index, view)` are the same."""
    task: ClassVar[str] = "kdlab.tasks.image_classification.ImageClassification"

    batch_size: int = 64
    eval_batch_size: int = 512
    val_fraction: float = 0.1
    labelled_fraction: float = 1.0
    train_samples: int | None = None
    drop_last: bool = False
    seed: int = 0
    view_seed: int = 0
    split_seed: int = 0
    mean: Sequence[float] = (0.485, 0.456, 0.406)
    std: Sequence[float] = (0.229, 0.224, 0.225)

    def __post_init__(self) -> None:
        super().__init__()
        self.check()
        self._parts: dict[str, Tensor] = {}

    @abstractmethod
    def read_contents(self) -> Contents:
        """Read what `setup` needs to know; called once."""

    @abstractmethod
    def draw_views(self, epoch: int, samples: int) -> Tensor:
        """The view of each sample of the training set in an epoch: `(samples,)`, int64."""

    @property
    @abstractmethod
    def identity_view(self) -> int:
        """The view that evaluation uses: no augmentation."""

    @abstractmethod
    def inputs(self, source: str, requests: list[Request]) -> Iterator[Tensor]:
        """For each request its images from the `train`, `val` or `test` list: `(batch, C, H, W)`, uint8."""

    @abstractmethod
    def digest(self) -> str:
        """A hash of what the data are: by content, wherever they lie."""

    def pixels(self) -> dict[str, Any]:
        """All settings that the pixels of a training sample in a view depend on, beside the content of the data.

        Teachers' answers are stored under them. A subclass of the user's is not cached unless it defines this itself.
        """
        settings = {field.name: getattr(self, field.name) for field in fields(self)}
        kept = {name: value for name, value in settings.items() if name not in self.NOT_PIXELS}
        return {"set": type(self).__qualname__, **kept}

    @property
    def sample_labels(self) -> Tensor:
        """The label of each sample of the training list, `UNLABELLED` where it is withheld: `(samples,)`, int64."""
        return self._targets["train"]

    def check(self) -> None:
        """Refuse values outside their range."""
        for name in (field.name for field in fields(self) if field.type is bool):
            self.require(name, isinstance(getattr(self, name), bool), "true or false")
        for name in ("batch_size", "eval_batch_size"):
            self.require(name, is_whole(getattr(self, name), 1), "a whole number, at least 1")
        for name in ("seed", "view_seed", "split_seed"):
            self.require(name, is_whole(getattr(self, name), 0), "a whole number, at least 0")
        self.require("mean", are_three(self.mean), "three numbers, one per channel")
        self.require("std", are_three(self.std) and min(self.std) > 0, "three numbers above 0")
        held_out, labelled, samples = self.val_fraction, self.labelled_fraction, self.train_samples
        self.require("val_fraction", is_fraction(held_out) and held_out < 1, "in [0, 1)")
        self.require("labelled_fraction", is_fraction(labelled) and labelled > 0, "in (0, 1]")
        allowed = samples is None or is_whole(samples, 1)
        self.require("train_samples", allowed, "a whole number, at least 1, or null for all")

    def require(self, name: str, allowed: bool, rule: str) -> None:
        """Refuse the value of `data.<name>` unless it is allowed.

        Raises:
            BadInput: naming the key, its rule, the value received and one that works.
        """
        if not allowed:
            default = getattr(type(self), name, None)
            usual = "null" if default is None else list(default) if isinstance(default, tuple) else default
            value = getattr(self, name)
            raise BadInput(f"data.{name} must be {rule}, got {value!r}; data.{name}={usual} is the default")

    def setup(self, stage: str | None = None) -> None:
        """Read the data and cut their parts; a second call does nothing."""
        if self._parts:
            return
        labels, self.class_names, self.sample_shape = self.read_contents()
        self.num_classes = len(self.class_names)
        train, val = self._cut(labels)
        labelled = portion("data.labelled_fraction", self.labelled_fraction, len(train))
        self._targets = labels | {"train": labels["train"].index_fill(0, train[labelled:], UNLABELLED)}
        self._val_source = "val" if "val" in labels else "train"
        self._parts = {"train": train.sort().values, "val": val, "test": torch.arange(len(labels["test"]))}
        self.train_size, self.val_size, self.test_size = (len(part) for part in self._parts.values())

    def _cut(self, labels: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Training positions, any leading part of them stratified, and sorted validation positions."""
        train = stratified_order(labels["train"], self.split_seed)
        if "val" in labels:
            val = torch.arange(len(labels["val"]))
        else:
            held_out = portion("data.val_fraction", self.val_fraction, len(train))
            val, train = train[:held_out].sort().values, train[held_out:]
        rule = f"at most {len(train)}, the samples there are to train on"
        self.require("train_samples", (self.train_samples or 0) <= len(train), rule)
        return train[: self.train_samples], val

    def train_dataloader(self) -> EpochLoader:
        """One epoch's batches from where the trainer stands; each rank yields its share of them."""
        self._check_batches()
        return EpochLoader(
            batches=self._train_batches,
            draw=lambda epoch, first: self._fetch("train", self.requests(epoch)[first:]),
            position=lambda: trainer_position(self.trainer),
        )

    def val_dataloader(self) -> EpochLoader | list[Any]:
        """The validation samples in index order, without augmentation; an empty list when there are none."""
        return self._evaluation(self._val_source, self._parts["val"]) if self.val_size else []

    def test_dataloader(self) -> EpochLoader:
        """The test samples in index order, without augmentation."""
        return self._evaluation("test", self._parts["test"])

    def batch_at(self, epoch: int, number: int) -> Batch:
        """One training batch as the loader yields it to this rank.

        Args:
            epoch: counted from 0.
            number: of the batch within its epoch, counted from 0.

        Raises:
            IndexError: if the epoch has no such batch.
        """
        return next(self._fetch("train", [self.requests(epoch)[number]]))

    def visits(self, epoch: int) -> Request:
        """The samples of an epoch in the order in which they are met, over all ranks, and the view of each."""
        positions = self._parts["train"]
        order = positions[sample_order(self.seed, epoch, len(positions))]
        met = order[: self._train_batches * self.batch_size]
        return Request(met, self.draw_views(epoch, len(self._targets["train"]))[met])

    def pictures(self, requests: list[Request]) -> Iterator[Tensor]:
        """For each request its training samples, in their views, as networks see them: `(batch, C, H, W)`, uint8."""
        return self.inputs("train", requests)

    def thumbnails(self, samples: Tensor) -> Tensor:
        """Test samples for people to look at, without augmentation.

        Args:
            samples: positions in the test list, at least one.

        Returns:
            `(samples, channels, height, width)`, uint8, no side longer than `THUMBNAIL`.
        """
        (images,) = self.inputs("test", [Request(samples, torch.full_like(samples, self.identity_view))])
        longest = max(images.shape[-2:])
        if longest <= THUMBNAIL:
            return images
        size = [max(1, side * THUMBNAIL // longest) for side in images.shape[-2:]]
        return F.interpolate(images.float(), size, mode="bilinear", antialias=True).round().to(torch.uint8)

    def requests(self, epoch: int) -> list[Request]:
        """The batches of an epoch, of each what this rank takes."""
        order, views = self.visits(epoch)
        rank, ranks = self._rank_of_ranks
        batches = zip(torch.split(order, self.batch_size), torch.split(views, self.batch_size), strict=True)
        return [Request(samples[rank::ranks], view[rank::ranks]) for samples, view in batches]

    def _evaluation(self, source: str, positions: Tensor) -> EpochLoader:
        rank, ranks = self._rank_of_ranks
        # Counted for the rank that holds most, so that all ranks take equally many steps.
        batches = math.ceil(math.ceil(len(positions) / ranks) / self.eval_batch_size)
        shares = positions[rank::ranks].tensor_split(batches)
        requests = [Request(samples, torch.full_like(samples, self.identity_view)) for samples in shares]
        return EpochLoader(
            batches=batches,
            draw=lambda _, first: self._fetch(source, requests[first:]),
            position=lambda: (0, 0),
        )

    def _fetch(self, source: str, requests: list[Request]) -> Iterator[Batch]:
        targets = self._targets[source]
        for (samples, view), images in zip(requests, self.inputs(source, requests), strict=True):
            yield Batch(images, targets[samples], samples, view)

    @property
    def _train_batches(self) -> int:
        batches = self.train_size / self.batch_size
        return math.floor(batches) if self.drop_last else math.ceil(batches)

    @property
    def _rank_of_ranks(self) -> tuple[int, int]:
        return (0, 1) if self.trainer is None else (self.trainer.global_rank, self.trainer.world_size)

    def _check_batches(self) -> None:
        ranks = self._rank_of_ranks[1]
        self.require("batch_size", self.batch_size >= ranks, f"at least {ranks}, one sample for each rank")
        if self._train_batches == 0:
            rule = f"at most {self.train_size}, the training samples, with data.drop_last=true"
            self.require("batch_size", False, rule)
        left_over = self.train_size % self.batch_size
        if not self.drop_last and 0 < left_over < ranks:
            raise BadInput(
                f"data.batch_size={self.batch_size} leaves {left_over} of {self.train_size} training samples "
                f"to the last batch, fewer than the {ranks} ranks: set data.drop_last=true or another size"
            )


def are_three(values: Sequence[float]) -> bool:
    """Whether a setting is three numbers."""
    three = isinstance(values, Sequence) and len(values) == 3
    return three and all(isinstance(value, int | float) for value in values)
