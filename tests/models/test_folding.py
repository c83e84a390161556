"""Folded BatchNorms: the outputs stay the same, and a norm that is not only that of one convolution is not folded."""

from copy import deepcopy

import pytest
import timm
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from kdlab.config.network_options import NetworkOptions
from kdlab.models.folding import fold
from kdlab.models.saved import make_network
from kdlab.models.taps import Taps

IMAGES = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
LEFT = {  # norms that are not folded: those before a convolution, which follow a sum
    "resnet20": 0,
    "resnet8x4": 0,
    "resnet50_cifar": 0,
    "wrn_16_2": 6,
    "vgg8": 0,
    "mobilenetv2_half": 0,
    "shufflenetv1": 0,
    "shufflenetv2": 0,
    "small_cnn": 0,
}


def used(module):
    """In eval mode, with running statistics as after training."""
    generator = torch.Generator().manual_seed(1)
    for norm in norms(module):
        norm.running_mean.uniform_(-0.3, 0.3, generator=generator)
        norm.running_var.uniform_(0.5, 2, generator=generator)
        norm.weight.data.uniform_(0.5, 1.5, generator=generator)
        norm.bias.data.uniform_(-0.3, 0.3, generator=generator)
    return module.eval()


def norms(module):
    return [part for part in module.modules() if isinstance(part, _BatchNorm)]


@torch.no_grad()
def assert_folds(module, left, images=IMAGES):
    expected = used(module)(images)
    fold(module)
    assert len(norms(module)) == left
    assert not any(part.training for part in module.modules())
    difference = (module(images) - expected).abs().max() / expected.abs().max()
    assert difference < 1e-4


@pytest.mark.parametrize("name", LEFT)
def test_the_networks_of_the_cifar_benchmark_keep_their_logits(name):
    torch.manual_seed(0)
    assert_folds(make_network({**NetworkOptions()[name], "num_classes": 10}).module, LEFT[name])


@pytest.mark.parametrize("name", ["resnet18", "mobilenetv3_small_100"])  # the second has norms with an activation
def test_networks_of_timm_keep_their_logits(name):
    torch.manual_seed(0)
    assert_folds(timm.create_model(name, num_classes=10), 0)


class Pair(nn.Module):
    """A convolution with its norm, in whatever order `call` runs them."""

    def __init__(self, call, convolution=nn.Conv2d, norm=nn.BatchNorm2d):
        super().__init__()
        torch.manual_seed(0)
        self.convolution, self.norm = convolution(3, 3, 3, padding=1), norm(3)
        self.call = call

    def forward(self, images):
        return self.call(self, images)


class Doubled(nn.Conv2d):
    """Does more with its weights than a convolution does."""

    def forward(self, images):
        return self._conv_forward(images, 2 * self.weight, self.bias)


class Halved(nn.BatchNorm2d):
    """Does more than a norm does."""

    def forward(self, images):
        return super().forward(images) / 2


def named_twice():
    pair = Pair(lambda self, images: self.again(self.convolution(images)))
    pair.again = pair.norm
    return pair


UNFIT = {
    "the output is read twice": Pair(lambda self, images: self.norm(maps := self.convolution(images)) + maps),
    "the convolution runs twice": Pair(lambda self, images: self.norm(self.convolution(self.convolution(images)))),
    "the norm runs twice": Pair(lambda self, images: self.norm(self.norm(self.convolution(images)))),
    "the norm comes first": Pair(lambda self, images: self.convolution(self.norm(images))),
    "the norm reads a sum": Pair(lambda self, images: self.norm(self.convolution(images) + images)),
    "the norm has two names": named_twice(),
    "the convolution is of another kind": Pair(lambda self, images: self.norm(self.convolution(images)), Doubled),
    "the norm is of another kind": Pair(lambda self, images: self.norm(self.convolution(images)), norm=Halved),
    "the call depends on data": Pair(
        lambda self, images: self.norm(self.convolution(images)) if images.sum() < 1e9 else images
    ),
}


@pytest.mark.parametrize("reason", UNFIT)
def test_a_norm_that_is_not_only_that_of_one_convolution_is_not_folded(reason):
    assert_folds(deepcopy(UNFIT[reason]), 1)


def test_a_norm_with_batch_statistics_is_not_folded():
    module = Pair(lambda self, images: self.norm(self.convolution(images))).eval()
    module.norm = nn.BatchNorm2d(3, track_running_stats=False).eval()
    fold(module)
    assert len(norms(module)) == 1


@torch.no_grad()
def test_tapped_features_stay_the_same():
    torch.manual_seed(0)
    module = used(make_network({**NetworkOptions()["resnet8"], "num_classes": 10}).module)
    paths = {"low": "layer1.0.conv1", "mid": "layer2.0.bn1", "high": "layer3", "first": "conv1"}
    expected, folded = (features_of(module, paths), features_of(_folded(module, paths.values()), paths))
    for role in paths:
        torch.testing.assert_close(folded[role], expected[role], rtol=1e-4, atol=1e-5)
    assert len(norms(_folded(module, paths.values()))) == 2


@torch.no_grad()
def test_a_convolution_that_ends_a_tapped_module_is_not_folded():
    torch.manual_seed(0)
    module = used(nn.Sequential(nn.Sequential(nn.ReLU(), nn.Conv2d(3, 3, 1)), nn.BatchNorm2d(3)))
    expected = features_of(module, {"mid": "0"})
    assert torch.equal(features_of(_folded(module, ["0"]), {"mid": "0"})["mid"], expected["mid"])


def _folded(module, watched):
    module = deepcopy(module)
    fold(module, watched)
    return module


def features_of(module, paths):
    taps = Taps(module, paths)
    module(IMAGES)
    features = taps.pop()
    taps.remove()
    return features
