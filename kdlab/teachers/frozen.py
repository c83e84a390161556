"""Frozen teachers: networks in eval mode that training cannot change."""

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property, partial
from typing import Any

import torch

from kdlab.data.batch import Batch, sample_count
from kdlab.models.folding import fold
from kdlab.models.network import Network
from kdlab.models.taps import Outputs, Taps, observe
from kdlab.teachers.precision import keep_in_bfloat16, teacher_precision
from kdlab.teachers.truncated import TruncatedForward

Load = Callable[[], Network]  # loads a network with its weights, or returns the one already loaded


class FrozenTeacher:
    """A network in eval mode and without gradients, kept outside the student's module tree.

    It is not an `nn.Module`, so no checkpoint, optimizer, `.train()` or DDP wrapper of the student includes it. It
    is loaded for its first batch: a teacher that is never used takes no memory. To save compute, BatchNorms are folded,
    and the forward pass is truncated after the last tap where no logits are read.

    Args:
        load: loads the teacher with its own preprocessing; the network is modified here.
        weight: its share among several teachers, above 0.
        taps: module path by role; only the roles in `roles` are captured.
        roles: which taps the loss reads.
        precision: see `kdlab.teachers.precision.teacher_precision`; independent of the student's.
        logits: whether the loss reads them; if not, they may be empty.
    """

    def __init__(
        self,
        load: Load,
        *,
        weight: float = 1.0,
        taps: Mapping[str, str] | None = None,
        roles: Iterable[str] = (),
        precision: str = "auto",
        logits: bool = True,
    ) -> None:
        self.weight = weight
        self.forwards = 0
        self.hits = 0
        self._load, self._precision, self._logits = load, precision, logits
        self._paths = {role: (taps or {})[role] for role in roles}
        self._device = torch.device("cpu")

    def to(self, device: torch.device) -> None:
        """Computes on that device; called before the first batch."""
        self._device = device

    def set_data(self, data: Any) -> None:
        """Nothing to prepare."""

    def update(self, student: Network) -> None:
        """Nothing to do: its weights are frozen."""

    def close(self) -> None:
        """Nothing to release."""

    @cached_property
    def network(self) -> Network:
        """The teacher; loading it leaves torch's generator unchanged, and so a step's random numbers."""
        with torch.random.fork_rng(devices=[]):
            network = self._load().eval().requires_grad_(False)
        fold(network.module, self._paths.values())
        if self._in_bfloat16:
            keep_in_bfloat16(network.module)
        return network.to(self._device)

    def __call__(self, inputs: Any) -> Outputs:
        """Logits, in float32, and tapped features for a batch of raw inputs; both may be saved for a backward pass."""
        forward = self._observe
        with torch.inference_mode(), torch.autocast(self._device.type, torch.bfloat16, enabled=self._in_bfloat16):
            outputs = forward(inputs)
        count = sample_count(inputs)
        self.forwards += count
        logits = outputs.logits.float().clone() if self._logits else torch.empty(count, 0)
        return Outputs(logits, {role: feature.clone() for role, feature in outputs.features.items()})

    @cached_property
    def _observe(self) -> Callable[[Any], Outputs]:
        taps = Taps(self.network.module, self._paths)
        if self._paths and not self._logits:
            return TruncatedForward(self.network, taps).observe
        return partial(observe, self.network, taps)

    @property
    def _in_bfloat16(self) -> bool:
        return teacher_precision(self._precision, self._device.type) == "bfloat16"

    def outputs(self, batch: Batch) -> Outputs:
        """Logits and tapped features for a batch."""
        return self(batch.inputs)
