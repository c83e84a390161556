"""Wide ResNets: a block as defined in the paper, and valid sizes."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from kdlab.errors import BadInput
from kdlab.models import cifar
from kdlab.models.wide_resnet import PreActivationBlock


@pytest.mark.parametrize("name", ["wrn_16_1", "wrn_16_2", "wrn_40_1", "wrn_40_2"])
def test_the_name_gives_the_depth_and_the_width_of_the_stages(name):
    depth, width = map(int, name.split("_")[1:])
    network = getattr(cifar, name)(10)
    kernels = [part.kernel_size for part in network.modules() if isinstance(part, nn.Conv2d)]
    assert kernels.count((3, 3)) == depth - 3  # the paper also counts a shortcut in each stage
    assert network.fc.in_features == 64 * width


@pytest.mark.parametrize(("channels", "width", "stride"), [(4, 4, 1), (4, 6, 1), (4, 6, 2)])
def test_a_block_activates_before_it_convolves(channels, width, stride):
    block = PreActivationBlock(channels, width, stride).eval()
    block.bn1.running_mean.fill_(0.3)
    features = torch.randn(2, channels, 8, 8)
    activated = ((features - 0.3) / (1 + 1e-5) ** 0.5).clamp(min=0)
    inner = (F.conv2d(activated, block.conv1.weight, stride=stride, padding=1) / (1 + 1e-5) ** 0.5).clamp(min=0)
    residual = F.conv2d(inner, block.conv2.weight, padding=1)
    beside = features if channels == width else F.conv2d(activated, block.shortcut.weight, stride=stride)
    torch.testing.assert_close(block(features), residual + beside)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"depth": 18, "width": 1}, r"kwargs\.depth: a wide ResNet has 6n \+ 4 layers \(10, 16, 22, …\), got 18"),
        ({"depth": 4, "width": 1}, r"kwargs\.depth: .* got 4"),
        ({"depth": 16, "width": 0}, r"kwargs\.width: a multiple of 1/16 above 0 is needed, got 0"),
        ({"depth": 16, "width": 0.7}, r"kwargs\.width: a multiple of 1/16 above 0 is needed, got 0\.7"),
    ],
)
def test_impossible_networks_are_explained(kwargs, message):
    with pytest.raises(BadInput, match=message):
        cifar.wrn(10, **kwargs)
