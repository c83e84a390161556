"""Where no term reads logits, a network runs up to its last tap, with the same tapped features."""

import pytest
import torch
from torch import nn

from kdlab.models import cifar
from kdlab.models.network import Network
from kdlab.models.taps import Taps, observe
from kdlab.teachers.truncated import TruncatedForward

IMAGES = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def network():
    torch.manual_seed(0)
    return Network(cifar.resnet8(10), mean=None, std=None).eval()


def ran(module):
    """The names of the children that run, in order."""
    names = []
    for name, part in module.named_children():
        part.register_forward_pre_hook(lambda _module, _inputs, name=name: names.append(name))
    return names


@torch.no_grad()
def test_modules_after_the_last_tap_run_only_for_the_first_batch(network):
    taps = Taps(network.module, {"mid": "layer2", "low": "layer1"})
    truncated, names = TruncatedForward(network, taps), ran(network.module)
    truncated.observe(IMAGES)
    assert {"layer3", "fc"} <= set(names)
    names.clear()
    for batch in (IMAGES, IMAGES + 0.1):
        outputs = truncated.observe(batch)
        assert outputs.logits.numel() == 0
    assert "layer2" in names
    assert not {"layer3", "dropout", "fc"} & set(names)


@torch.no_grad()
def test_the_features_are_those_of_a_full_pass(network):
    paths = {"high": "layer3", "low": "layer1"}
    expected = [_whole(network, paths, batch) for batch in (IMAGES, IMAGES + 0.1)]
    truncated = TruncatedForward(network, Taps(network.module, paths))
    for batch, features in zip((IMAGES, IMAGES, IMAGES + 0.1), (expected[0], *expected), strict=True):
        found = truncated.observe(batch).features
        assert found.keys() == features.keys()
        assert all(torch.equal(found[role], features[role]) for role in features)


def _whole(network, paths, batch):
    taps = Taps(network.module, paths)
    features = observe(network, taps, batch).features
    taps.remove()
    return features


class Reused(nn.Module):
    """Its layer runs twice, followed by a head."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layer, self.head = nn.Conv2d(3, 3, 1), nn.Flatten()

    def forward(self, images):
        return self.head(self.layer(self.layer(images)))


@torch.no_grad()
def test_a_pass_ends_after_the_last_call_of_a_module_that_runs_twice():
    network = Network(Reused(), mean=None, std=None).eval()
    truncated = TruncatedForward(network, Taps(network.module, {"mid": "layer"}))
    truncated.observe(IMAGES)
    outputs = truncated.observe(IMAGES)
    assert outputs.logits.numel() == 0
    assert torch.equal(outputs.features["mid"], network.module.layer(network.module.layer(IMAGES)))


@torch.no_grad()
def test_where_later_modules_change_a_tapped_output_in_place_every_pass_is_full():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 3, 1), nn.ReLU(inplace=True), nn.Flatten())
    network = Network(module, mean=None, std=None).eval()
    truncated = TruncatedForward(network, Taps(module, {"mid": "0"}))
    for _ in range(2):
        outputs = truncated.observe(IMAGES)
        assert outputs.logits.numel()
        assert outputs.features["mid"].min() == 0
