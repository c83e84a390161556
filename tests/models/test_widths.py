"""Widths and blocks of kdlab's own networks: the defaults are the published ones, and what cannot be built is said."""

import pytest

from kdlab.errors import BadInput
from kdlab.models import cifar


@pytest.mark.parametrize(
    ("name", "kwargs"),
    [
        ("mobilenetv2_half", {"width": 0.5, "blocks": [1, 2, 3, 4, 3, 3, 1]}),
        ("shufflenetv1", {"widths": [240, 480, 960], "blocks": [4, 8, 4]}),
        ("shufflenetv2", {"widths": [116, 232, 464, 1024], "blocks": [4, 8, 4]}),
        ("small_cnn", {"widths": [32, 64, 128]}),
        ("resnet50_cifar", {"widths": [64, 64, 128, 256, 512], "blocks": [3, 4, 6, 3]}),
    ],
)
def test_the_published_widths_are_the_defaults(name, kwargs):
    one, other = (getattr(cifar, name)(num_classes=10, **given).state_dict() for given in ({}, kwargs))
    assert {key: value.shape for key, value in one.items()} == {key: value.shape for key, value in other.items()}


@pytest.mark.parametrize(
    ("name", "kwargs", "message"),
    [
        ("mobilenetv2_half", {"width": 0.05}, r"kwargs\.width: at least 1/16 is needed.*got 0\.05"),
        ("mobilenetv2_half", {"blocks": [1, 2]}, r"kwargs\.blocks: seven numbers .*got \[1, 2\]"),
        ("shufflenetv1", {"widths": [40, 80, 160]}, r"three growing multiples of 12 above 24.*got \[40, 80, 160\]"),
        ("shufflenetv1", {"widths": [48, 48, 96]}, r"three growing multiples of 12 above 24.*got \[48, 48, 96\]"),
        ("shufflenetv2", {"widths": [15, 30, 60, 128]}, r"kwargs\.widths: three even numbers.*got \[15, 30, 60, 128\]"),
        ("shufflenetv2", {"blocks": [4, 8]}, r"kwargs\.blocks: three numbers of at least 1.*got \[4, 8\]"),
        ("small_cnn", {"widths": [8, 16]}, r"kwargs\.widths: two convolutions and a hidden layer .*got \[8, 16\]"),
        ("resnet50_cifar", {"widths": [8, 8, 16]}, r"kwargs\.widths: five numbers are needed.*got \[8, 8, 16\]"),
        ("resnet50_cifar", {"blocks": [0, 1, 1, 1]}, r"kwargs\.blocks: four numbers of at least 1.*got \[0, 1, 1, 1\]"),
    ],
)
def test_widths_that_no_such_network_has_are_refused(name, kwargs, message):
    with pytest.raises(BadInput, match=message):
        getattr(cifar, name)(num_classes=10, **kwargs)
