"""Frozen teachers: they answer, and nothing that training does can reach them."""

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import Any

import torch

from kdlab.data.batch import Batch
from kdlab.models.network import Network
from kdlab.taps import Outputs, Taps, observe

Load = Callable[[], Network]  # makes a network with its weights, afresh or the one that it made before


class FrozenTeacher:
    """A network in eval mode and without gradients, kept outside the student's module tree.

    It is not an `nn.Module`, so no checkpoint, optimizer, `.train()` or DDP wrapper of the student's ever sees it.
    It is loaded at its first question: a teacher that nobody asks takes no memory.

    Args:
        load: the teacher with its own preprocessing; it is put into eval mode here.
        weight: its share among several teachers, above 0.
        taps: module path by role; only the roles in `roles` are captured.
        roles: which taps the loss reads.
    """

    def __init__(
        self, load: Load, *, weight: float = 1.0, taps: Mapping[str, str] | None = None, roles: Iterable[str] = ()
    ) -> None:
        self.weight = weight
        self.samples = 0  # forwarded so far
        self.recalled = 0  # answers that cost no forward
        self._load = load
        self._paths = {role: (taps or {})[role] for role in roles}
        self._device = torch.device("cpu")

    def to(self, device: torch.device) -> None:
        """Answers on the device of the student from now on."""
        self._device = device
        if "network" in vars(self):
            self.network.to(device)

    def expect(self, data: Any) -> None:
        """Nothing to prepare: each batch is answered as it comes."""

    @cached_property
    def network(self) -> Network:
        """The teacher, loaded without a trace in torch's generator: a step's random numbers stay what they are."""
        with torch.random.fork_rng(devices=[]):
            return self._load().eval().requires_grad_(False).to(self._device)

    @cached_property
    def _taps(self) -> Taps:
        return Taps(self.network.module, self._paths)

    def answer(self, batch: Batch) -> Outputs:
        """Logits and tapped features for a batch."""
        return self(batch.inputs)

    @torch.no_grad()
    def __call__(self, inputs: Any) -> Outputs:
        """Logits and tapped features for a batch of raw inputs."""
        outputs = observe(self.network, self._taps, inputs)
        self.samples += len(outputs.logits)
        return outputs
