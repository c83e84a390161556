"""Companions: teachers that change while the student is trained."""

from typing import Any, ClassVar

from torch import nn

from kdlab.models.network import Network


class Companion(nn.Module):
    """A teacher network that changes during training: a submodule of the method, never exported.

    Attributes:
        name: the key of its figures in the results.
        network: computes the outputs.
    """

    name: ClassVar[str]
    network: Network

    def __init__(self) -> None:
        super().__init__()
        self.weight = 1.0
        self.forwards = self.hits = 0  # its forward passes are not counted as a frozen teacher's

    def set_data(self, data: Any) -> None:
        """Nothing to prepare."""

    def update(self, student: Network) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Nothing to release."""
