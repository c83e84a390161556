"""Pruned networks: operations by hand, the same logits as with channels that have no effect, reloading, refusals."""

import copy
import json
import sys

import pytest
import torch
import torch_pruning
from torch import nn

from kdlab.errors import BadInput
from kdlab.models import cifar
from kdlab.models.cost import flops, parameter_count
from kdlab.models.masks import mask_smallest, sparsity
from kdlab.models.network import Network
from kdlab.models.pruned import apply_pruning
from kdlab.models.pruning import Pruning, prune
from kdlab.models.saved import load_network
from tests.models.test_saved import MEAN, STD, save_stage
from tests.recorded.networks import SMALL

SIDE = 16
EXAMPLE = torch.zeros(1, 3, SIDE, SIDE, dtype=torch.uint8)
VGG = {"widths": ((32,), (16,), (32,), (32,), (32,))}
OPTION_A = {"widths": (16, 16, 32, 64)}


def made(name, **kwargs):
    """A network whose norms have statistics and scales of their own."""
    torch.manual_seed(0)
    module = getattr(cifar, name)(5, **kwargs)
    for norm in (part for part in module.modules() if isinstance(part, nn.BatchNorm2d)):
        norm.running_mean.uniform_(-0.3, 0.3)
        norm.running_var.uniform_(0.5, 2)
        nn.init.uniform_(norm.weight, 0.5, 1.5)
        nn.init.uniform_(norm.bias, -0.3, 0.3)
    return Network(module, mean=[0.5] * 3, std=[0.25] * 3).eval()


def pruned(name, ratio, round_to=8, importance="magnitude", **kwargs):
    network = made(name, **kwargs)
    prune(network, made(name, **kwargs), EXAMPLE, Pruning(ratio, round_to, importance), name=name)
    return network


def images(samples=3, side=SIDE):
    return torch.randint(256, (samples, 3, side, side), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def vgg_operations(widths):
    """Two for each multiplication, of 3x3 convolutions at these strides and one linear layer to five classes."""
    positions = [(SIDE // stride) ** 2 for stride in (1, 2, 4, 8, 8)]
    pairs = zip((3, *widths), widths, positions, strict=False)
    return 2 * (sum(9 * before * width * at for before, width, at in pairs) + widths[-1] * 5)


def narrower(widths):
    """Ever narrower widths: a layer goes to the next multiple of eight, those first that lose the least share by it."""
    steps = [
        (1 - (wider - 4) / full, layer, wider - 8) for layer, full in enumerate(widths) for wider in range(full, 8, -8)
    ]
    now = list(widths)
    for _, layer, width in sorted(steps, key=lambda step: step[0]):
        now[layer] = width
        yield tuple(now)


@pytest.mark.parametrize("ratio", [0.1, 0.3, 0.5, 0.7])
def test_the_widths_are_the_first_with_few_enough_operations_and_these_are_counted_by_hand(ratio):
    widths = tuple(block[0] for block in VGG["widths"])
    network = pruned("vgg8", ratio, **VGG)
    found = tuple(part.out_channels for part in network.modules() if isinstance(part, nn.Conv2d))
    few = (1 - ratio) * vgg_operations(widths)
    assert found == next(one for one in narrower(widths) if vgg_operations(one) <= few)
    assert flops(network, EXAMPLE) == vgg_operations(found)


@pytest.mark.parametrize(
    ("name", "kwargs", "norms"),
    [
        ("vgg8", VGG, lambda convolution: convolution.replace(".0", ".1")),
        ("resnet8", OPTION_A, lambda convolution: convolution.replace("conv1", "bn1")),
    ],
)
def test_the_logits_are_those_of_the_network_in_which_the_removed_channels_are_zero(name, kwargs, norms):
    network, zeroed = pruned(name, 0.5, **kwargs), made(name, **kwargs)
    assert len(network.pruned.history) >= 3
    for convolution, outputs, channels in network.pruned.history:
        norm = zeroed.module.get_submodule(norms(convolution))
        assert outputs
        norm.weight.data[channels] = norm.bias.data[channels] = 0
    torch.testing.assert_close(network(images()), zeroed(images()), rtol=1e-4, atol=1e-5)
    assert (network(images()) - made(name, **kwargs)(images())).abs().max() > 0.01


def test_the_channels_with_the_smallest_weights_are_removed():
    network = made("vgg8", **VGG)
    small = [1, 4, 7, 9, 10, 20, 30, 31]
    first, norm, second = network.module.block0[0], network.module.block0[1], network.module.block1[0]
    first.weight.data[small] *= 0.1
    norm.weight.data[small] *= 0.1
    second.weight.data[:, small] *= 0.1
    prune(network, made("vgg8", **VGG), EXAMPLE, Pruning(0.1))
    assert [sorted(channels) for name, _, channels in network.pruned.history if name == "block0.0"] == [small]


def test_random_channels_depend_on_the_seed_alone():
    def drawn(seed):
        network = made("vgg8", **VGG)
        prune(network, made("vgg8", **VGG), EXAMPLE, Pruning(0.5, importance="random"), seed=seed)
        return network.pruned.history

    assert drawn(1) == drawn(1) != drawn(2)


def test_channels_on_a_zero_padded_shortcut_and_logits_stay():
    network = pruned("resnet8", 0.5, **OPTION_A).module
    assert [network.conv1.out_channels, network.layer2[0].conv2.out_channels, network.fc.in_features] == [16, 32, 64]
    assert [block[0].conv1.out_channels for block in (network.layer1, network.layer2, network.layer3)] == [8, 16, 24]
    assert network.fc.out_features == 5


@pytest.mark.parametrize("name", sorted(set(SMALL) - {"shufflenetv1", "shufflenetv2", "resnet50_cifar"}))
def test_every_small_family_but_shufflenets_is_pruned_and_takes_other_images(name):
    network, before = pruned(name, 0.4, 1, **SMALL[name]), made(name, **SMALL[name])
    assert network(images()).isfinite().all()
    assert flops(network, EXAMPLE) <= 0.6 * flops(before, EXAMPLE)
    assert parameter_count(network) < parameter_count(before)
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_depthwise_convolutions_lose_the_channels_of_those_beside_them():
    network = pruned("mobilenetv2_half", 0.3, 1, width=0.25).module
    widen, filtered, narrow = (network.blocks[3][1].conv[position] for position in (0, 3, 6))
    assert [filtered.groups, len(filtered.weight), narrow.in_channels] == [widen.out_channels] * 3
    assert widen.out_channels < made("mobilenetv2_half", width=0.25).module.blocks[3][1].conv[0].out_channels


def test_a_pruned_network_is_loaded_bit_for_bit_without_the_library(tmp_path, monkeypatch):
    network = pruned("resnet8x4", 0.3, 2, widths=(8, 8, 16, 16))
    prune(network, made("resnet8x4", widths=(8, 8, 16, 16)), EXAMPLE, Pruning(0.6, 2))  # a second time
    save_stage(tmp_path, network.module, "cifar", "resnet8x4", widths=(8, 8, 16, 16))
    (tmp_path / "pruning.json").write_text(json.dumps(network.pruned.as_dict()))
    monkeypatch.setitem(sys.modules, "torch_pruning", None)
    loaded = load_network(tmp_path)
    assert torch.equal(loaded(images()), Network(network.module, mean=MEAN, std=STD)(images()))
    assert loaded.pruned == network.pruned
    assert loaded.module.conv1.out_channels < 8
    assert flops(loaded, EXAMPLE) == flops(network, EXAMPLE)


def test_the_library_replays_the_history_to_the_same_weights():
    network, again = pruned("resnet8x4", 0.5, 2, widths=(8, 8, 16, 16)), made("resnet8x4", widths=(8, 8, 16, 16))
    graph = torch_pruning.DependencyGraph().build_dependency(again.module, torch.rand(1, 3, SIDE, SIDE))
    graph.load_pruning_history(network.pruned.history)
    torch.testing.assert_close(again.module.state_dict(), network.module.state_dict(), rtol=0, atol=0)


def test_a_record_of_another_network_is_refused():
    record = pruned("vgg8", 0.3, **VGG).pruned.as_dict()
    with pytest.raises(BadInput, match=r"the pruning does not fit the network: block0\.0 is another layer"):
        apply_pruning(cifar.resnet8(5), record)


class Reversed(nn.Module):
    """Reverses its channels between two layers, which the library takes for an operation on each of them."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 16, 3), nn.Conv2d(16, 16, 3)
        self.fc = nn.Linear(16, 5)

    def forward(self, features):
        return self.fc(self.conv2(self.conv1(features).flip(1)).mean(dim=(2, 3)))


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        (cifar.shufflenetv1, r"it cannot follow its channels \("),
        (cifar.shufflenetv2, r"it cannot follow its channels \("),
        (lambda _: Reversed(), "its forward moves channels in a way that the library cannot follow"),
        (lambda _: nn.Sequential(nn.Flatten(), nn.Linear(3 * SIDE**2, 5)), "none of its layers has channels that can"),
    ],
)
def test_what_the_library_cannot_prune_is_refused_in_one_line(module, reason):
    torch.manual_seed(0)
    network = Network(module(5), mean=None, std=None)
    message = rf"^plan=compress: torch-pruning cannot prune mine: {reason}.*\. Choose another network to prune\.$"
    with pytest.raises(BadInput, match=message) as error:
        prune(network, copy.deepcopy(network), EXAMPLE, Pruning(0.5), name="mine")
    assert "\n" not in str(error.value)


def test_a_ratio_that_leaves_a_layer_no_channel_is_refused_with_one_that_can_be_reached():
    least = vgg_operations([8] * 5) / vgg_operations([block[0] for block in VGG["widths"]])
    most = int(100 * (1 - least)) / 100
    message = rf"^plan\.prune\.ratio must leave each layer 8 channels .* got 0\.99: at most {most} .*={most}, or a"
    with pytest.raises(BadInput, match=message):
        pruned("vgg8", 0.99, **VGG)
    assert flops(pruned("vgg8", most, **VGG), EXAMPLE) == vgg_operations([8] * 5)
    with pytest.raises(BadInput, match=r"at most 0 of the operations of vgg8 can be removed\. Set a smaller plan\.pru"):
        pruned("vgg8", 0.1, widths=((8,), (4,), (8,), (8,), (8,)))
    with pytest.raises(BadInput, match=r"layer a channel, .*: at most 0\.98 .* plan\.prune\.ratio=0\.98\.$"):
        pruned("vgg8", 0.9999, 1, **VGG)


def test_without_the_extra_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch_pruning", None)
    with pytest.raises(BadInput, match=r'needs the extra prune, which is not installed: pip install "kdlab\[prune\]"'):
        pruned("vgg8", 0.3, **VGG)


@pytest.mark.parametrize("optimizer", [torch.optim.SGD, torch.optim.AdamW])
def test_masked_weights_are_the_smallest_and_stay_zero_in_training(optimizer):
    network, before = made("vgg8", **VGG), made("vgg8", **VGG)
    mask_smallest(network.module, 0.3)
    settings = {"momentum": 0.9} if optimizer is torch.optim.SGD else {}
    steps = optimizer(network.parameters(), lr=0.01, weight_decay=0.1, **settings)
    weights = [one for one in network.parameters() if one.ndim > 1]
    zeros = [one == 0 for one in weights]
    for zero, one in zip(zeros, (one.detach().abs() for one in before.parameters() if one.ndim > 1), strict=True):
        assert int(zero.sum()) == round(0.3 * one.numel())
        assert one[zero].max() <= one[~zero].min()
    for _ in range(3):
        steps.zero_grad()
        network(images()).square().sum().backward()
        steps.step()
    assert weights[0].grad.abs().sum() > 0
    assert all(torch.equal(one == 0, zero) for one, zero in zip(weights, zeros, strict=True))
    assert sparsity(network.module) == pytest.approx(0.3, abs=1e-3)
    assert flops(network, EXAMPLE) == flops(before, EXAMPLE)
