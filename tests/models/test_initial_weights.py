"""Initial weights have the variance that the benchmark's code draws."""

import pytest
import torch
from torch import nn

from kdlab.models import cifar


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("resnet32x4", "layer3.1.conv1"),
        ("wrn_40_2", "block3.1.conv1"),
        ("vgg8", "block3.0"),
        ("mobilenetv2_half", "blocks.5.2.conv.0"),
        ("mobilenetv2_half", "blocks.6.0.conv.3"),  # depthwise: the outputs of all groups count
        ("resnet50_cifar", "layer3.1.conv2"),
    ],
)
def test_convolutions_are_normal_by_fan_out(name, path):
    torch.manual_seed(0)
    layer = getattr(cifar, name)(10).get_submodule(path)
    outputs = layer.out_channels * layer.kernel_size[0] * layer.kernel_size[1]
    assert layer.weight.std().item() == pytest.approx((2 / outputs) ** 0.5, rel=0.05)
    assert layer.bias is None or not layer.bias.any()


@pytest.mark.parametrize("name", ["vgg8", "mobilenetv2_half"])
def test_the_last_layer_of_plain_and_mobile_networks_starts_small(name):
    torch.manual_seed(0)
    layer = getattr(cifar, name)(100).fc
    assert layer.weight.std().item() == pytest.approx(0.01, rel=0.05)
    assert not layer.bias.any()


@pytest.mark.parametrize("name", ["shufflenetv1", "shufflenetv2"])
def test_shufflenets_start_with_torchs_own_weights(name):
    torch.manual_seed(0)
    layer = getattr(cifar, name)(10).get_submodule("layer3.1.conv3")
    torch.manual_seed(0)
    drawn = nn.Conv2d(layer.in_channels, layer.out_channels, 1, groups=layer.groups, bias=False)
    assert layer.weight.std().item() == pytest.approx(drawn.weight.std().item(), rel=0.05)
