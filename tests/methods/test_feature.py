"""Feature distillation: its weights, and its adapters from the first step to the stage's files."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from kdlab.errors import BadInput
from kdlab.jobs.training.parts import make_method
from kdlab.jobs.training.preparation import initial_network
from kdlab.models.cost import flops
from tests.jobs.training.test_stage import stage_in, weights
from tests.methods.first_step import outputs_of, ready
from tests.small import tiny_plan

THREE = ("loss.alpha=0.3", "loss.beta=0.5", "loss.gamma=0.2")
UNEQUAL = ("loss=feature", "model.student.image_size=16")  # half the teacher's width and half its size


def stage_of(*overrides):
    return tiny_plan(*UNEQUAL, *overrides).student


@pytest.fixture(scope="module")
def stage():
    return stage_of(*THREE)


def weights_of(stage, **loss):
    changed = {name: value for name, value in loss.items() if name in stage.loss}
    return {term.name: term.weight for term in make_method(replace(stage, loss={**stage.loss, **changed})).settings}


def test_the_three_weights_are_those_of_soft_targets_features_and_labels(stage):
    assert weights_of(stage) == {"response_kd": 0.3, "feature": 0.5, "ce": 0.2}


def test_a_weight_of_0_counts_in_the_sum_and_leaves_its_term_out():
    assert weights_of(stage_of("loss.alpha=0", "loss.beta=0.6", "loss.gamma=0.4")) == {"feature": 0.6, "ce": 0.4}


def test_without_the_three_every_term_keeps_its_own_weight():
    assert weights_of(stage_of()) == {"response_kd": 1.0, "feature": 1.0, "ce": 1.0}
    assert weights_of(stage_of("loss.terms.feature.weight=50")) == {"response_kd": 1.0, "feature": 50, "ce": 1.0}


TOGETHER = r"^loss\.alpha, loss\.beta and loss\.gamma \(soft targets, .* are given together and sum to 1, got only "
SUM = r"^loss\.alpha, loss\.beta and loss\.gamma must lie in \[0, 1\] and sum to 1, got "


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ((0.3, None, None), TOGETHER + r"loss\.alpha=0\.3\. For example .* loss\.terms\.<name>\.weight\.$"),
        ((None, 0.5, 0.5), TOGETHER + r"loss\.beta=0\.5, loss\.gamma=0\.5\."),
        ((0.3, 0.5, 0.3), SUM + r"loss\.alpha=0\.3, loss\.beta=0\.5, loss\.gamma=0\.3\. For example"),
        ((1.5, -0.5, 0.0), SUM + r"loss\.alpha=1\.5, loss\.beta=-0\.5"),
        ((True, 0.0, 0.0), SUM + "loss.alpha=True"),
        (("0.3", 0.5, 0.2), SUM + r"loss\.alpha='0\.3'"),
        ((float("nan"), 0.5, 0.5), SUM + "loss.alpha=nan"),
    ],
)
def test_weights_that_are_not_three_shares_are_refused(given, text, stage):
    weights = dict(zip(("alpha", "beta", "gamma"), given, strict=True))
    with pytest.raises(BadInput, match=text):
        make_method(replace(stage, loss={**stage.loss, **weights}))


def test_three_thirds_sum_to_1(stage):
    third = {name: 1 / 3 for name in ("alpha", "beta", "gamma")}
    make_method(replace(stage, loss={**stage.loss, **third}))


def adapted(maps, adapter):
    """A 1x1 convolution, and BatchNorm by the batch."""
    convolution, norm = adapter
    mixed = np.einsum("oc,bchw->bohw", convolution.weight.detach().numpy()[:, :, 0, 0], maps)
    mean, spread = mixed.mean((0, 2, 3), keepdims=True), mixed.var((0, 2, 3), keepdims=True)
    scale, shift = (part.detach().numpy()[:, None, None] for part in (norm.weight, norm.bias))
    return scale * (mixed - mean) / np.sqrt(spread + norm.eps) + shift


def halved(maps):
    batch, channels, side, _ = maps.shape
    return maps.reshape(batch, channels, side // 2, 2, side // 2, 2).mean((3, 5))


def squared_distance(first, second):
    first, second = (
        side.reshape(len(side), -1) / np.linalg.norm(side.reshape(len(side), -1), axis=1)[:, None]
        for side in (first, second)
    )
    return ((first - second) ** 2).sum(1).mean()


@pytest.mark.parametrize("side", ["student", "teacher"])
def test_the_first_step_compares_adapted_maps_of_both_taps(side):
    method, batch = ready(stage_of(f"loss.terms.feature.adapter={side}"))
    (term,) = [term for term in method.terms if term.name == "feature"]
    student, teacher = outputs_of(method, batch)
    expected = 0.0
    for role, comparison in zip(("mid", "high"), term.comparisons[0], strict=True):
        own, other = student.features[role].detach().numpy(), halved(teacher.features[role].numpy())
        (adapter,) = comparison.adapters
        mapped = (adapted(own, adapter), other) if side == "student" else (own, adapted(other, adapter))
        expected += squared_distance(*mapped)
    value = term(student, [(teacher, 1.0)], method.student_outputs(batch, 0)[1])
    assert value.item() == pytest.approx(expected, rel=1e-4)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("feature")


def trained(root, *overrides):
    """The folder of a student after three steps, and its method as it was before them."""
    plan = tiny_plan(*UNEQUAL, "epochs=1", *overrides)
    return plan.student, stage_in(root, plan, "student"), ready(plan.student)[0]


def checkpointed(folder):
    checkpoint = torch.load(folder / "last.ckpt", weights_only=True)
    names = [name for group in checkpoint["optimizer_states"][0]["param_groups"] for name in group["params"]]
    adapters = {name: tensor for name, tensor in checkpoint["state_dict"].items() if name.startswith("terms.")}
    return adapters, len(names)


def test_adapters_are_trained_and_saved_and_not_exported(root):
    stage, folder, before = trained(root, *THREE)
    adapters, optimised = checkpointed(folder)
    initial = {f"terms.{name}": parameter for name, parameter in before.terms.named_parameters()}
    assert {tuple(parameter.shape) for parameter in initial.values()} == {(8, 4, 1, 1), (8,)}
    assert all(not torch.equal(adapters[name], parameter) for name, parameter in initial.items())
    assert optimised == len(list(before.student.parameters())) + len(initial)
    bare = initial_network(stage)
    assert set(weights(folder)) == set(bare.module.state_dict())
    result = json.loads((folder / "result.json").read_text())
    assert result["params"] == sum(parameter.numel() for parameter in bare.parameters())
    assert result["flops"] == flops(bare, torch.zeros(1, 3, 32, 32))
    assert result["size_bytes"] == (folder / "student.safetensors").stat().st_size < 4 * result["params"] + 9000


def test_the_loss_is_the_weighted_sum_of_the_three_terms(root):
    _, folder, _ = trained(root, *THREE)
    header, row = (folder / "metrics.csv").read_text().splitlines()
    of = dict(zip(header.split(","), map(float, row.split(",")), strict=True))
    expected = 0.3 * of["train/response_kd"] + 0.5 * of["train/feature"] + 0.2 * of["train/ce"]
    assert of["train/loss"] == pytest.approx(expected, rel=1e-5)


def test_an_adapter_of_the_teacher_keeps_its_initial_weights(root):
    _, folder, before = trained(root, "loss.terms.feature.adapter=teacher")
    adapters, optimised = checkpointed(folder)
    initial = {f"terms.{name}": parameter for name, parameter in before.terms.named_parameters()}
    assert {tuple(parameter.shape) for parameter in initial.values()} == {(4, 8, 1, 1), (4,)}
    torch.testing.assert_close({name: adapters[name] for name in initial}, dict(initial), rtol=0, atol=0)
    assert optimised == len(list(before.student.parameters()))


def test_another_seed_draws_other_adapters(stage):
    first, second = (ready(replace(stage, seed=seed))[0].terms.state_dict() for seed in (0, 1))
    name = next(name for name in first if name.endswith("0.weight"))
    assert not torch.equal(first[name], second[name])
