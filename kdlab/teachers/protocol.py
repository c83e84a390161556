"""What every teacher is to a method: something that can be asked for outputs on a batch."""

from typing import Any, Protocol, runtime_checkable

import torch

from kdlab.data.batch import Batch
from kdlab.models.network import Network
from kdlab.models.taps import Outputs


@runtime_checkable
class Teacher(Protocol):
    """Gives outputs on batches; a method neither knows nor asks how it comes by them.

    One that is an `nn.Module` as well is a part of the method: it is in the checkpoint, and what of it requires a
    gradient is in the optimizer. Any other is out of training's reach.

    Attributes:
        weight: its share among several teachers, above 0.
        forwards: samples that it computed outputs of, for the student alone.
        hits: samples whose outputs were read from a cache in place of that.
    """

    weight: float
    forwards: int
    hits: int

    def outputs(self, batch: Batch) -> Outputs:
        """Logits and tapped features of a batch, on the device of the student."""

    def to(self, device: torch.device) -> Any:
        """Computes on that device from now on; called before the first batch."""

    def expect(self, data: Any) -> None:
        """Announces the data module that is trained on, before the first batch."""

    def follow(self, student: Network) -> None:
        """Called after each step of the optimizer, with the student as it is then."""

    def close(self) -> None:
        """Releases files; no outputs can be had any more."""
