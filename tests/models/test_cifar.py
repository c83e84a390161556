"""What every network for CIFAR has in common, whatever its family."""

import pytest
import torch

from kdlab.models import cifar

GENERAL = {"wrn": {"depth": 10, "width": 1}}


def make(name, **kwargs):
    return getattr(cifar, name)(7, **GENERAL.get(name, {}), **kwargs)


@pytest.mark.parametrize("name", cifar.__all__)
def test_every_network_trains_on_a_small_batch(name):
    network = make(name, dropout=0.2)
    logits = network(torch.randn(2, 3, 32, 32))
    assert logits.shape == (2, 7)
    logits.square().sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


@pytest.mark.parametrize("name", cifar.__all__)
def test_dropout_acts_on_the_features_before_the_last_layer(name):
    network = make(name, dropout=1.0)
    assert torch.equal(network(torch.randn(2, 3, 32, 32)), network.fc.bias.expand(2, 7))


@pytest.mark.parametrize("name", cifar.__all__)
def test_images_may_have_one_channel(name):
    assert make(name, in_channels=1).eval()(torch.randn(1, 1, 32, 32)).shape == (1, 7)


@pytest.mark.parametrize("name", [name for name in cifar.__all__ if name != "small_cnn"])
def test_images_may_have_another_size(name):
    assert make(name).eval()(torch.randn(1, 3, 48, 48)).shape == (1, 7)
