"""Frozen teachers: they answer, and nothing that training does can reach them."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch

from kdlab.models.network import Network
from kdlab.taps import Outputs, Taps, observe


class FrozenTeacher:
    """A network in eval mode and without gradients, kept outside the student's module tree.

    It is not an `nn.Module`, so no checkpoint, optimizer, `.train()` or DDP wrapper of the student's ever sees it.

    Args:
        network: the teacher with its own preprocessing; it is put into eval mode here.
        weight: its share among several teachers, above 0.
        taps: module path by role; only the roles in `roles` are captured.
        roles: which taps the loss reads.
    """

    def __init__(
        self,
        network: Network,
        *,
        weight: float = 1.0,
        taps: Mapping[str, str] | None = None,
        roles: Iterable[str] = (),
    ) -> None:
        self.network = network.eval().requires_grad_(False)
        self.weight = weight
        self.samples = 0  # forwarded so far
        self._taps = Taps(network.module, {role: (taps or {})[role] for role in roles})

    def to(self, device: torch.device) -> None:
        """Moves the network to the device of the student."""
        self.network.to(device)

    @torch.no_grad()
    def __call__(self, inputs: Any) -> Outputs:
        """Logits and tapped features for a batch of raw inputs."""
        outputs = observe(self.network, self._taps, inputs)
        self.samples += len(outputs.logits)
        return outputs
