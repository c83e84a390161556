"""Image data modules: labels, classes, parts, sample shape, pixels and normalisation on top of `StreamData`."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from kdlab.data.batch import UNLABELLED, Batch, BatchIndices
from kdlab.data.image.mixing import Mixing
from kdlab.data.image.randaugment import LARGEST
from kdlab.data.module import Part, StreamData
from kdlab.data.split import portion, stratified_order
from kdlab.settings.numbers import is_fraction, is_weight, is_whole

THUMBNAIL = 64  # longest side in pixels


class Contents(NamedTuple):
    """Labels, class names and sample shape of a data set.

    Args:
        labels: of `train`, `test` and, where the set has its own, `val`; each `(samples,)`, int64, from 0 on.
        class_names: in label order.
        sample_shape: `(channels, height, width)`.
    """

    labels: dict[str, Tensor]
    class_names: tuple[str, ...]
    sample_shape: tuple[int, int, int]


@dataclass(eq=False, kw_only=True)
class ImageData(StreamData):
    """Labelled images; order, ranks, resume and views are those of `StreamData`.

    After `setup()`: `num_classes`, `class_names`, `sample_shape`, `train_size`, `val_size`, `test_size`.

    Args:
        val_fraction: of the training set, held out for validation, stratified; in [0, 1). At 0 there is no
            validation. Not used where the data set has its own validation list.
        labelled_fraction: of the samples trained on, those that keep their label, stratified; in (0, 1]. The
            others are an unlabelled transfer set: their target is `UNLABELLED`.
        train_samples: number of samples to train on, stratified; None for all. For short trials.
        view_seed: of the augmentation, at least 0.
        split_seed: of every held-out part, at least 0.
        mixup: blend training images, see `Mixing`; 0 or more.
        cutmix: cut rectangles of other images into training images, likewise; 0 or more.
        randaugment: magnitude of RandAugment, from 1 to 30; 0 for none.
        mean: per channel of images scaled to [0, 1]. Networks normalise with it; images stay raw here.
        std: per channel, above 0; likewise.

    Raises:
        BadInput: for a value outside its range, naming its key under `data`.
    """

    NOT_PIXELS: ClassVar[frozenset[str]] = frozenset(
        {"batch_size", "eval_batch_size", "val_fraction", "labelled_fraction", "train_samples", "drop_last", "seed"}
        | {"mean", "std", "root", "download", "num_workers", "mixup", "cutmix"}
    )
    """Settings that select, order, locate or normalise samples: the pixels of `(index, view)` do not depend on them."""
    OFF: ClassVar[Mapping[str, Any]] = {"mixup": 0, "cutmix": 0, "randaugment": 0}
    """Settings that fingerprints and the keys of caches leave out at these values."""
    task: ClassVar[str] = "kdlab.tasks.image_classification.ImageClassification"

    val_fraction: float = 0.1
    labelled_fraction: float = 1.0
    train_samples: int | None = None
    view_seed: int = 0
    split_seed: int = 0
    mixup: float = 0.0
    cutmix: float = 0.0
    randaugment: int = 0
    mean: Sequence[float] = (0.485, 0.456, 0.406)
    std: Sequence[float] = (0.229, 0.224, 0.225)

    @abstractmethod
    def read_contents(self) -> Contents:
        """Read labels, class names and sample shape; called once."""

    @abstractmethod
    def draw_views(self, epoch: int, samples: int) -> Tensor:
        """The view of each sample of the training set in an epoch: `(samples,)`, int64."""

    @property
    @abstractmethod
    def identity_view(self) -> int:
        """The view that evaluation uses: no augmentation."""

    @abstractmethod
    def inputs(self, source: str, batches: Sequence[BatchIndices]) -> Iterator[Tensor]:
        """For each batch its images from the `train`, `val` or `test` list: `(batch, C, H, W)`, uint8."""

    @abstractmethod
    def digest(self) -> str:
        """A hash of the content of the data, independent of its location."""

    def pixels(self) -> dict[str, Any]:
        """All settings that the pixels of a training sample in a view depend on, beside the content of the data.

        Teachers' outputs are cached under them. For a user's subclass nothing is cached unless it defines this itself.
        """
        settings = {field.name: getattr(self, field.name) for field in fields(self)}
        kept = {
            name: value
            for name, value in settings.items()
            if name not in self.NOT_PIXELS and not is_off(type(self), name, value)
        }
        return {"set": type(self).__qualname__, **kept}

    def cache_key(self) -> Mapping[str, Any] | None:
        """`pixels`; None where images are mixed, which no index and view determine.

        Also None where a user's class inherits kdlab's `pixels`, which do not include what that class changes.
        """
        if self.mixing:
            return None
        owner = next(kind for kind in type(self).__mro__ if "pixels" in vars(kind))
        complete = type(self).__module__.startswith("kdlab.") or not owner.__module__.startswith("kdlab.")
        return self.pixels() if complete else None

    @property
    def mixing(self) -> Mixing | None:
        """How images of a training batch are mixed; None where they are not."""
        return Mixing(self.mixup, self.cutmix) if self.mixup or self.cutmix else None

    @property
    def list_size(self) -> int:
        """Samples of the training list."""
        return len(self._targets["train"])

    @property
    def sample_labels(self) -> Tensor:
        """The label of each sample of the training list, `UNLABELLED` where it is withheld: `(samples,)`, int64."""
        return self._targets["train"]

    def check(self) -> None:
        """Raise for values outside their range."""
        super().check()
        for name in ("view_seed", "split_seed"):
            self.require(name, is_whole(getattr(self, name), 0), "a whole number, at least 0")
        self.require("mean", are_three_numbers(self.mean), "three numbers, one per channel")
        self.require("std", are_three_numbers(self.std) and min(self.std) > 0, "three numbers above 0")
        for name in ("mixup", "cutmix"):
            self.require(name, is_weight(getattr(self, name)), "a number, 0 or more")
        magnitude = self.randaugment
        self.require(
            "randaugment", is_whole(magnitude, 0) and magnitude <= LARGEST, f"a whole number from 0 to {LARGEST}"
        )
        held_out, labelled, samples = self.val_fraction, self.labelled_fraction, self.train_samples
        self.require("val_fraction", is_fraction(held_out) and held_out < 1, "in [0, 1)")
        self.require("labelled_fraction", is_fraction(labelled) and labelled > 0, "in (0, 1]")
        allowed = samples is None or is_whole(samples, 1)
        self.require("train_samples", allowed, "a whole number, at least 1, or null for all")

    def read_parts(self) -> dict[str, Part]:
        """The parts of the data, stratified by label."""
        labels, self.class_names, self.sample_shape = self.read_contents()
        self.num_classes = len(self.class_names)
        train, val = self._split(labels)
        labelled = portion("data.labelled_fraction", self.labelled_fraction, len(train))
        self._targets = labels | {"train": labels["train"].index_fill(0, train[labelled:], UNLABELLED)}
        return {
            "train": Part("train", train.sort().values),
            "val": Part("val" if "val" in labels else "train", val),
            "test": Part("test", torch.arange(len(labels["test"]))),
        }

    def _split(self, labels: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
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

    def epoch_views(self, epoch: int, samples: Tensor) -> Tensor:
        """The views of `draw_views`: a sample's view depends on its index, not on its batch."""
        return self.draw_views(epoch, self.list_size)[samples]

    def evaluation_views(self, source: str, samples: Tensor) -> Tensor:
        """No augmentation."""
        return torch.full_like(samples, self.identity_view)

    def fetch(self, source: str, batches: Sequence[BatchIndices]) -> Iterator[Batch]:
        """Images with their labels."""
        targets = self._targets[source]
        for indices, images in zip(batches, self.inputs(source, batches), strict=True):
            yield Batch(images, targets[indices.samples], indices)

    def held_out(self, count: int) -> Batch:
        """Samples without augmentation that are no test: of the validation part or, without one, of the training part.

        Args:
            count: number of samples, each class with its share; fewer where the part has fewer.
        """
        source, positions = self._parts["val" if self.val_size else "train"]
        order = stratified_order(self._targets[source][positions], self.split_seed)
        samples = positions[order[:count]].sort().values
        (batch,) = self.fetch(source, [BatchIndices(samples, self.evaluation_views(source, samples))])
        return batch

    def thumbnails(self, samples: Tensor) -> Tensor:
        """Test samples as small pictures, without augmentation.

        Args:
            samples: positions in the test list, at least one.

        Returns:
            `(samples, channels, height, width)`, uint8, no side longer than `THUMBNAIL`.
        """
        (images,) = self.inputs("test", [BatchIndices(samples, self.evaluation_views("test", samples))])
        longest = max(images.shape[-2:])
        if longest <= THUMBNAIL:
            return images
        size = [max(1, side * THUMBNAIL // longest) for side in images.shape[-2:]]
        return F.interpolate(images.float(), size, mode="bilinear", antialias=True).round().to(torch.uint8)


def is_off(kind: type, name: str, value: Any) -> bool:
    """Whether a setting of a data set has the value at which its class declares that it does nothing."""
    off = getattr(kind, "OFF", {})
    return name in off and value == off[name]


def are_three_numbers(values: Sequence[float]) -> bool:
    """Whether a setting is three numbers."""
    three = isinstance(values, Sequence) and len(values) == 3
    return three and all(isinstance(value, int | float) for value in values)
