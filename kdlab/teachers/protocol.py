"""The interface of teachers: outputs for a batch."""

from typing import Any, Protocol, runtime_checkable

import torch

from kdlab.data.batch import Batch
from kdlab.models.network import Network
from kdlab.models.taps import Outputs


@runtime_checkable
class Teacher(Protocol):
    """Returns outputs for batches, computed or read from a cache.

    A teacher that is an `nn.Module` is a submodule of the method: it is in the checkpoint, and its parameters that
    require a gradient are in the optimizer. Any other is not trained.

    Attributes:
        weight: its share among several teachers, above 0.
        forwards: samples passed through the network, only to train the student.
        hits: samples whose outputs were read from the cache instead.
    """

    weight: float
    forwards: int
    hits: int

    def outputs(self, batch: Batch) -> Outputs:
        """Logits and tapped features of a batch, on the device of the student."""

    def to(self, device: torch.device) -> Any:
        """Computes on that device from now on; called before the first batch."""

    def set_data(self, data: Any) -> None:
        """Sets the data module of the training, before the first batch."""

    def update(self, student: Network) -> None:
        """Called after each step of the optimizer, with the updated student."""

    def close(self) -> None:
        """Releases files; no outputs can be read any more."""
