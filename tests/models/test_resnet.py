"""The basic-block ResNets have the parameters, names and outputs of the literature."""

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

from kdlab.errors import BadInput
from kdlab.models import cifar
from kdlab.models.checkpoint import load_weights
from kdlab.models.network import Network
from kdlab.models.resnet import PadShortcut, ResNet
from tests.conftest import shared_data


def parameters(network):
    return sum(parameter.numel() for parameter in network.parameters())


# github.com/akamaster/pytorch_resnet_cifar10, option A, 10 classes.
@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("resnet20", 269_722),
        ("resnet32", 464_154),
        ("resnet44", 658_586),
        ("resnet56", 853_018),
        ("resnet110", 1_727_962),
    ],
)
def test_pad_shortcuts_give_the_parameter_counts_of_the_paper(name, count):
    assert parameters(getattr(cifar, name)(10)) == count


def test_the_wide_networks_project_by_default():
    assert parameters(cifar.resnet8x4(100)) == 1_233_540


@pytest.mark.parametrize("name", ["resnet8", "resnet14", "resnet110"])
def test_the_name_counts_convolutions_and_the_last_layer(name):
    layers = [part for part in getattr(cifar, name)(10).modules() if isinstance(part, nn.Conv2d | nn.Linear)]
    assert len(layers) == int(name.removeprefix("resnet"))


@pytest.mark.parametrize(("channels", "width"), [(16, 32), (16, 35), (3, 4)])
def test_pad_shortcut_subsamples_and_adds_zero_channels_on_both_sides(channels, width):
    features = np.random.default_rng(0).normal(size=(2, channels, 8, 8)).astype(np.float32)
    expected = np.zeros((2, width, 4, 4), np.float32)
    before = (width - channels) // 2
    expected[:, before : before + channels] = features[:, :, ::2, ::2]
    assert np.array_equal(PadShortcut(channels, width, 2)(torch.tensor(features)).numpy(), expected)


def published_block(block, features, stride):
    """The basic block of akamaster's option A, as written there."""
    planes = block.conv1.out_channels
    residual = F.relu(block.bn1(block.conv1(features)))
    residual = block.bn2(block.conv2(residual))
    padded = F.pad(features[:, :, ::2, ::2], (0, 0, 0, 0, planes // 4, planes // 4), "constant", 0)
    return F.relu(residual + (padded if stride == 2 else features))


def test_the_forward_pass_is_that_of_the_published_network():
    network = cifar.resnet8(10).eval()
    images = torch.randn(2, 3, 32, 32)
    features = F.relu(network.bn1(network.conv1(images)))
    for stage, stride in ((network.layer1, 1), (network.layer2, 2), (network.layer3, 2)):
        features = published_block(stage[0], features, stride)
    expected = network.fc(F.avg_pool2d(features, features.size()[3]).flatten(1))
    torch.testing.assert_close(network(images), expected)


def test_convolutions_start_with_kaiming_normal_weights_by_fan_out():
    torch.manual_seed(0)
    weight = cifar.resnet8(10).layer3[0].conv1.weight
    assert weight.std().item() == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.02)


def test_stages_end_after_the_relu():
    network, seen = cifar.resnet8(10), []
    for stage in (network.layer1, network.layer2, network.layer3):
        stage.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    network(torch.randn(2, 3, 32, 32))
    assert [tuple(output.shape[1:]) for output in seen] == [(16, 32, 32), (32, 16, 16), (64, 8, 8)]
    assert all(output.min() == 0 for output in seen)


def test_a_copy_also_accepts_a_last_layer_called_linear():
    network = copy.deepcopy(cifar.resnet8(10))
    state = {name.replace("fc.", "linear."): value + 1 for name, value in network.state_dict().items()}
    network.load_state_dict(state)
    assert torch.equal(network.fc.bias, state["linear.bias"])


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"widths": [16, 32, 64]}, r"kwargs\.widths: four numbers .* got \[16, 32, 64\]"),
        ({"widths": [16, 16, 8, 8]}, r"kwargs\.widths: with shortcut 'pad' .* use shortcut 'projection'"),
        ({"shortcut": "A"}, r"kwargs\.shortcut: choose 'pad' or 'projection', got 'A'"),
    ],
)
def test_impossible_networks_are_explained(kwargs, message):
    with pytest.raises(BadInput, match=message):
        cifar.resnet20(10, **kwargs)


def test_depth_must_be_six_n_plus_two():
    with pytest.raises(BadInput, match=r"6n \+ 2 layers .* got 18"):
        ResNet(18, 10)


# The first classes of CIFAR-10's test set (0 airplane, 1 automobile, … 9 truck).
FIRST_LABELS = [3, 8, 8, 0, 6, 6, 1, 6, 3, 1, 0, 9, 5, 7, 9, 8, 5, 7, 8, 6]


def test_published_resnet20_weights_recognise_the_first_test_images():
    sheet = np.asarray(Image.open(shared_data() / "cifar-10/sheets/test_batch_00.webp").convert("RGB"))
    images = sheet[:32].reshape(32, 50, 32, 3).transpose(1, 3, 0, 2)[: len(FIRST_LABELS)]
    network = cifar.resnet20(10)
    load_weights(network, shared_data() / "teachers/resnet20-12fca82f.th")
    model = Network(network, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)).eval()
    with torch.no_grad():
        assert model(torch.tensor(images)).argmax(dim=1).tolist() == FIRST_LABELS
