"""Data modules with batches indexed by `(index, view)`: order, ranks, resume and views for any kind of input."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple, Protocol, runtime_checkable

import lightning as L
from torch import Tensor

from kdlab.data.batch import Batch, BatchIndices, Inputs
from kdlab.data.loader import EpochLoader, rank_and_world_size, trainer_position
from kdlab.data.stream import TrainingStream, evaluation_batches
from kdlab.errors import BadInput
from kdlab.settings.numbers import is_whole


class Addressed(L.LightningDataModule, ABC):
    """Data whose training inputs are determined by `(index, view)`: teacher outputs can be cached or precomputed."""

    train_size: int  # samples trained on; known after `setup()`

    @property
    @abstractmethod
    def batch_size(self) -> int:
        """Of one step, over all ranks together."""

    @property
    @abstractmethod
    def list_size(self) -> int:
        """Samples in the training list, including those that are not trained on: every index is below it."""

    @property
    def batches_any_views(self) -> bool:
        """Whether samples of any views fit in one batch: they are in memory and have one shape."""
        return False

    @abstractmethod
    def check_ranks(self, ranks: int) -> None:
        """Raise where the settings leave a rank without samples in some step; call after `setup()`.

        Raises:
            BadInput: with the setting and a value that works.
        """

    @abstractmethod
    def cache_key(self) -> Mapping[str, Any] | None:
        """All settings that inputs depend on, beside the content of the data; None where they are not known.

        Teachers' outputs are cached under them; where they are not known, nothing is cached.
        """

    @abstractmethod
    def visits(self, epoch: int) -> BatchIndices:
        """The samples of an epoch in training order, over all ranks, and the view of each."""

    @abstractmethod
    def batches(self, epoch: int) -> list[BatchIndices]:
        """This rank's share of each batch of an epoch."""

    @abstractmethod
    def training_inputs(self, batches: Sequence[BatchIndices]) -> Iterator[Inputs]:
        """For each batch the training samples in their views, as network inputs."""


@runtime_checkable
class HasExamples(Protocol):
    """Data whose samples can be shown as pictures."""

    class_names: Sequence[str]

    def thumbnails(self, samples: Tensor) -> Tensor:
        """Small pictures of some test samples: `(samples, channels, height, width)`, uint8."""


class Part(NamedTuple):
    """A part of the data, such as `train`: the list of its samples, and their `(samples,)` positions in it, int64."""

    source: str
    positions: Tensor


@dataclass(eq=False, kw_only=True)
class StreamData(Addressed):
    """Batches that depend on seeds, epoch and position alone; see `TrainingStream`.

    A subclass defines its parts, its views, and the inputs and targets of each `(index, view)`.

    After `setup()`: `train_size`, `val_size`, `test_size`.

    Args:
        batch_size: of one step, over all ranks together; at least 1.
        eval_batch_size: largest evaluation batch on each rank; at least 1.
        drop_last: leave out the last batch of an epoch when it is not full. Published recipes keep it.
        seed: of the sample order, at least 0.

    Raises:
        BadInput: for a value outside its range, naming its key under `data`.
    """

    batch_size: int = 64
    eval_batch_size: int = 512
    drop_last: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        super().__init__()
        self.check()
        self._parts: dict[str, Part] = {}

    @abstractmethod
    def read_parts(self) -> dict[str, Part]:
        """Read what `setup` needs and return the parts `train`, `val` and `test`; called once."""

    @abstractmethod
    def epoch_views(self, epoch: int, samples: Tensor) -> Tensor:
        """The view of each sample of an epoch; both `(samples,)`, int64.

        Args:
            epoch: counted from 0.
            samples: in the order of the epoch's batches, over all ranks.
        """

    @abstractmethod
    def evaluation_views(self, source: str, samples: Tensor) -> Tensor:
        """The view of each sample of an evaluation batch of the list `source`; both `(batch,)`, int64."""

    @abstractmethod
    def fetch(self, source: str, batches: Sequence[BatchIndices]) -> Iterator[Batch]:
        """The batches from the list `source`, with their indices."""

    def check(self) -> None:
        """Raise for values outside their range."""
        for name in (field.name for field in fields(self) if field.type is bool):
            self.require(name, isinstance(getattr(self, name), bool), "true or false")
        for name in ("batch_size", "eval_batch_size"):
            self.require(name, is_whole(getattr(self, name), 1), "a whole number, at least 1")
        self.require("seed", is_whole(self.seed, 0), "a whole number, at least 0")

    def require(self, name: str, allowed: bool, rule: str) -> None:
        """Raise unless the value of `data.<name>` is allowed.

        Raises:
            BadInput: with the key, its rule, the value received and the default.
        """
        if not allowed:
            default = getattr(type(self), name, None)
            written = "null" if default is None else list(default) if isinstance(default, tuple) else default
            value = getattr(self, name)
            raise BadInput(f"data.{name} must be {rule}, got {value!r}; data.{name}={written} is the default")

    def setup(self, stage: str | None = None) -> None:
        """Read the data and its parts; a second call does nothing."""
        if not self._parts:
            self._parts = self.read_parts()
            sizes = (len(self._parts[part].positions) for part in ("train", "val", "test"))
            self.train_size, self.val_size, self.test_size = sizes

    def train_dataloader(self) -> EpochLoader:
        """One epoch's batches from the trainer's position on; each rank yields its share."""
        self.check_ranks(rank_and_world_size(self.trainer)[1])
        return EpochLoader(
            batches=len(self._stream),
            draw=lambda epoch, first: self.fetch("train", self.batches(epoch)[first:]),
            position=lambda: trainer_position(self.trainer),
        )

    def val_dataloader(self) -> EpochLoader | list[Any]:
        """The validation samples in index order, without augmentation; an empty list when there are none."""
        return self._evaluation(self._parts["val"]) if self.val_size else []

    def test_dataloader(self) -> EpochLoader:
        """The test samples in index order, without augmentation."""
        return self._evaluation(self._parts["test"])

    def batch_at(self, epoch: int, number: int) -> Batch:
        """One training batch as the loader yields it to this rank.

        Args:
            epoch: counted from 0.
            number: of the batch within its epoch, counted from 0.

        Raises:
            IndexError: if the epoch has no such batch.
        """
        return next(self.fetch("train", [self.batches(epoch)[number]]))

    def visits(self, epoch: int) -> BatchIndices:
        """The samples of an epoch in training order, over all ranks, and the view of each."""
        return self._stream.epoch(epoch)

    def batches(self, epoch: int) -> list[BatchIndices]:
        """This rank's share of each batch of an epoch."""
        return self._stream.batches(epoch, *rank_and_world_size(self.trainer))

    def training_inputs(self, batches: Sequence[BatchIndices]) -> Iterator[Inputs]:
        """For each batch the training samples in their views, as network inputs."""
        return (batch.inputs for batch in self.fetch("train", batches))

    def check_ranks(self, ranks: int) -> None:
        """Raise where the batch size leaves a rank without samples in some step.

        Raises:
            BadInput: with the setting and a value that works.
        """
        self.require("batch_size", self.batch_size >= ranks, f"at least {ranks}, one sample for each rank")
        if len(self._stream) == 0:
            rule = f"at most {self.train_size}, the training samples, with data.drop_last=true"
            self.require("batch_size", False, rule)
        if 0 < self._stream.left_over < ranks:
            raise BadInput(
                f"data.batch_size={self.batch_size} leaves {self._stream.left_over} of {self.train_size} training "
                f"samples to the last batch, fewer than the {ranks} ranks: set data.drop_last=true or another size"
            )

    @property
    def _stream(self) -> TrainingStream:
        train = self._parts["train"].positions
        return TrainingStream(train, self.batch_size, self.epoch_views, self.drop_last, self.seed)

    def _evaluation(self, part: Part) -> EpochLoader:
        shares = evaluation_batches(part.positions, self.eval_batch_size, *rank_and_world_size(self.trainer))
        batches = [BatchIndices(samples, self.evaluation_views(part.source, samples)) for samples in shares]
        return EpochLoader(
            batches=len(batches),
            draw=lambda _, first: self.fetch(part.source, batches[first:]),
            position=lambda: (0, 0),
        )
