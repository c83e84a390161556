import pytest
import torch
from torch import nn

from kdlab.errors import BadInput
from kdlab.models.build import build_network
from kdlab.models.scaling import count_parameters, scaled_network


def settings(name, source="cifar", **kwargs):
    return {"source": source, "name": name, "kwargs": kwargs, "taps": {"low": "layer1"}}


def counted(network):
    module = build_network(**{key: network[key] for key in ("source", "name", "kwargs")}, num_classes=10)
    assert module(torch.zeros(2, 3, 32, 32)).shape == (2, 10)
    return sum(parameter.numel() for parameter in module.parameters())


def depth(network):
    module = build_network(**{key: network[key] for key in ("source", "name", "kwargs")}, num_classes=10)
    return sum(isinstance(layer, nn.Conv2d) for layer in module.modules())


FAMILIES = [
    settings("resnet110"),
    settings("resnet56"),
    settings("resnet14", widths=[8, 8, 16, 32]),
    settings("resnet32x4"),
    settings("wrn", depth=28, width=10),
    settings("wrn_40_2"),
    settings("resnet18", "timm"),
    settings("resnet50", "timm"),
]


@pytest.mark.parametrize("share", [1.5, 0.5, 0.2, 0.05, 0.01])
@pytest.mark.parametrize("network", FAMILIES, ids=lambda network: network["name"])
def test_has_the_requested_parameters_within_15_percent(network, share):
    requested = round(share * count_parameters(network, 10))
    assert counted(scaled_network(network, 10, requested)) == pytest.approx(requested, rel=0.15)


def test_parameters_are_counted_as_they_would_be():
    assert count_parameters(settings("resnet56"), 10) == counted(settings("resnet56")) == 853_018


def test_depth_falls_more_slowly_than_width():
    full = settings("resnet56")
    small = scaled_network(full, 10, 853_018 // 20)
    assert 1 < depth(full) / depth(small) < 16 / small["kwargs"]["widths"][0]


def test_other_settings_stay_and_the_result_is_always_the_same():
    network = {**settings("resnet32x4", dropout=0.1), "mean": [0.5]}
    one, other = (scaled_network(network, 10, 500_000) for _ in range(2))
    assert one == other
    assert (one["kwargs"]["dropout"], one["kwargs"]["shortcut"], one["mean"]) == (0.1, "projection", [0.5])
    assert one["taps"] == {"low": "layer1"}


@pytest.mark.parametrize(
    ("network", "parameters", "message"),
    [
        (settings("small_cnn"), 1000, r"model must be of a family that can be scaled .*got small_cnn of cifar\. plan="),
        (settings("resnext50_32x4d", "timm"), 1000, r"got resnext50_32x4d of timm"),
        (settings("resnet8"), 20, r"model: resnet8 cannot be scaled to 20 parameters, the closest .* has \d+\. Set"),
    ],
)
def test_a_network_that_cannot_be_scaled_is_explained(network, parameters, message):
    with pytest.raises(BadInput, match=message):
        scaled_network(network, 10, parameters)
