"""The cost of a network: its parameters, and the operations of a forward pass."""

from typing import Any

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode


def parameter_count(module: nn.Module) -> int:
    """Number of parameters, shared ones once."""
    return sum(parameter.numel() for parameter in module.parameters())


@torch.no_grad()
def flops(network: nn.Module, inputs: Any) -> int:
    """Floating-point operations of one sample's forward pass; a multiply-add counts as two.

    Args:
        network: called on `inputs` in eval mode; its training mode is restored.
        inputs: a batch of one sample.
    """
    training = network.training
    network.eval()
    # As matrix products: older releases of torch do not count every fused attention.
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        network(inputs)
    network.train(training)
    return int(counter.get_total_flops())
