"""Predictions of a network on a data set."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from kdlab.data.batch import Batch
from kdlab.models.taps import Outputs
from kdlab.tasks.base import Task


def averaged_probabilities(logits: Tensor, shares: Tensor) -> Tensor:
    """The log-probabilities `(units, classes)` of networks whose probabilities are averaged.

    Args:
        logits: `(networks, units, classes)`, float64.
        shares: of each network, which sum to 1: `(networks,)`.
    """
    return (logits.log_softmax(-1) + shares.log().view(-1, 1, 1)).logsumexp(0)


@torch.no_grad()
def predict(network: nn.Module, batches: Iterable[Any], device: torch.device, task: Task) -> tuple[Tensor, Tensor]:
    """Logits `(units, classes)` in float32 and labels `(units,)` of a data set, on the CPU, in its order.

    The network is evaluated in eval mode and left in the mode it had.
    """
    training = network.training
    network.eval().to(device)
    logits, labels = [], []
    for raw in batches:
        batch = Batch.of(raw).to(device)
        logits.append(task.aligned(Outputs(network(batch.inputs)), batch.targets).logits.float().cpu())
        labels.append(task.labels(batch.targets).cpu())
    network.train(training)
    return torch.cat(logits), torch.cat(labels)
