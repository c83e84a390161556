"""What one rank's mean over its samples counts for among all ranks."""

from typing import NamedTuple

import torch
from lightning.pytorch import Trainer
from torch import Tensor

from kdlab.data.batch import UNLABELLED
from kdlab.methods.term_settings import TermSettings


class Shares(NamedTuple):
    """This rank's samples, and those with a label, over the average rank's; 1 on a single rank."""

    samples: Tensor | float = 1.0
    labelled: Tensor | float = 1.0

    @classmethod
    def on(cls, trainer: Trainer, targets: Tensor) -> "Shares":
        """DDP averages over ranks, and of a global batch one rank may hold more samples, or more labels, than another.

        Args:
            trainer: that runs the ranks.
            targets: of this rank's samples; −100 without a label.
        """
        if trainer.world_size == 1:
            return cls()
        counts = torch.stack([torch.tensor(len(targets), device=targets.device), (targets != UNLABELLED).sum()]).float()
        average = trainer.strategy.reduce(counts.clone(), reduce_op="mean").clamp(min=1e-9)
        samples, labelled = counts / average
        return cls(samples, labelled)

    def of(self, term: TermSettings) -> Tensor | float:
        """The share of a term's value; one that compares samples has the whole batch's value on every rank."""
        if term.compares_samples:
            return 1.0
        return self.labelled if "labels" in term.inputs else self.samples


def scaled(value: Tensor, factor: Tensor | float) -> Tensor:
    """`value · factor`, where a factor of 1 costs no operation: on a GPU each is a launch forward and one back."""
    return value if isinstance(factor, float | int) and factor == 1 else value * factor
