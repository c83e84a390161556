"""Frozen teachers: networks in eval mode that training cannot change."""

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property, partial
from typing import Any

import torch
from torch import Tensor

from kdlab.data.batch import Batch, each, moved, sample_count
from kdlab.models.folding import fold
from kdlab.models.network import Network
from kdlab.models.taps import Outputs, Taps, observe
from kdlab.teachers.precision import REDUCED, keep_in, teacher_precision
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
        device: that it computes on, such as `cuda:1` or `cpu`; None is the student's.
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
        device: str | None = None,
        logits: bool = True,
    ) -> None:
        self.weight = weight
        self.forwards = 0
        self.hits = 0
        self._load, self._precision, self._logits = load, precision, logits
        self._paths = {role: (taps or {})[role] for role in roles}
        self._own_device = torch.device(device) if device else None
        self._student_device = torch.device("cpu")

    def to(self, device: torch.device) -> None:
        """Computes on that device, unless it has its own, and returns outputs there; called before the first batch."""
        self._student_device = device

    @property
    def _device(self) -> torch.device:
        return self._own_device or self._student_device

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
        if self._reduced:
            keep_in(network.module, self._reduced)
        return network.to(self._device)

    def __call__(self, inputs: Any) -> Outputs:
        """Logits, in float32, and tapped features for a batch of raw inputs; both may be saved for a backward pass."""
        forward = self._observe
        with (
            torch.inference_mode(),
            torch.autocast(self._device.type, self._reduced, enabled=self._reduced is not None),
        ):
            outputs = forward(each(inputs, lambda tensor: moved(tensor, self._device)))
        count = sample_count(inputs)
        self.forwards += count
        logits = self._returned(outputs.logits.float()) if self._logits else torch.empty(count, 0)
        return Outputs(logits, {role: self._returned(feature) for role, feature in outputs.features.items()})

    def _returned(self, tensor: Tensor) -> Tensor:
        """A copy that may be saved for a backward pass, on the device of the student."""
        return tensor.to(self._student_device, copy=True)

    @cached_property
    def _observe(self) -> Callable[[Any], Outputs]:
        taps = Taps(self.network.module, self._paths)
        if self._paths and not self._logits:
            return TruncatedForward(self.network, taps).observe
        return partial(observe, self.network, taps)

    @property
    def _reduced(self) -> torch.dtype | None:
        return REDUCED.get(teacher_precision(self._precision, self._device.type))

    def outputs(self, batch: Batch) -> Outputs:
        """Logits and tapped features for a batch."""
        return self(batch.inputs)
