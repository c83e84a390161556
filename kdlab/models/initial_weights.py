"""Initial weights of the CIFAR networks, as in their papers and the benchmark."""

from torch import nn


def kaiming_fan_out(module: nn.Module) -> None:
    """Draw a convolution from a normal distribution of variance 2 / (outputs * kernel area), with zero biases."""
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def small_linear(module: nn.Module) -> None:
    """Draw a linear layer from a normal distribution of standard deviation 0.01, with zero biases."""
    if isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, std=0.01)
        nn.init.zeros_(module.bias)
