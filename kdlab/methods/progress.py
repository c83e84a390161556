"""Running sums of an epoch's loss and terms, kept on the training device and rarely copied from it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor


class Progress:
    """Sums of the loss and of each term over this epoch, and the number of samples trained on in all epochs.

    Args:
        names: of the terms.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = list(names)
        self.samples = 0  # trained on so far, by this rank
        self._sums = torch.zeros(len(self.names) + 1, dtype=torch.float64)
        self._units: Tensor | float = 0.0

    def add(self, loss: Tensor, values: Mapping[str, Tensor], samples: int, units: Tensor | float) -> None:
        """Adds one batch's weighted loss and unweighted values; a term that has no value counts as 0.

        Args:
            loss: the mean over the batch's units.
            values: of the terms, by name.
            samples: of this rank.
            units: what the task averages over, on the average rank.
        """
        self._sums = self._sums.to(loss.device)
        terms = [values[name] if name in values else loss.new_zeros(()) for name in self.names]
        self._sums += torch.stack([loss, *terms]).detach() * units
        self._units += units
        self.samples += samples

    def not_finite(self) -> list[str]:
        """The terms whose sum is NaN or infinite; once not finite, a sum stays so."""
        finite = self._sums[1:].isfinite().tolist()
        return [name for name, fine in zip(self.names, finite, strict=True) if not fine]

    def close_epoch(self, active: Iterable[str]) -> dict[str, Tensor]:
        """Means of the loss and of those terms over the units of the epoch; resets the sums."""
        means = dict(zip(["loss", *self.names], self._sums / (self._units or 1), strict=True))
        self._sums, self._units = torch.zeros_like(self._sums), 0.0
        return {name: means[name] for name in ["loss", *active]}

    def state_dict(self) -> dict[str, Any]:
        """The state as tensors and plain values."""
        return {"sums": self._sums.cpu(), "units": float(self._units), "samples": self.samples}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores what `state_dict` returned."""
        self._sums, self._units, self.samples = state["sums"], state["units"], state["samples"]
