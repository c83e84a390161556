from functools import cache

import pytest
import timm
import torch
from torchvision.models import SwinTransformer

from kdlab.models.layout import as_map
from kdlab.models.taps import Taps

IMAGES = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
PATCHES = {"img_size": 32, "patch_size": 8}
NETWORKS = {
    "vit_tiny_patch16_224": PATCHES,
    "vit_base_patch16_224": PATCHES | {"class_token": False, "global_pool": "avg", "embed_dim": 24, "num_heads": 3},
    "vit_medium_patch16_reg4_gap_256": PATCHES | {"depth": 2},  # four registers, no class token
    "deit_tiny_distilled_patch16_224": PATCHES,  # two prefix tokens
    "swin_tiny_patch4_window7_224": {"img_size": 32, "window_size": 2, "embed_dim": 24, "depths": (1, 1, 1, 1)},
    "swinv2_tiny_window8_256": {"img_size": 32, "window_size": 2, "embed_dim": 24, "depths": (1, 1, 1, 1)},
    "mambaout_femto": {"depths": (1, 1, 1, 1), "dims": (8, 16, 24, 32)},
}


@cache
def network(name):
    torch.manual_seed(0)
    return timm.create_model(name, **NETWORKS[name]).eval()


@torch.no_grad()
def tapped(module, path, images=IMAGES):
    taps = Taps(module, {"mid": path})
    module(images)
    features = taps.pop()["mid"]
    taps.remove()
    return features


def one_by_one(tokens, prefix, side):
    """Row after row, position after position."""
    maps = torch.full((len(tokens), tokens.shape[2], side, side), float("nan"))
    for sample in range(len(tokens)):
        for row in range(side):
            for column in range(side):
                maps[sample, :, row, column] = tokens[sample, prefix + row * side + column]
    return maps


@pytest.mark.parametrize(
    ("name", "prefix"),
    [
        ("vit_tiny_patch16_224", 1),
        ("vit_base_patch16_224", 0),
        ("vit_medium_patch16_reg4_gap_256", 4),
        ("deit_tiny_distilled_patch16_224", 2),
    ],
)
def test_tokens_of_a_vit_are_at_the_position_of_their_patch(name, prefix):
    tokens = tapped(network(name), "blocks.1")
    assert torch.equal(as_map(tokens, network(name)), one_by_one(tokens, prefix, side=4))


@pytest.mark.parametrize("name", ["vit_tiny_patch16_224", "vit_medium_patch16_reg4_gap_256"])
def test_patches_before_the_class_token_is_added_are_the_map_that_the_convolution_made(name):
    module = network(name)
    maps = as_map(tapped(module, "patch_embed"), module)
    assert torch.equal(maps, tapped(module, "patch_embed.proj"))


@pytest.mark.parametrize(
    ("name", "path", "stage"),
    [
        ("vit_tiny_patch16_224", "blocks.1", 1),
        ("vit_medium_patch16_reg4_gap_256", "blocks.1", 1),
        ("deit_tiny_distilled_patch16_224", "blocks.1", 1),
        ("swin_tiny_patch4_window7_224", "layers.1", 1),
        ("swinv2_tiny_window8_256", "layers.1", 1),
        ("mambaout_femto", "stages.1", 1),
    ],
)
def test_agrees_with_timms_own_map_of_the_layer(name, path, stage):
    module = network(name)
    with torch.no_grad():
        (expected,) = module.forward_intermediates(
            IMAGES, indices=[stage], norm=False, output_fmt="NCHW", intermediates_only=True
        )
    assert torch.equal(as_map(tapped(module, path), module), expected)


def test_a_swin_map_holds_each_position_where_the_network_has_it():
    module = network("swin_tiny_patch4_window7_224")
    features = tapped(module, "layers.0")
    maps = as_map(features, module)
    assert features.shape == (2, 8, 8, 24) and maps.shape == (2, 24, 8, 8)
    for row in range(8):
        for column in range(8):
            assert torch.equal(maps[:, :, row, column], features[:, row, column, :])


def test_a_convolution_inside_a_swin_is_a_map_already():
    module = network("swin_tiny_patch4_window7_224")
    features = tapped(module, "patch_embed.proj")
    assert as_map(features, module) is features
    assert as_map(tapped(module, "patch_embed"), module).shape == features.shape


def test_torchvisions_swin_is_laid_out_too():
    torch.manual_seed(0)
    module = SwinTransformer([4, 4], 8, [1, 1], [2, 2], [2, 2], num_classes=3).eval()
    features = tapped(module, "norm")
    assert torch.equal(as_map(features, module), tapped(module, "permute"))
    assert as_map(tapped(module, "permute"), module).shape == (2, 16, 4, 4)


@pytest.mark.parametrize(("tokens", "side"), [(16, 4), (17, 4), (18, 4), (1, 1), (49, 7)])
def test_without_a_declared_prefix_a_square_is_found_behind_up_to_two_tokens(tokens, side):
    features = torch.randn(2, tokens, 3)
    assert torch.equal(as_map(features, torch.nn.Identity()), one_by_one(features, tokens - side**2, side))


@pytest.mark.parametrize("shape", [(2, 10), (2, 15, 3), (2, 3, 8, 8), (2, 8, 8, 3), (2, 0, 3)])
def test_everything_else_stays_as_it_is(shape):
    features = torch.randn(shape)
    assert as_map(features, torch.nn.Identity()) is features


def test_gradients_reach_what_was_tapped():
    tokens = torch.randn(2, 17, 3, requires_grad=True)
    as_map(tokens, network("vit_tiny_patch16_224")).sum().backward()
    assert tokens.grad[:, 1:].eq(1).all() and tokens.grad[:, 0].eq(0).all()
