"""Which test images networks classify correctly, as they are and corrupted."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor, nn

from kdlab.data.batch import UNLABELLED, Batch
from kdlab.data.image.corruptions import CORRUPTIONS, corrupted
from kdlab.errors import BadInput
from kdlab.settings.corruption import ALL, CLEAN
from kdlab.tasks.base import task_of
from kdlab.tasks.predictions import predict

Flags = Mapping[str, Mapping[str, Tensor]]
"""`(samples,)`, bool: by the name of the corruption, `CLEAN` first, and of the network."""


def corruptions(name: str) -> list[str]:
    """The corruptions that a name stands for: itself, or all of them.

    Raises:
        BadInput: there is none of that name.
    """
    if name == ALL:
        return list(CORRUPTIONS)
    if name in CORRUPTIONS:
        return [name]
    close = get_close_matches(str(name), [*CORRUPTIONS, ALL], n=1)
    hint = f"Did you mean {close[0]}?" if close else f"There are: {', '.join(CORRUPTIONS)}."
    raise BadInput(f"data.corruption must be the name of a corruption, or {ALL}; got {name!r}. {hint}")


def correct(
    networks: Mapping[str, nn.Module],
    data: LightningDataModule,
    names: Sequence[str],
    severity: int,
    report: Callable[[str], None] = lambda name: None,
) -> Flags:
    """Which labelled test images each network classifies correctly.

    Args:
        networks: by name, with their preprocessing.
        data: after `setup`; it yields raw images.
        names: of corruptions.
        severity: 1 to 5.
        report: called with each name before its images are predicted.

    Raises:
        BadInput: the data are no raw images.
    """
    found: dict[str, dict[str, Tensor]] = {}
    for name in (CLEAN, *names):
        report(name)
        found[name] = {role: _correct(network, _batches(data, name, severity)) for role, network in networks.items()}
    return found


def _correct(network: nn.Module, batches: Iterable[Batch]) -> Tensor:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    logits, labels = predict(network, batches, device, task_of(None))
    return (logits.argmax(-1) == labels)[labels != UNLABELLED]


def _batches(data: LightningDataModule, name: str, severity: int) -> Iterator[Batch]:
    first = 0
    for raw in data.test_dataloader():
        batch = Batch.of(raw)
        samples = torch.arange(first, first + len(batch.targets))
        first += len(samples)
        yield (
            batch if name == CLEAN else batch._replace(inputs=corrupted(_images(batch.inputs), samples, name, severity))
        )


def _images(inputs: Any) -> Tensor:
    if isinstance(inputs, Tensor) and inputs.ndim == 4 and inputs.dtype == torch.uint8:
        return inputs
    kind = f"{inputs.dtype} of shape {tuple(inputs.shape)}" if isinstance(inputs, Tensor) else type(inputs).__name__
    raise BadInput(f"data.corruption needs raw images, uint8 of (samples, channels, height, width), got {kind}.")
