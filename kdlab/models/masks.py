"""Unstructured pruning: single weights are set to zero and stay zero; no layer becomes narrower."""

import torch
from torch import Tensor, nn


@torch.no_grad()
def mask_smallest(module: nn.Module, ratio: float) -> None:
    """Sets the smallest weights of each layer to zero, and keeps them there while the network is trained.

    Their gradients are zero from now on, which keeps a weight of zero at zero under momentum and weight decay.

    Args:
        module: changed in place; weights are its parameters of at least two dimensions.
        ratio: share of a layer's weights, those included that are zero already.
    """
    for weight in (parameter for parameter in module.parameters() if parameter.ndim > 1):
        mask = torch.ones_like(weight)
        mask.view(-1)[weight.abs().flatten().argsort(stable=True)[: round(ratio * weight.numel())]] = 0
        _keep(weight, mask)


def _keep(weight: nn.Parameter, mask: Tensor) -> None:
    weight.mul_(mask)
    weight.register_hook(lambda gradient: gradient * mask.to(gradient.device))  # type: ignore[no-untyped-call]


def sparsity(module: nn.Module) -> float:
    """The share of the weights that are zero; weights are parameters of at least two dimensions."""
    weights = [parameter for parameter in module.parameters() if parameter.ndim > 1]
    return sum(int((weight == 0).sum()) for weight in weights) / sum(weight.numel() for weight in weights)
