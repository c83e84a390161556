"""What a network is worth: its figures on a data set, its size, and what it costs to run."""

from collections.abc import Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from torchmetrics.functional.classification import multiclass_calibration_error

from kdlab.data.batch import UNLABELLED, Batch

CALIBRATION_BINS = 15


@torch.no_grad()
def predict(network: nn.Module, batches: Iterable[Any], device: torch.device) -> tuple[Tensor, Tensor]:
    """Logits `(samples, classes)` in float32 and targets `(samples,)` of a data set, on the CPU, in its order.

    The network is evaluated in eval mode and left in the mode it had.
    """
    training = network.training
    network.eval().to(device)
    logits, targets = [], []
    for raw in batches:
        batch = Batch.of(raw).to(device)
        logits.append(network(batch.inputs).float().cpu())
        targets.append(batch.targets.cpu())
    network.train(training)
    return torch.cat(logits), torch.cat(targets)


def classification_figures(logits: Tensor, targets: Tensor) -> dict[str, float]:
    """Accuracy in percent, negative log-likelihood in nats, and expected calibration error in [0, 1].

    The calibration error has 15 bins of equal width and the L1 norm (Guo et al. 2017, arXiv:1706.04599).

    Args:
        logits: `(samples, classes)`.
        targets: `(samples,)`; −100 is left out.
    """
    kept = targets != UNLABELLED
    logits, targets = logits[kept].float(), targets[kept]
    error = multiclass_calibration_error(
        logits.softmax(-1), targets, num_classes=logits.shape[-1], n_bins=CALIBRATION_BINS, norm="l1"
    )
    return {
        "accuracy": 100 * (logits.argmax(-1) == targets).double().mean().item(),
        "nll": F.cross_entropy(logits.double(), targets).item(),
        "ece": error.item(),
    }


def agreement(logits: Tensor, teacher: Tensor) -> float:
    """Share of samples, in percent, for which both `(samples, classes)` logits name the same class."""
    return 100 * (logits.argmax(-1) == teacher.argmax(-1)).double().mean().item()


def kl_to_teacher(logits: Tensor, teacher: Tensor) -> float:
    """KL(teacher ‖ student) at temperature 1 in nats, averaged over samples; both `(samples, classes)` logits."""
    log_student, log_teacher = logits.double().log_softmax(-1), teacher.double().log_softmax(-1)
    return F.kl_div(log_student, log_teacher, reduction="batchmean", log_target=True).item()


def parameter_count(module: nn.Module) -> int:
    """Number of parameters, shared ones once."""
    return sum(parameter.numel() for parameter in module.parameters())


@torch.no_grad()
def flops(network: nn.Module, inputs: Any) -> int:
    """Floating-point operations of one sample's forward pass; a multiply-add counts as two.

    Args:
        network: anything callable on `inputs`; left in the mode it had.
        inputs: a batch of one sample.
    """
    training = network.training
    network.eval()
    with FlopCounterMode(display=False) as counter:
        network(inputs)
    network.train(training)
    return int(counter.get_total_flops())
