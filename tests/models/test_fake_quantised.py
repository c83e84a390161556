"""Fake quantisation: the arithmetic of INT8 in float32, where ONNX Runtime fuses it, and as its file computes."""

import sys
from collections import Counter

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from kdlab.errors import BadInput
from kdlab.jobs.export.onnx_file import exported
from kdlab.models.build import build_network
from kdlab.models.fake_quantised import FakeQuantised, fake_quantise
from kdlab.models.network import Network
from kdlab.models.pruning import Pruning, prune
from kdlab.models.saved import load_network, make_network, save_network

SIDE = 8


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.fc = nn.Linear(4, 5)

    def forward(self, images):
        return self.fc(F.relu(self.conv(images)).mean((2, 3)))


def images_of(count, seed=0):
    return torch.randn(count, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(seed))


def calibrated(module, images):
    rounded = FakeQuantised(module, (3, SIDE, SIDE)).train()
    with torch.no_grad():
        rounded(images)
    return rounded.eval()


def stepped(values):
    """Values rounded to 256 steps between their smallest and largest, 0 among them; and the step."""
    least, most = min(values.min().item(), 0.0), max(values.max().item(), 0.0)
    step = (most - least) / 255
    zero = round(-least / step)
    return (torch.clamp(torch.round(values / step) + zero, 0, 255) - zero) * step, step


def rounded_weights(weight):
    step = weight.abs().flatten(1).amax(1) / 127
    shape = (-1, *[1] * (weight.ndim - 1))
    return torch.clamp(torch.round(weight / step.view(shape)), -127, 127) * step.view(shape), step


def rounded_bias(bias, step):
    return torch.round(bias / step) * step


@torch.no_grad()
def test_rounds_inputs_weights_biases_and_what_a_relu_leaves_but_not_the_logits():
    """The definition of arXiv:1712.05877, written out."""
    torch.manual_seed(0)
    module, images = Small(), images_of(16)
    read, step = stepped(images)
    weight, steps = rounded_weights(module.conv.weight)
    maps = F.relu(F.conv2d(read, weight, rounded_bias(module.conv.bias, step * steps), padding=1))
    means, step = stepped(stepped(maps)[0].mean((2, 3)))
    weight, steps = rounded_weights(module.fc.weight)
    expected = F.linear(means, weight, rounded_bias(module.fc.bias, step * steps))
    found = calibrated(module, images)(images)
    # A value between two steps may be rounded up or down, by the order of a sum.
    assert (found - expected).abs().max() < 0.02 * expected.abs().max()
    assert ((found - expected).abs() < 1e-5 * expected.abs().max()).float().mean() > 0.9


@torch.no_grad()
def test_ranges_of_activations_follow_in_training_and_stay_in_eval_mode():
    torch.manual_seed(0)
    images = images_of(8)
    rounded = calibrated(Small(), images)
    before = {name: tensor.clone() for name, tensor in rounded.state_dict().items()}
    rounded(3 * images)
    torch.testing.assert_close(rounded.state_dict(), before, rtol=0, atol=0)
    rounded.train()(3 * images)
    moved = {name for name, tensor in rounded.state_dict().items() if not torch.equal(tensor, before[name])}
    assert sum(name.endswith("max_val") for name in moved) == 3  # the input, what the ReLU leaves, the mean


@torch.no_grad()
def test_the_range_of_weights_is_their_own_whatever_it_was():
    torch.manual_seed(0)
    images, module = images_of(8), Small()
    rounded = calibrated(module, images)
    weight = next(one for name, one in rounded.named_parameters() if name.endswith("conv.weight"))
    weight.mul_(0.01)
    rounded(images)
    ranges = [tensor for name, tensor in rounded.state_dict().items() if name.endswith("max_val") and len(tensor.shape)]
    torch.testing.assert_close(ranges[0], weight.flatten(1).amax(1), rtol=0, atol=0)


def test_every_parameter_learns_also_biases_that_came_from_norms():
    torch.manual_seed(0)
    rounded = FakeQuantised(build_network(source="cifar", name="resnet8", num_classes=5), (3, 32, 32)).train()
    rounded(torch.randn(2, 3, 32, 32)).sum().backward()
    assert all(one.grad is not None for one in rounded.parameters())
    assert not any("norm" in name or "bn" in name for name, _ in rounded.named_parameters())
    assert sum(name.endswith("bias") for name, _ in rounded.named_parameters()) == 8


@torch.no_grad()
def test_computes_in_float32_under_autocast():
    torch.manual_seed(0)
    images = images_of(8)
    rounded = calibrated(Small(), images)
    with torch.autocast("cpu", torch.bfloat16):
        found = rounded(images.bfloat16())
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, rounded(images.bfloat16().float()), rtol=0, atol=0)


def network_of(name="resnet8", source="cifar", **kwargs):
    torch.manual_seed(0)
    settings = {"source": source, "name": name, "kwargs": kwargs, "num_classes": 5}
    network = make_network({**settings, "mean": [0.5] * 3, "std": [0.25] * 3})
    pixels = torch.randint(0, 256, (64, 3, 32, 32), dtype=torch.uint8)
    with torch.no_grad():
        network.train()(pixels)  # statistics of norms
    return network, pixels


@pytest.mark.parametrize(
    ("source", "name", "kwargs", "fused"),
    [
        ("cifar", "resnet8", {}, {"QLinearConv": 7, "QLinearAdd": 3}),
        ("cifar", "mobilenetv2_half", {}, {"QLinearConv": 53, "QLinearAdd": 10}),
        ("cifar", "shufflenetv2", {}, {"QLinearConv": 56, "QLinearConcat": 16}),
        ("timm", "mobilenetv3_small_050", {}, {"QLinearConv": 53, "QLinearAdd": 7}),
    ],
)
def test_onnx_runtime_runs_every_layer_in_int8_and_predicts_as_the_network_that_was_trained(
    source, name, kwargs, fused, tmp_path
):
    network, pixels = network_of(name, source, **kwargs)
    fake_quantise(network, pixels[:1], name=name)
    with torch.no_grad():
        network.train()(pixels)
        expected = network.eval()(pixels)
    network.module = network.module.converted()
    with torch.no_grad():
        torch.testing.assert_close(network(pixels), expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath, options.log_severity_level = str(tmp_path / "optimised.onnx"), 3
    session = onnxruntime.InferenceSession(exported(network, pixels[:2], 20).SerializeToString(), options)
    (found,) = session.run(None, {session.get_inputs()[0].name: pixels.numpy()})
    operators = Counter(node.op_type for node in onnx.load(tmp_path / "optimised.onnx").graph.node)
    assert not operators["Conv"] + operators["FusedConv"] + operators["Gemm"] + operators["BatchNormalization"]
    assert {kind: operators[kind] for kind in fused} == fused
    assert (np.abs(found - expected.numpy()).max()) < 0.05 * float(expected.abs().max())


@pytest.mark.parametrize("pruned", [False, True])
def test_is_the_same_bit_for_bit_when_it_is_loaded(pruned, tmp_path):
    network, pixels = network_of()
    if pruned:
        prune(network, network_of()[0], pixels[:1], Pruning(0.3), name="resnet8", seed=0)
    fake_quantise(network, pixels[:1], name="resnet8")
    with torch.no_grad():
        network.train()(pixels)
        expected = network.eval()(pixels)
    save_network(tmp_path, network)
    settings = {"source": "cifar", "name": "resnet8", "kwargs": {}, "num_classes": 5, "mean": [0.5] * 3}
    config = {"network": {**settings, "std": [0.25] * 3}}
    (tmp_path / "config.yaml").write_text(str(config))
    loaded = load_network(tmp_path)
    assert {path.name for path in tmp_path.glob("*.json")} == {"quantisation.json", *(["pruning.json"] * pruned)}
    torch.testing.assert_close(loaded.state_dict(), network.state_dict(), rtol=0, atol=0)
    with torch.no_grad():
        torch.testing.assert_close(loaded(pixels), expected, rtol=0, atol=0)


class Branching(nn.Module):
    def forward(self, images):
        return images.mean((1, 2, 3)).expand(5, -1).T if images.sum() > 0 else images.amax((2, 3))


def bare(module):
    return Network(module, mean=None, std=None)


def test_a_network_that_cannot_be_prepared_is_refused_in_one_line():
    with pytest.raises(BadInput, match=r"^plan=qat: torch\.export and torchao cannot prepare mine: [^\n]+\. Choo"):
        fake_quantise(bare(Branching()), torch.rand(1, 3, SIDE, SIDE), name="mine")
    with pytest.raises(BadInput, match=r"cannot prepare mine: it takes no images\. Choose another network"):
        fake_quantise(bare(Small()), {"input_ids": torch.ones(1, 3)}, name="mine")


def test_without_torchao_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchao.quantization.pt2e.quantize_pt2e", None)
    with pytest.raises(BadInput, match=r'plan=qat needs the extra qat.*pip install "kdlab\[qat\]"'):
        fake_quantise(bare(Small()), torch.rand(1, 3, SIDE, SIDE), name="mine")
