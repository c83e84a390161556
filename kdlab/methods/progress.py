"""Sums of an epoch's loss and terms, kept where the training is, and looked at rarely."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor


class Progress:
    """What has been seen of the loss and of each term in this epoch, and how many samples in all.

    Args:
        names: of the terms.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = list(names)
        self.samples = 0  # trained on so far, by this rank
        self._sums = torch.zeros(len(self.names) + 1, dtype=torch.float64)
        self._units: Tensor | float = 0.0

    def add(self, loss: Tensor, values: Mapping[str, Tensor], samples: int, units: Tensor | float) -> None:
        """One batch's weighted loss and unweighted values; a term that has no value counts as 0.

        Args:
            loss: the mean over the batch's units.
            values: of the terms, by name.
            samples: of this rank.
            units: what the task averages over, on the average rank.
        """
        self._sums = self._sums.to(loss.device)
        seen = [values[name] if name in values else loss.new_zeros(()) for name in self.names]
        self._sums += torch.stack([loss, *seen]).detach() * units
        self._units += units
        self.samples += samples

    def not_finite(self) -> list[str]:
        """The terms that have met a NaN or infinity: a sum that met one stays so."""
        finite = self._sums[1:].isfinite().tolist()
        return [name for name, fine in zip(self.names, finite, strict=True) if not fine]

    def close_epoch(self, active: Iterable[str]) -> dict[str, Tensor]:
        """Means of the loss and of those terms over the units of the epoch, which is then forgotten."""
        means = dict(zip(["loss", *self.names], self._sums / (self._units or 1), strict=True))
        self._sums, self._units = torch.zeros_like(self._sums), 0.0
        return {name: means[name] for name in ["loss", *active]}

    def state_dict(self) -> dict[str, Any]:
        """As tensors and plain values."""
        return {"sums": self._sums.cpu(), "units": float(self._units), "samples": self.samples}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """What `state_dict` gave."""
        self._sums, self._units, self.samples = state["sums"], state["units"], state["samples"]
