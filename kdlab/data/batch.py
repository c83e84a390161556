"""What every data module yields and every method receives."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from kdlab.errors import BadInput

UNLABELLED = -100
"""The target of a sample whose label is withheld; `cross_entropy` ignores it by default."""


Inputs = Tensor | Mapping[str, Tensor]
"""What networks take: images, or tensors by keyword."""


class Batch(NamedTuple):
    """Some samples, and the two integers that determine their pixels.

    A Trainer moves inputs and targets to its device. Index and view stay on the host, where stored answers are looked
    up without waiting for the device; what computes with them there sends them, see `sent`.

    Args:
        inputs: `(batch, channels, height, width)`, uint8, raw: each network normalises for itself. A data
            module of the user's may yield floats, or a dict of tensors that networks take by keyword.
        targets: `(batch,)`, int64; `UNLABELLED` where there is no label.
        index: `(batch,)`, int64; position in the data set's own training, validation or test list.
        view: `(batch,)`, int64; the augmentation each sample has in this batch.
    """

    inputs: Inputs
    targets: Tensor
    index: Tensor | None = None  # type: ignore[assignment]  # hides tuple.index
    view: Tensor | None = None

    @classmethod
    def of(cls, raw: Any) -> "Batch":
        """Takes a `Batch` as it is, and `(inputs, targets)` as any LightningDataModule may yield it.

        Raises:
            BadInput: it is neither.
        """
        if isinstance(raw, cls):
            return raw
        if isinstance(raw, Sequence) and len(raw) == 2 and isinstance(raw[1], Tensor):
            return cls(raw[0], raw[1])
        raise BadInput(
            "data: a data module yields kdlab.data.Batch or (inputs, targets) with a tensor of targets, "
            f"got {type(raw).__name__}. Return that from the data set's __getitem__."
        )

    def to(self, device: torch.device) -> "Batch":
        """The batch with inputs and targets on that device; index and view stay where they are."""
        inputs = each(self.inputs, lambda tensor: sent(tensor, device))
        return self._replace(inputs=inputs, targets=sent(self.targets, device))

    def sample(self, position: int) -> Inputs:
        """The inputs of one sample, as a batch of one."""
        return each(self.inputs, lambda tensor: tensor[position : position + 1])


def sent(tensor: Tensor, device: torch.device) -> Tensor:
    """The tensor on that device; one that goes to a GPU is not waited for."""
    return tensor.to(device, non_blocking=device.type == "cuda")


def sample_count(inputs: Inputs) -> int:
    """How many samples there are."""
    return len(inputs if isinstance(inputs, Tensor) else next(iter(inputs.values())))


def each(inputs: Inputs, change: Callable[[Tensor], Tensor]) -> Inputs:
    """Inputs of which every tensor is changed in the same way."""
    if isinstance(inputs, Tensor):
        return change(inputs)
    return {name: change(tensor) for name, tensor in inputs.items()}
