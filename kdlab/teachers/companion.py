"""Teachers that change as the student is trained."""

from typing import Any, ClassVar

from torch import nn

from kdlab.models.network import Network


class Companion(nn.Module):
    """A network beside the student that teaches it and changes with it: a module of the method, never exported.

    Attributes:
        name: under which its network is evaluated and reported beside the student.
        network: that gives the outputs.
    """

    name: ClassVar[str]
    network: Network

    def __init__(self) -> None:
        super().__init__()
        self.weight = 1.0
        self.forwards = self.hits = 0  # what it computes is a part of training it

    def expect(self, data: Any) -> None:
        """Nothing to prepare."""

    def follow(self, student: Network) -> None:
        """Nothing to do."""

    def close(self) -> None:
        """Nothing to release."""
