"""The search meets parameters and FLOPs within 5 % in every family, and names the nearest network where it cannot."""

import re

import pytest
import torch
from torch import nn

from kdlab.errors import BadInput
from kdlab.models.scaling import count_parameters, flops_measure, scaled_network
from tests.models.scaling import FAMILIES, built, named, operations, parameters, settings

IMAGE = torch.zeros(1, 3, 32, 32, dtype=torch.uint8)


def depth(network):
    return sum(isinstance(layer, nn.Conv2d) for layer in built(network).modules())


@pytest.mark.parametrize("share", [1.3, 0.3])
@pytest.mark.parametrize("network", FAMILIES, ids=named)
def test_has_the_requested_parameters_within_5_percent(network, share):
    requested = round(share * parameters(network))
    found = scaled_network(network, 10, requested)
    assert found.size == parameters(found.settings) == pytest.approx(requested, rel=0.05)


@pytest.mark.parametrize("network", FAMILIES, ids=named)
def test_has_the_requested_flops_within_5_percent(network):
    requested = 0.4 * operations(network)
    found = scaled_network(network, 10, requested, measure=flops_measure(IMAGE))
    assert found.size == operations(found.settings) == pytest.approx(requested, rel=0.05)


@pytest.mark.parametrize("network", FAMILIES, ids=named)
def test_a_scaled_network_learns(network):
    scaled = built(scaled_network(network, 10, round(0.3 * parameters(network))).settings)
    logits = scaled(torch.rand(4, 3, 32, 32))
    assert logits.shape == (4, 10)
    nn.functional.cross_entropy(logits, torch.arange(4)).backward()
    assert all(parameter.grad is not None for parameter in scaled.parameters())
    assert all(parameter.grad.isfinite().all() for parameter in scaled.parameters())


@pytest.mark.parametrize("share", [1.5, 0.5, 0.2, 0.05, 0.01])
@pytest.mark.parametrize("name", ["resnet110", "resnet32x4", "wrn_40_2"])
def test_networks_of_a_plan_have_the_requested_parameters_within_15_percent(name, share):
    requested = round(share * count_parameters(settings(name), 10))
    found = scaled_network(settings(name), 10, requested, tolerance=None)
    assert parameters(found.settings) == pytest.approx(requested, rel=0.15)


@pytest.mark.parametrize(
    ("network", "requested", "name", "kwargs"),
    [
        (settings("resnet56"), 42_651, "resnet32", {"widths": [5, 5, 10, 19]}),
        (settings("wrn_40_2"), 300_000, "wrn", {"depth": 28, "width": 0.875}),
        (settings("resnet14", widths=[8, 8, 16, 32]), 1537, "resnet8", {"widths": [2, 2, 4, 8]}),
        (settings("resnet14", widths=[8, 8, 16, 32]), 253, "resnet14", {"widths": [1, 1, 1, 2]}),
    ],
)
def test_networks_of_a_plan_are_those_of_kdlab_0_2(network, requested, name, kwargs):
    found = scaled_network(network, 10, requested, tolerance=None).settings
    assert (found["name"], found["kwargs"]) == (name, kwargs)


def test_parameters_are_counted_as_they_would_be():
    assert count_parameters(settings("resnet56"), 10) == parameters(settings("resnet56")) == 853_018


def test_depth_falls_more_slowly_than_width():
    full = settings("resnet56")
    small = scaled_network(full, 10, 853_018 // 20).settings
    assert 1 < depth(full) / depth(small) < 16 / small["kwargs"]["widths"][0]


def test_other_settings_stay_and_the_result_is_always_the_same():
    network = {**settings("resnet32x4", dropout=0.1), "mean": [0.5], "taps": {"low": "layer1"}}
    one, other = (scaled_network(network, 10, 500_000).settings for _ in range(2))
    assert one == other
    assert (one["kwargs"]["dropout"], one["kwargs"]["shortcut"], one["mean"]) == (0.1, "projection", [0.5])
    assert one["taps"] == {"low": "layer1"}


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (settings("resnext50_32x4d", "timm"), r"got resnext50_32x4d of timm"),
        (
            settings("squeezenet1_1", "torchvision"),
            r"got squeezenet1_1 of torchvision\. plan=assistant chains networks",
        ),
        (settings("resnet18", "torchvision"), r"^model must be of a family that can be scaled \(any network of source"),
    ],
)
def test_a_network_of_no_such_family_is_explained(network, message):
    with pytest.raises(BadInput, match=message):
        scaled_network(network, 10, 1000)


@pytest.mark.parametrize(
    ("network", "requested"),
    [(settings("resnet8"), 20), (settings("mobilenetv2_half"), 10_000), (settings("lcnet_050", "timm"), 5000)],
    ids=str,
)
def test_a_size_out_of_reach_names_the_nearest_network(network, requested):
    with pytest.raises(BadInput) as caught:
        scaled_network(network, 10, requested)
    pattern = (
        rf"^model: {network['name']} cannot be scaled to {requested:,} parameters within 5 %, the nearest network: "
        r"([\d,]+) parameters with name=(\w+) kwargs=(\{.*\})\. Set that size, or scale another family\.$"
    )
    size, name, kwargs = re.match(pattern, str(caught.value)).groups()
    nearest = {**network, "name": name, "kwargs": _read(kwargs)}
    assert parameters(nearest) == int(size.replace(",", "")) > requested
    assert scaled_network(network, 10, parameters(nearest)).size == pytest.approx(parameters(nearest), rel=0.05)


def _read(kwargs):
    from hydra.core.override_parser.overrides_parser import OverridesParser

    return OverridesParser.create().parse_overrides([f"kwargs={kwargs}"])[0].value()
