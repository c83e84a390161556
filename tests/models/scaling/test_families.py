"""What each family keeps when it is scaled: multiples of channels, the width of attention heads, taps."""

import pytest
import torch
from torch import nn

from kdlab.models.scaling import is_of_family, scaled_network
from tests.models.scaling import SMALL_VIT, built, parameters, settings


def scaled(network, share):
    return scaled_network(network, 10, round(share * parameters(network))).settings


@pytest.mark.parametrize("share", [2.0, 0.5, 0.1])
def test_a_transformer_keeps_the_width_of_its_heads(share):
    network = built(scaled(SMALL_VIT, share))
    assert network.embed_dim == 64 * network.blocks[0].attn.num_heads
    assert network.blocks[0].mlp.fc1.out_features == 4 * network.embed_dim


def test_taps_of_a_transformer_stay_at_their_share_of_its_depth():
    taps = {"low": "blocks.3", "mid": "blocks.7", "high": "blocks.11", "embedding": "norm"}
    network = scaled({**SMALL_VIT, "taps": taps}, 0.05)
    depth = network["kwargs"]["depth"]
    assert depth < 12
    moved = {role: int(path.removeprefix("blocks.")) for role, path in network["taps"].items() if role != "embedding"}
    assert moved["high"] == depth - 1 and network["taps"]["embedding"] == "norm"
    assert moved["low"] + 1 == pytest.approx(depth / 3, abs=0.5)
    assert all(built(network).get_submodule(path) for path in network["taps"].values())


@pytest.mark.parametrize("share", [1.5, 0.4, 0.05])
@pytest.mark.parametrize(("name", "multiple"), [("shufflenetv1", 12), ("shufflenetv2", 2)])
def test_stages_of_a_shufflenet_have_the_multiples_that_its_groups_need(name, multiple, share):
    widths = scaled(settings(name), share)["kwargs"]["widths"][:3]
    assert all(width % multiple == 0 for width in widths) and widths == sorted(set(widths))


@pytest.mark.parametrize("name", ["mobilenetv3_small_100", "efficientnet_b0"])
def test_convolutions_of_mobile_networks_of_timm_have_multiples_of_8(name):
    network = built(scaled(settings(name, "timm"), 0.3))
    convolutions = [layer for layer in network.blocks.modules() if isinstance(layer, nn.Conv2d) and layer.bias is None]
    assert convolutions and all(layer.out_channels % 8 == 0 for layer in convolutions)


def test_deeper_blocks_of_vgg_repeat_their_last_width():
    network = scaled(settings("vgg8", widths=[[8], [16], [16], [32], [32]]), 30)
    assert all(len(set(block)) == 1 for block in network["kwargs"]["widths"])
    assert max(map(len, network["kwargs"]["widths"])) > 1


def test_the_stem_of_a_shufflenet_of_torchvision_stays():
    kwargs = scaled(settings("shufflenet_v2_x1_0", "torchvision"), 0.2)["kwargs"]
    assert kwargs["stages_out_channels"][0] == 24
    assert all(width % 2 == 0 for width in kwargs["stages_out_channels"])


def test_a_network_may_be_scaled_again():
    for network in (settings("mobilenetv3_small_100", "timm"), SMALL_VIT, settings("mobilenet_v2", "torchvision")):
        small = scaled(network, 0.25)
        again = scaled_network(small, 10, parameters(network)).settings
        assert parameters(again) == pytest.approx(parameters(network), rel=0.05)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (settings("resnet8"), settings("resnet110", widths=[4, 4, 8, 8]), True),
        (settings("resnet8"), settings("wrn_16_1"), False),
        (settings("resnet18", "timm"), settings("resnet50", "timm"), True),
        (settings("mobilenetv3_small_100", "timm"), settings("efficientnet_b0", "timm"), False),
    ],
)
def test_networks_of_one_class_are_a_family(one, other, same):
    assert is_of_family(one, other, 10) is same


def test_dropout_and_the_like_are_kept():
    network = scaled(settings("vgg8", dropout=0.25), 0.5)
    assert built(network).dropout.p == 0.25
    assert torch.is_tensor(built(network)(torch.zeros(1, 3, 32, 32)))
