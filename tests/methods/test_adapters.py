import pytest
import torch
from torch import Size, nn

from kdlab.errors import BadInput
from kdlab.methods.adapters import make_adapter, match_size


def matched(own, other):
    """Both sides as a loss receives them."""
    adapter = make_adapter(own.shape[1:], other.shape[1:])
    return match_size(adapter(own), other.shape[1:]), match_size(other, own.shape[1:])


@pytest.mark.parametrize("shape", [(16, 8, 8), (17, 32), (32,)])
def test_equal_shapes_need_no_adapter(shape):
    assert make_adapter(Size(shape), Size(shape)) is None


@pytest.mark.parametrize(
    ("own", "other", "expected"),
    [
        ((4, 8, 8), (6, 8, 8), (6, 8, 8)),
        ((4, 8, 8), (6, 4, 4), (6, 4, 4)),
        ((4, 4, 4), (6, 8, 8), (6, 4, 4)),
        ((4, 8, 2), (6, 4, 4), (6, 4, 2)),
        ((4, 8, 8), (4, 4, 4), (4, 4, 4)),
        ((4, 8, 8), (6, 1, 1), (6, 1, 1)),
        ((17, 4), (17, 6), (17, 6)),
        ((4,), (6,), (6,)),
    ],
)
def test_both_sides_come_to_one_shape_with_the_others_width_and_the_smaller_size(own, other, expected):
    features = matched(torch.randn(3, *own), torch.randn(3, *other))
    assert [side.shape for side in features] == [(3, *expected)] * 2


def test_a_map_is_convolved_position_by_position_without_bias_and_normalised_over_the_batch():
    adapter = make_adapter(Size([4, 3, 2]), Size([6, 3, 2]))
    own = torch.randn(5, 4, 3, 2)
    convolution, norm = adapter
    assert isinstance(norm, nn.BatchNorm2d)
    assert [tuple(parameter.shape) for parameter in adapter.parameters()] == [(6, 4, 1, 1), (6,), (6,)]
    mixed = torch.einsum("oc,bcij->boij", convolution.weight[..., 0, 0], own)
    mean, variance = mixed.mean(dim=(0, 2, 3), keepdim=True), mixed.var(dim=(0, 2, 3), keepdim=True, correction=0)
    torch.testing.assert_close(adapter(own), (mixed - mean) / (variance + 1e-5).sqrt(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [(4,), (7, 4)])
def test_vectors_and_tokens_go_through_one_affine_layer(shape):
    adapter = make_adapter(Size(shape), Size([*shape[:-1], 6]))
    own = torch.randn(3, *shape)
    expected = [
        [(own[..., i] * adapter.weight[o, i]) for i in range(4)] for o in range(6)
    ]  # per output and input channel
    summed = torch.stack([torch.stack(inputs).sum(0) + adapter.bias[o] for o, inputs in enumerate(expected)], dim=-1)
    torch.testing.assert_close(adapter(own), summed)


@pytest.mark.parametrize(("own", "other"), [((4, 1, 1), (6, 2, 2)), ((4, 2, 2), (6, 1, 1)), ((4, 2, 1), (6, 1, 2))])
def test_one_sample_can_train_an_adapter_of_one_position(own, other):
    own, other = matched(torch.randn(1, *own), torch.randn(1, *other))
    assert own.isfinite().all() and own.shape == other.shape


def test_the_same_seed_draws_the_same_adapter():
    drawn = []
    for _ in range(2):
        torch.manual_seed(3)
        drawn.append(make_adapter(Size([4, 8, 8]), Size([6, 4, 4])).state_dict())
    torch.testing.assert_close(*drawn)


def test_sizes_are_matched_by_the_mean_of_the_region_that_a_position_covers():
    maps = torch.arange(32.0).reshape(1, 2, 4, 4)
    regions = [[maps[0, channel, :2, 2:].mean() for channel in range(2)], maps[0, :, 2:, :2].mean(dim=(1, 2)).tolist()]
    pooled = match_size(maps, Size([9, 2, 2]))
    assert pooled[0, :, 0, 1].tolist() == regions[0]
    assert pooled[0, :, 1, 0].tolist() == regions[1]


def test_smaller_maps_and_other_features_are_unchanged():
    maps, tokens = torch.randn(2, 3, 4, 4), torch.randn(2, 17, 3)
    assert match_size(maps, Size([3, 8, 8])) is maps
    assert match_size(tokens, Size([5, 3])) is tokens
    assert match_size(maps, Size([48])) is maps


@pytest.mark.parametrize(
    ("own", "other", "message"),
    [
        ((4, 8, 8), (32,), r"a map of shape \(4, 8, 8\) to a vector of shape \(32,\)\. Tap layers of one kind"),
        ((32,), (17, 32), r"a vector of shape \(32,\) to tokens of shape \(17, 32\)\. Tap layers of one kind"),
        ((2, 3, 4, 5), (2, 3, 4, 6), r"something of shape \(2, 3, 4, 5\) to something"),
        ((10, 4), (17, 4), r"tokens of shape \(10, 4\) and tokens of shape \(17, 4\) differ in the number of tokens"),
    ],
)
def test_refuses_features_that_cannot_be_paired_and_names_both_shapes(own, other, message):
    with pytest.raises(BadInput, match=f"adapter: .*{message}"):
        make_adapter(Size(own), Size(other))
