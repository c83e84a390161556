"""Weights of a batch's mean: among ranks, and among batches whose gradients are accumulated to one step."""

from typing import NamedTuple

import torch
from lightning.pytorch import Trainer
from torch import Tensor

from kdlab.data.batch import UNLABELLED
from kdlab.methods.term_settings import TermSettings


class Shares(NamedTuple):
    """This rank's number of units, and of units with a label, divided by the average rank's; 1 on a single rank.

    Attributes:
        units: weight of a mean over this rank's units.
        labelled: weight of a mean over those with a label.
        average: number of units of the average rank.
    """

    units: Tensor | float = 1.0
    labelled: Tensor | float = 1.0
    average: Tensor | float = 1.0

    @classmethod
    def on(cls, trainer: Trainer, labels: Tensor) -> "Shares":
        """Shares for one batch: DDP averages over ranks, which may hold different numbers of units and labels.

        Args:
            trainer: that runs the ranks.
            labels: of this rank's units; −100 where there is none.
        """
        if trainer.world_size == 1:
            return cls(average=float(len(labels)))
        counts = torch.stack([torch.tensor(len(labels), device=labels.device), (labels != UNLABELLED).sum()]).float()
        average = trainer.strategy.reduce(counts.clone(), reduce_op="mean").clamp(min=1e-9)
        units, labelled = counts / average
        return cls(units, labelled, average[0])

    def of(self, term: TermSettings) -> Tensor | float:
        """The share of a term's value; 1 where each rank computes it on the whole batch."""
        if term.compares_samples:
            return 1.0
        return self.labelled if "labels" in term.inputs else self.units


class Window:
    """The batches whose gradients are accumulated to one step of the optimizer, so that each unit has the same weight.

    Lightning divides each loss by `batches`; how many units follow is not known at the first of them. So each loss is
    weighted by its batch's units over those of the first batch, and the gradient is rescaled before the step. Both
    factors are 1 for batches of equally many units.

    Attributes:
        batches: number in a whole window: the trainer's `accumulate_grad_batches`.
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
        """The factor that makes the accumulated gradient that of the mean over all units; starts a new window."""
        if not self._counts:
            return 1.0
        factor = self.batches * _at_least_one(self._counts[0]) / _at_least_one(sum(self._counts))
        self._counts = []
        return factor


def scaled(value: Tensor, factor: Tensor | float) -> Tensor:
    """`value · factor`, with no operation for a factor of 1: on a GPU each launches a kernel, forward and backward."""
    return value if isinstance(factor, float | int) and factor == 1 else value * factor


def _at_least_one(units: Tensor | float) -> Tensor | float:
    return units.clamp(min=1) if isinstance(units, Tensor) else max(units, 1)
