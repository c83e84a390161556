"""How much a batch's mean counts for: among ranks, and among batches whose gradients are accumulated to one step."""

from typing import NamedTuple

import torch
from lightning.pytorch import Trainer
from torch import Tensor

from kdlab.data.batch import UNLABELLED
from kdlab.methods.term_settings import TermSettings


class Shares(NamedTuple):
    """This rank's units, and those with a label, over the average rank's; 1 on a single rank.

    Attributes:
        units: what a mean over this rank's units counts for.
        labelled: the same of a mean over those with a label.
        average: units of the average rank.
    """

    units: Tensor | float = 1.0
    labelled: Tensor | float = 1.0
    average: Tensor | float = 1.0

    @classmethod
    def on(cls, trainer: Trainer, labels: Tensor) -> "Shares":
        """DDP averages over ranks, and of a global batch one rank may hold more units, or more labels, than another.

        Args:
            trainer: that runs the ranks.
            labels: of this rank's units; −100 without one.
        """
        if trainer.world_size == 1:
            return cls(average=float(len(labels)))
        counts = torch.stack([torch.tensor(len(labels), device=labels.device), (labels != UNLABELLED).sum()]).float()
        average = trainer.strategy.reduce(counts.clone(), reduce_op="mean").clamp(min=1e-9)
        units, labelled = counts / average
        return cls(units, labelled, average[0])

    def of(self, term: TermSettings) -> Tensor | float:
        """The share of a term's value; one that compares samples has the whole batch's value on every rank."""
        if term.compares_samples:
            return 1.0
        return self.labelled if "labels" in term.inputs else self.units


class Window:
    """The batches whose gradients are accumulated to one step of the optimizer, in which each unit counts the same.

    Lightning divides each loss by `batches`, and how many units follow is not known at the first of them. So each loss
    is weighed by its batch's units over those of the first batch, and the gradient is corrected before the step. Both
    factors are 1 for batches of equally many units.

    Attributes:
        batches: of a whole window: the trainer's `accumulate_grad_batches`.
    """

    def __init__(self) -> None:
        self.batches = 1
        self._counts: list[Tensor | float] = []

    def weight(self, units: Tensor | float) -> Tensor | float:
        """The weight of the next batch's loss, from its units on the average rank."""
        if self.batches == 1:
            return 1.0
        self._counts.append(units)
        return units / _at_least_one(self._counts[0])

    def close(self) -> Tensor | float:
        """The factor that makes the accumulated gradient that of the mean over all units; then a new window begins."""
        if not self._counts:
            return 1.0
        factor = self.batches * _at_least_one(self._counts[0]) / _at_least_one(sum(self._counts))
        self._counts = []
        return factor


def scaled(value: Tensor, factor: Tensor | float) -> Tensor:
    """`value · factor`, where a factor of 1 costs no operation: on a GPU each is a launch forward and one back."""
    return value if isinstance(factor, float | int) and factor == 1 else value * factor


def _at_least_one(units: Tensor | float) -> Tensor | float:
    return units.clamp(min=1) if isinstance(units, Tensor) else max(units, 1)
