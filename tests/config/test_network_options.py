"""Every network of conf/network has the four roles, on maps and a vector that losses can use."""

import pytest
import torch
import yaml

from kdlab.config.folders import CONF
from kdlab.models.build import build_network
from kdlab.models.taps import Taps, probe

NAMED = {
    path.stem: settings
    for path in sorted((CONF / "network").glob("*.yaml"))
    if (settings := yaml.safe_load(path.read_text()))["name"] != "???"
}
LINEAR = ("mobilenetv2_half", "mobilenetv3_small")  # families of which blocks end without an activation

# Sides of low, mid, (upper,) high for 32-pixel images, and the length of the embedding, from the papers' tables.
SHAPES = {
    "mobilenetv2_half": ([16, 8, 4, 2], 1280),
    "mobilenetv3_small": ([8, 4, 2], 1024),
    "resnet110": ([32, 16, 8], 64),
    "resnet14": ([32, 16, 8], 64),
    "resnet14_slim": ([32, 16, 8], 32),
    "resnet18": ([8, 4, 2], 512),
    "resnet20": ([32, 16, 8], 64),
    "resnet32": ([32, 16, 8], 64),
    "resnet32x4": ([32, 16, 8], 256),
    "resnet44": ([32, 16, 8], 64),
    "resnet50": ([8, 4, 2], 2048),
    "resnet50_cifar": ([32, 16, 8, 4], 2048),
    "resnet56": ([32, 16, 8], 64),
    "resnet8": ([32, 16, 8], 64),
    "resnet8_slim": ([32, 16, 8], 16),
    "resnet8x4": ([32, 16, 8], 256),
    "shufflenetv1": ([16, 8, 4], 960),
    "shufflenetv2": ([16, 8, 4], 1024),
    "small_cnn": ([32, 16, 8], 128),
    "vgg13": ([16, 8, 4, 4], 512),
    "vgg8": ([16, 8, 4, 4], 512),
    "wrn": ([32, 16, 8], 640),
    "wrn_16_1": ([32, 16, 8], 64),
    "wrn_16_2": ([32, 16, 8], 128),
    "wrn_40_1": ([32, 16, 8], 64),
    "wrn_40_2": ([32, 16, 8], 128),
}


@pytest.fixture(scope="module", params=SHAPES)
def option(request):
    """Name, taps and network of an option; a deep and wide general network is made smaller."""
    settings = NAMED[request.param]
    kwargs = {**settings["kwargs"], "depth": 10} if request.param == "wrn" else settings["kwargs"]
    network = build_network(source=settings["source"], name=settings["name"], num_classes=10, kwargs=kwargs)
    return request.param, settings["taps"], network


def test_every_option_is_tested():
    assert set(SHAPES) == set(NAMED)


def test_maps_and_embedding_have_the_sizes_of_the_paper(option):
    name, taps, network = option
    shapes = probe(network, taps, torch.rand(2, 3, 32, 32))
    sides, length = SHAPES[name]
    assert list(taps) == ["low", "mid", *(["upper"] if len(sides) == 4 else []), "high", "embedding"]
    assert [tuple(shapes[role][2:]) for role in taps if role != "embedding"] == [(side, side) for side in sides]
    assert shapes["embedding"] == (2, length)


def test_the_embedding_is_what_the_last_layer_reads(option):
    _, taps, network = option
    read, layers = [], [layer for layer in network.modules() if isinstance(layer, torch.nn.Linear)]
    handle = layers[-1].register_forward_pre_hook(lambda _layer, inputs: read.append(inputs[0]))
    features = captured(network, {"embedding": taps["embedding"]})
    handle.remove()
    assert torch.equal(features["embedding"], read[0])


def test_nothing_changes_a_map_in_place_after_it_was_seen(option):
    _, taps, network = option
    modules, seen = dict(network.named_modules()), {}
    handles = [
        modules[path].register_forward_hook(
            lambda _module, _inputs, output, role=role: seen.update({role: output.clone()})
        )
        for role, path in taps.items()
    ]
    features = captured(network, taps)
    for handle in handles:
        handle.remove()
    assert all(torch.equal(features[role], seen[role]) for role in taps)


def test_maps_come_after_the_activation(option):
    name, taps, network = option
    lowest = {role: feature.min().item() for role, feature in captured(network, taps).items() if role != "embedding"}
    assert all((value < 0) == (name in LINEAR) for value in lowest.values()), lowest


def captured(network, paths):
    taps = Taps(network, paths)
    try:
        with torch.no_grad():
            network.train()(torch.randn(2, 3, 32, 32))
        return taps.pop()
    finally:
        taps.remove()
