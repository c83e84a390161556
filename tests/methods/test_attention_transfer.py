"""Attention transfer between networks with different feature layouts, and within one network."""

import numpy as np
import pytest
import torch

import kdlab
from kdlab.errors import BadInput
from kdlab.jobs.checks.stages import check_stages
from tests.methods.first_step import outputs_of, ready
from tests.small import QUICK, tiny_plan

CNN = {"model/{side}": "resnet8", "+model.{side}.kwargs.widths": "[2,2,4,4]"}
VIT = {
    "model/{side}": "timm",
    "model.{side}.name": "vit_tiny_patch16_224",
    "model.{side}.kwargs": "{{img_size:32,patch_size:8,embed_dim:12,depth:3,num_heads:3}}",
    "model.{side}.taps": "{{low:blocks.0,mid:blocks.1,high:blocks.2}}",
}


def stage_between(student, teacher, *overrides):
    sides = (("student", student), ("teacher", teacher))
    networks = [f"{key}={value}".format(side=side) for side, network in sides for key, value in network.items()]
    return kdlab.plan([*QUICK, *networks, *overrides]).student


def watched(network, paths):
    """Outputs of modules in the last forward pass, by role, from hooks independent of the taps."""
    outputs = {}
    for role, path in paths.items():

        def keep(_module, _inputs, output, role=role):
            outputs[role] = output.detach().numpy()

        network.module.get_submodule(path).register_forward_hook(keep)
    return outputs


def as_map(output):
    """Tokens as a map: without the class token, row by row."""
    if output.ndim == 4:
        return output
    batch, tokens, channels = output.shape
    side = int((tokens - 1) ** 0.5)
    return output[:, 1:].reshape(batch, side, side, channels).transpose(0, 3, 1, 2)


def attention(maps, side, power=2):
    """A sample's energy on a grid of that side, as a vector of length 1."""
    batch, channels, size, _ = maps.shape
    pooled = maps.reshape(batch, channels, side, size // side, side, size // side).mean((3, 5))
    energy = (np.abs(pooled) ** power).mean(1).reshape(batch, -1)
    return energy / np.linalg.norm(energy, axis=1, keepdims=True)


def distance(first, second, power=2):
    side = min(first.shape[-1], second.shape[-1])
    return ((attention(first, side, power) - attention(second, side, power)) ** 2).mean()


@pytest.mark.parametrize(("student", "teacher"), [(CNN, VIT), (VIT, CNN)], ids=["vit to cnn", "cnn to vit"])
def test_maps_of_a_convolutional_network_and_of_a_vision_transformer_are_compared(student, teacher):
    stage = stage_between(student, teacher, "loss=attention")
    check_stages([stage])
    method, batch = ready(stage)
    own = watched(method.student, stage.network["taps"])
    others = watched(method.teachers[0].network, stage.teachers[0][0].network["taps"])
    loss = method.training_step(batch, 0)
    assert {own["low"].ndim, others["low"].ndim} == {3, 4}
    expected = sum(distance(as_map(own[role]), as_map(others[role])) for role in ("low", "mid", "high"))
    logits = method.student_outputs(batch, 0)[0].logits
    labels = torch.nn.functional.cross_entropy(logits, batch.targets)
    assert loss.item() == pytest.approx(1000 * expected + labels.item(), rel=1e-4)


def test_the_power_of_the_config_is_used():
    stage = tiny_plan("loss=attention", "loss.terms.attention.power=4", "loss.terms.ce.weight=0").student
    method, batch = ready(stage)
    student, teacher = outputs_of(method, batch)
    pairs = [(student.features[role].detach().numpy(), teacher.features[role].numpy()) for role in student.features]
    expected = 1000 * sum(distance(own, other, power=4) for own, other in pairs)
    assert method.training_step(batch, 0).item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("side", ["student", "teacher"])
def test_a_map_of_one_position_is_refused_before_training(side):
    stage = tiny_plan("loss=attention", f"model.{side}.image_size=4").student
    text = (
        rf"^model\.{side}\.taps\.high: attention needs a map of more than one position, got \(\d, 1, 1\) \(channels, "
        rf"height, width\)\. Tap an earlier module, or give the network larger images: model\.{side}\.image_size=64\.$"
    )
    with pytest.raises(BadInput, match=text):
        check_stages([stage])


def test_only_taps_of_the_attention_term_need_several_positions():
    earlier = ("loss=attention", "loss.terms.attention.taps=[low,mid]", "model.student.image_size=4")
    check_stages([tiny_plan(*earlier, "loss.terms.hint={taps:[high],adapter:student}").student])


def test_within_one_network_only_the_earlier_map_of_a_pair_gets_a_gradient():
    method, batch = ready(tiny_plan("loss=self_attention_distillation", "loss.terms.ce.weight=0").student)
    student, _ = method.student_outputs(batch, 0)
    low, mid, high = (student.features[role].detach().numpy() for role in ("low", "mid", "high"))
    loss = method.training_step(batch, 0)
    assert loss.item() == pytest.approx(10 * (distance(low, mid) + distance(mid, high)), rel=1e-4)
    loss.backward()
    stages = {name: getattr(method.student.module, name) for name in ("layer1", "layer2", "layer3")}
    gradient_sums = {
        name: sum(float(p.grad.abs().sum()) for p in stage.parameters() if p.grad is not None)
        for name, stage in stages.items()
    }
    assert gradient_sums["layer1"] > 0 and gradient_sums["layer2"] > 0
    assert gradient_sums["layer3"] == 0
