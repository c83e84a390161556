"""Metrics of predictions: logits `(units, classes)` against labels, or against those of a teacher."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics import Metric

from kdlab.data.batch import UNLABELLED


class MeanOverUnits(Metric):
    """A mean over all labelled units of all updates and all ranks, summed in float64."""

    total: Tensor
    count: Tensor
    full_state_update = False

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        for name in ("total", "count"):
            self.add_state(name, torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, logits: Tensor, labels: Tensor) -> None:
        """Adds a batch of units.

        Args:
            logits: `(units, classes)`.
            labels: `(units,)`; `UNLABELLED` is left out.
        """
        self.total += self.sum(logits, labels).double()
        self.count += (labels != UNLABELLED).sum()

    def compute(self) -> Tensor:
        """The mean."""
        return self.total / self.count

    def sum(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The sum over the labelled units."""
        raise NotImplementedError


class Accuracy(MeanOverUnits):
    """Percentage of units whose most probable class is the label."""

    higher_is_better = True

    def sum(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The number of correct predictions."""
        return (logits.argmax(-1) == labels).sum()

    def compute(self) -> Tensor:
        """In percent."""
        return 100 * self.total / self.count


class NegativeLogLikelihood(MeanOverUnits):
    """Cross-entropy of the labels in nats."""

    higher_is_better = False

    def sum(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Summed over units."""
        return F.cross_entropy(logits, labels, reduction="sum", ignore_index=UNLABELLED)


def agreement(logits: Tensor, teacher: Tensor) -> float:
    """Percentage of units for which both `(units, classes)` logits predict the same class."""
    return 100 * (logits.argmax(-1) == teacher.argmax(-1)).double().mean().item()


def kl_to_teacher(logits: Tensor, teacher: Tensor) -> float:
    """KL(teacher ‖ student) at temperature 1 in nats, averaged over units; both `(units, classes)` logits."""
    log_student, log_teacher = logits.double().log_softmax(-1), teacher.double().log_softmax(-1)
    return F.kl_div(log_student, log_teacher, reduction="batchmean", log_target=True).item()
