"""Taps capture the outputs of submodules, also in a compiled network; probing leaves the network unchanged."""

import pytest
import timm
import torch
from torch import nn

from kdlab.errors import BadInput
from kdlab.models import cifar
from kdlab.models.network import Network
from kdlab.models.taps import Taps, probe

PATHS = {"low": "layer1", "mid": "layer2", "high": "layer3"}


@pytest.fixture
def network():
    torch.manual_seed(0)
    return cifar.resnet8(10).eval()


@pytest.fixture
def images():
    return torch.rand(2, 3, 32, 32)


def stages(network, images):
    low = network.layer1(torch.relu(network.bn1(network.conv1(images))))
    mid = network.layer2(low)
    return {"low": low, "mid": mid, "high": network.layer3(mid)}


def same(features, expected):
    return features.keys() == expected.keys() and all(torch.equal(features[role], expected[role]) for role in expected)


def test_a_forward_pass_captures_each_roles_activation(network, images):
    expected = stages(network, images)
    taps = Taps(network, PATHS)
    network(images)
    assert same(taps.features, expected)


def test_pop_returns_the_features_and_clears_them(network, images):
    taps = Taps(network, PATHS)
    network(images)
    assert set(taps.pop()) == set(PATHS)
    assert taps.features == {}


def test_gradients_flow_through_a_tap(network, images):
    taps = Taps(network, PATHS)
    network(images)
    taps.pop()["low"].sum().backward()
    assert network.conv1.weight.grad is not None
    assert network.layer2[0].conv1.weight.grad is None


def test_a_tap_that_did_not_fire_is_named(network, images):
    network.spare = nn.Linear(1, 1)
    taps = Taps(network, {"low": "layer1", "mid": "spare"})
    network(images)
    with pytest.raises(BadInput, match=r"^taps\.mid \(spare\): did not fire .* register taps first"):
        taps.pop()


def test_features_of_an_earlier_pass_do_not_hide_a_tap_that_did_not_fire(network, images):
    taps = Taps(network, PATHS)
    network(images)
    taps.clear()
    with pytest.raises(BadInput, match=r"taps\.low \(layer1\), taps\.mid \(layer2\), taps\.high \(layer3\)"):
        taps.pop()


def test_an_unknown_path_names_the_closest_modules(network):
    with pytest.raises(BadInput, match=r"^taps\.mid: ResNet has no module 'layer4'; closest: .*layer3"):
        Taps(network, {"low": "layer1", "mid": "layer4"})
    assert not network.layer1._forward_hooks, "a failed registration leaves no hook"


def test_a_path_like_no_other_names_the_top_modules(network):
    with pytest.raises(BadInput, match="closest: conv1, bn1, layer1, layer2, layer3, dropout, fc"):
        Taps(network, {"mid": "zzzzzz"})


def test_removed_taps_capture_nothing(network, images):
    taps = Taps(network, PATHS)
    network(images)
    taps.remove()
    assert taps.features == {}
    network(images)
    assert taps.features == {}


class Several(nn.Module):
    def __init__(self, make):
        super().__init__()
        self.make, self.inner = make, nn.Identity()
        self.inner.register_forward_hook(lambda _module, _inputs, output: make(output))

    def forward(self, images):
        self.inner(images)
        return images


@pytest.mark.parametrize(
    "make",
    [lambda x: (x, x + 1), lambda x: [None, x], lambda x: {"hidden": x, "other": x + 1}],
)
def test_of_several_outputs_the_first_tensor_is_taken(make, images):
    network = Several(make)
    taps = Taps(network, {"mid": "inner"})
    network(images)
    assert torch.equal(taps.pop()["mid"], images)


def test_an_output_without_a_tensor_is_explained(images):
    network = Several(lambda _: "text")
    Taps(network, {"mid": "inner"})
    with pytest.raises(BadInput, match=r"taps\.mid: .* must return a tensor, inner returned str; tap a module"):
        network(images)


def test_paths_into_a_network_are_those_of_its_bare_module(network, images):
    wrapped = Network(network, mean=None, std=None)
    taps = Taps(wrapped, PATHS)
    wrapped(images)
    assert same(taps.pop(), stages(network, images))


@pytest.mark.parametrize("wrapped", [False, True])
def test_taps_registered_before_compiling_in_place_fire_in_every_pass(network, images, wrapped):
    torch.compiler.reset()
    whole = Network(network, mean=None, std=None) if wrapped else network
    taps = Taps(whole, PATHS)
    whole.compile(backend="aot_eager", fullgraph=True)
    for batch in (images, images + 0.1):
        whole(batch)
        features = taps.pop()
        expected = stages(network, batch)
        assert features.keys() == expected.keys()
        for role in expected:
            torch.testing.assert_close(features[role], expected[role])


def test_gradients_flow_through_a_tap_of_a_compiled_network(network, images):
    torch.compiler.reset()
    taps = Taps(network, PATHS)
    network.compile(backend="aot_eager")
    network(images)
    taps.pop()["mid"].square().sum().backward()
    compiled = network.conv1.weight.grad.clone()
    network.zero_grad()
    stages(network, images)["mid"].square().sum().backward()
    torch.testing.assert_close(compiled, network.conv1.weight.grad)


def test_taps_registered_after_the_first_compiled_pass_are_an_error(network, images):
    torch.compiler.reset()
    network.compile(backend="eager")
    network(images)
    taps = Taps(network, PATHS)
    network(images)
    with pytest.raises(BadInput, match="compiled before the taps were registered"):
        taps.pop()


def test_probe_gives_the_shapes(network, images):
    assert probe(network, PATHS, images) == {
        "low": (2, 16, 32, 32),
        "mid": (2, 32, 16, 16),
        "high": (2, 64, 8, 8),
    }


def test_probe_leaves_modes_statistics_gradients_and_hooks_as_they_were(network, images):
    network.train()
    network.layer2.eval()
    network.layer3[0].bn1.eval()
    modes = [part.training for part in network.modules()]
    state = {name: value.clone() for name, value in network.state_dict().items()}
    probe(network, PATHS, images)
    assert [part.training for part in network.modules()] == modes
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())
    assert not any(part._forward_hooks for part in network.modules())


def test_probe_builds_no_graph(network, images):
    requires_grad = []
    network.fc.register_forward_hook(lambda _module, _inputs, output: requires_grad.append(output.requires_grad))
    probe(network, PATHS, images)
    assert requires_grad == [False]


def test_probe_restores_the_modes_when_the_network_fails(network):
    network.train()
    with pytest.raises(RuntimeError):
        probe(network, PATHS, torch.zeros(2, 5, 32, 32))
    assert all(part.training for part in network.modules())
    assert not any(part._forward_hooks for part in network.modules())


class Words(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(10, 4)

    def forward(self, input_ids):
        return self.embedding(input_ids)


@pytest.mark.parametrize("wrapped", [False, True])
def test_probe_takes_a_dict(wrapped):
    network = Network(Words(), mean=None, std=None) if wrapped else Words()
    assert probe(network, {"low": "embedding"}, {"input_ids": torch.zeros(2, 3, dtype=torch.long)}) == {
        "low": (2, 3, 4)
    }


# Strides 8, 16 and 32: at 64 pixels, maps of 8, 4 and 2.
@pytest.mark.parametrize(
    ("name", "paths"),
    [
        ("resnet18", ("layer2", "layer3", "layer4")),
        ("mobilenetv3_small_100", ("blocks.1", "blocks.3", "blocks.5")),
    ],
)
def test_timm_networks_are_tapped_at_strides_8_16_and_32(name, paths):
    shapes = probe(timm.create_model(name), dict(zip(PATHS, paths, strict=True)), torch.zeros(1, 3, 64, 64))
    assert [tuple(shapes[role][2:]) for role in PATHS] == [(8, 8), (4, 4), (2, 2)]
