"""The small CNN has its documented layers, and names the image size it was built for."""

import pytest
import torch

from kdlab.errors import BadInput
from kdlab.models import cifar


def parameters(network):
    return sum(parameter.numel() for parameter in network.parameters())


def test_small_cnn_has_the_parameters_of_its_four_layers():
    convolutions = 3 * 32 * 9 + 32 + 32 * 64 * 9 + 64
    assert parameters(cifar.small_cnn(10)) == convolutions + 64 * 8 * 8 * 128 + 128 + 128 * 10 + 10
    assert cifar.small_cnn(10, image_size=28).hidden.in_features == 64 * 7 * 7


def test_small_cnn_names_the_size_it_was_built_for():
    with pytest.raises(BadInput, match=r"kwargs\.image_size: small_cnn was built for 32x32 images, got 28x28"):
        cifar.small_cnn(10)(torch.zeros(1, 3, 28, 28))
