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


class BatchIndices(NamedTuple):
    """Which samples a batch holds, and in which views. Index and view determine an input exactly.

    Args:
        samples: `(batch,)`, int64; positions in the data set's own training, validation or test list.
        view: `(batch,)`, int64; the augmentation (of text: the padded length) that each sample has in this batch.
    """

    samples: Tensor
    view: Tensor

    def select(self, positions: Tensor) -> "BatchIndices":
        """The indices at some positions of the batch: `(selected,)`, int64."""
        return BatchIndices(self.samples[positions], self.view[positions])


class Batch(NamedTuple):
    """Some samples with their targets and, where the data module provides them, their indices.

    A Trainer moves inputs and targets to its device. Indices stay on the host, so that cached outputs are looked
    up without waiting for the device; code that needs them on the device moves them, see `moved`.

    Args:
        inputs: `(batch, channels, height, width)`, uint8, raw: each network normalises for itself. A data
            module of the user's may yield floats, or a dict of tensors that networks take by keyword.
        targets: `(batch,)`, int64; `UNLABELLED` where there is no label.
        indices: which samples these are, and in which views; None where `(index, view)` does not determine inputs.
    """

    inputs: Inputs
    targets: Tensor
    indices: BatchIndices | None = None

    @property
    def index(self) -> Tensor | None:  # type: ignore[override]  # hides tuple.index
        """The samples' positions in their list: `(batch,)`, int64."""
        return None if self.indices is None else self.indices.samples

    @property
    def view(self) -> Tensor | None:
        """The view that each sample has here: `(batch,)`, int64."""
        return None if self.indices is None else self.indices.view

    @classmethod
    def of(cls, raw: Any) -> "Batch":
        """The `Batch` itself, or one made of `(inputs, targets)` as any LightningDataModule may yield.

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
        """The batch with inputs and targets on that device; indices stay where they are."""
        inputs = each(self.inputs, lambda tensor: moved(tensor, device))
        return self._replace(inputs=inputs, targets=moved(self.targets, device))

    def sample(self, position: int) -> Inputs:
        """The inputs of one sample, as a batch of one."""
        return each(self.inputs, lambda tensor: tensor[position : position + 1])


def moved(tensor: Tensor, device: torch.device) -> Tensor:
    """The tensor on that device; copies to a GPU are asynchronous."""
    return tensor.to(device, non_blocking=device.type == "cuda")


def sample_count(inputs: Inputs) -> int:
    """How many samples there are."""
    return len(inputs if isinstance(inputs, Tensor) else next(iter(inputs.values())))


def each(inputs: Inputs, change: Callable[[Tensor], Tensor]) -> Inputs:
    """The inputs with a function applied to every tensor."""
    if isinstance(inputs, Tensor):
        return change(inputs)
    return {name: change(tensor) for name, tensor in inputs.items()}
