"""The inputs that exports need: an example for the shape, the test set, and calibration samples that are no test."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from kdlab.data.batch import UNLABELLED, Batch
from kdlab.data.image.base import ImageData
from kdlab.data.image.transfer import Transfer
from kdlab.data.user_module import has_validation
from kdlab.errors import BadInput
from kdlab.jobs.training.parts import make_data
from kdlab.settings.numbers import is_whole

TWO = 2  # samples in an example: a batch of one would be taken for a constant


def test_set(settings: Mapping[str, Any]) -> Any:
    """The data module of a stage, ready to yield its test set."""
    data = make_data(settings)
    data.setup("test")
    return data


def example_of(data: Any) -> Tensor:
    """Two samples of the test set: `(2, channels, height, width)`.

    Raises:
        BadInput: inputs are not one tensor.
    """
    inputs = Batch.of(next(iter(data.test_dataloader()))).sample(0)
    if not isinstance(inputs, Tensor):
        raise BadInput(
            f"data: an export takes images, one tensor a batch, got the inputs {', '.join(inputs)}. Yield (images, "
            "targets) from the data module."
        )
    return inputs.repeat(TWO, *[1] * (inputs.ndim - 1))


def labels_of(data: Any) -> list[str]:
    """The names of the classes in order; their numbers where the data do not name them."""
    return list(getattr(data, "class_names", ())) or [str(number) for number in range(data.num_classes)]


def training_set(settings: Mapping[str, Any]) -> Any:
    """The data module of a stage, ready to yield its training and validation parts."""
    data = make_data(settings)
    data.setup("fit")
    return data


def calibration_samples(data: Any, count: int) -> Tensor:
    """Samples by which a quantiser sets its ranges, without augmentation and with every class among them.

    They are of the validation part, which the student did not train on; without one, of the training part. Labels are
    only used to give each class its share.

    Args:
        data: of `training_set`.
        count: number of samples.

    Returns:
        `(count, channels, height, width)`; fewer where the data have fewer.

    Raises:
        BadInput: fewer than one for each class, or data in which a class is missing.
    """
    classes = data.num_classes
    if not is_whole(count, classes):
        raise BadInput(
            f"export.calibration_samples must be a whole number, {classes} or more: one for each class of the data; "
            f"got {count!r}. For example: export.calibration_samples={max(256, classes)}"
        )
    labelled = data.of if isinstance(data, Transfer) else data
    batch = labelled.held_out(count) if isinstance(labelled, ImageData) else _first(labelled, count)
    _check_classes(batch.targets, labels_of(data))
    assert isinstance(batch.inputs, Tensor)
    return batch.inputs


def _check_classes(targets: Tensor, names: Sequence[str]) -> None:
    missing = [name for number, name in enumerate(names) if not (targets == number).any()]
    if missing and not (targets == UNLABELLED).any():
        raise BadInput(
            f"export.calibration_samples must bring a sample of each class, got {len(targets)} without "
            f"{', '.join(missing[:5])}. Take more, or hold more out: data.val_fraction=0.1"
        )


def _first(data: Any, count: int) -> Batch:
    """The first samples of a user's own data module: of its validation loader, otherwise of its training loader."""
    found: list[Batch] = []
    for raw in (has_validation(data) and data.val_dataloader()) or data.train_dataloader():
        found.append(Batch.of(raw))
        if sum(len(batch.targets) for batch in found) >= count:
            break
    inputs, targets = zip(*((batch.inputs, batch.targets) for batch in found), strict=True)
    return Batch(torch.cat(inputs)[:count], torch.cat(targets)[:count])
