"""Unstructured pruning: single weights are set to zero and stay zero; no layer becomes narrower."""

import torch
from torch import Tensor, nn


@torch.no_grad()
def mask_smallest(module: nn.Module, ratio: float) -> None:
    """Sets the smallest weights of all layers together to zero, and keeps them there while the network is trained.

    Their gradients are zero from now on, which keeps a weight of zero at zero under momentum and weight decay.

    Args:
        module: changed in place; weights are its parameters of at least two dimensions.
        ratio: share of the weights, those included that are zero already.
    """
    weights = [parameter for parameter in module.parameters() if parameter.ndim > 1]
    sizes = torch.cat([weight.abs().flatten() for weight in weights])
    kept = torch.ones_like(sizes, dtype=torch.bool)
    kept[sizes.argsort(stable=True)[: round(ratio * len(sizes))]] = False
    masks = torch.split(kept, [weight.numel() for weight in weights])
    for weight, mask in zip(weights, masks, strict=True):
        _keep(weight, mask.view_as(weight))


def _keep(weight: nn.Parameter, mask: Tensor) -> None:
    weight.mul_(mask)
    weight.register_hook(lambda gradient: gradient * mask.to(gradient.device))  # type: ignore[no-untyped-call]


def sparsity(module: nn.Module) -> float:
    """The share of the parameters that are zero."""
    zeros = sum(int((parameter == 0).sum()) for parameter in module.parameters())
    return zeros / sum(parameter.numel() for parameter in module.parameters())
