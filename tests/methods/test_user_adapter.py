"""An adapter class of the user's: set in a config, trained and resumed, not exported."""

import json

import pytest
import torch
from torch import Size, nn

import kdlab.jobs.training.checkpointing
from kdlab.errors import BadInput
from kdlab.jobs.checks.stages import check_stages
from kdlab.jobs.training.preparation import initial_network
from kdlab.methods.adapters import AdapterSettings
from kdlab.models.cost import flops
from tests.jobs.training.test_stage import Crash, CrashAt, assert_same_stage, stage_in, weights
from tests.methods.first_step import outputs_of, ready
from tests.small import tiny_plan

SOURCE = """
from torch import nn


class Bottleneck(nn.Module):
    def __init__(self, own, other, width=2):
        super().__init__()
        self.shapes = tuple(own), tuple(other)
        self.layers = nn.Sequential(nn.Conv2d(own[0], width, 1), nn.ReLU(), nn.Conv2d(width, other[0], 1))

    def forward(self, features):
        return self.layers(features)
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    """The user's own module, under a unique name: Python caches the location of a module."""
    path = tmp_path / f"{tmp_path.name}_adapters.py"
    path.write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    return path


def plan_with(module, *overrides, side="student"):
    adapter = f"loss.terms.feature.adapter={{_target_:{module.stem}.Bottleneck,side:{side}}}"
    return tiny_plan("loss=feature", "plan=single", "model.student.image_size=16", adapter, *overrides)


def test_it_is_built_from_the_probed_shapes_and_its_arguments_and_maps_the_students_features(module):
    stage = plan_with(module, "+loss.terms.feature.adapter.width=3").student
    check_stages([stage])
    method, batch = ready(stage)
    (term,) = [term for term in method.terms if term.name == "feature"]
    mid, high = (comparison.adapters[0] for comparison in term.comparisons[0])
    assert mid.shapes == ((4, 8, 8), (8, 16, 16)) and high.shapes == ((4, 4, 4), (8, 8, 8))
    assert mid.layers[0].weight.shape == (3, 4, 1, 1)
    student, teacher = outputs_of(method, batch)
    expected = 0.0
    for role, adapter in (("mid", mid), ("high", high)):
        own = nn.functional.normalize(adapter.layers(student.features[role]).flatten(1))
        other = nn.functional.normalize(nn.functional.avg_pool2d(teacher.features[role], 2).flatten(1))
        expected += (own - other).square().sum(1).mean().item()
    value = term(student, [(teacher, 1.0)], method.student_outputs(batch, 0)[1])
    assert value.item() == pytest.approx(expected, rel=1e-4)


def test_it_is_trained_and_resumed_and_not_exported(module, tmp_path, monkeypatch):
    plan = plan_with(module)
    undisturbed = stage_in(tmp_path / "one", plan, "student")
    checkpoint = torch.load(undisturbed / "last.ckpt", weights_only=True)
    adapters = {name: tensor for name, tensor in checkpoint["state_dict"].items() if ".adapters." in name}
    before = {f"terms.{name}": tensor for name, tensor in ready(plan.student)[0].terms.state_dict().items()}
    assert len(adapters) == 2 * 4 and all(not torch.equal(adapters[name], before[name]) for name in adapters)
    bare = initial_network(plan.student)
    (group,) = checkpoint["optimizer_states"][0]["param_groups"]
    assert len(group["params"]) == len(list(bare.parameters())) + len(adapters)
    assert set(weights(undisturbed)) == set(bare.module.state_dict())
    result = json.loads((undisturbed / "result.json").read_text())
    assert result["params"] == sum(parameter.numel() for parameter in bare.parameters())
    assert result["flops"] == flops(bare, torch.zeros(1, 3, 32, 32))
    monkeypatch.setattr(kdlab.jobs.training.checkpointing, "SECONDS_BETWEEN_SAVES", 0.0)
    with pytest.raises(Crash):
        stage_in(tmp_path / "two", plan_with(module), "student", [CrashAt(4)])
    assert_same_stage(stage_in(tmp_path / "two", plan_with(module), "student"), undisturbed)


def test_its_source_counts_in_the_fingerprint_and_comments_do_not(module):
    before = plan_with(module).student.fingerprint
    module.write_text(SOURCE + "\n# a comment\n")
    assert plan_with(module).student.fingerprint == before
    module.write_text(SOURCE.replace("nn.ReLU()", "nn.Tanh()"))
    assert plan_with(module).student.fingerprint != before


def test_on_the_teachers_side_it_keeps_its_initial_weights(module):
    method, _ = ready(plan_with(module, side="teacher").student)
    parameters = list(method.terms.parameters())
    assert parameters and not any(parameter.requires_grad for parameter in parameters)
    assert parameters[0].shape[1] == 8  # of the teacher's channels


class Kept(nn.Module):
    """Returns its input."""

    def __init__(self, own, other, rate=1.0):
        super().__init__()
        if rate > 1:
            raise ValueError("rate is above 1")

    def forward(self, features):
        return features


class WithoutOther(nn.Module):
    def __init__(self, own):
        super().__init__()


class Narrow(Kept):
    def forward(self, features):
        return features.view(2, 5)


def read(**settings):
    return AdapterSettings.read("loss.terms.hint.adapter", settings)


def of(kind, **arguments):
    return {"_target_": f"{__name__}.{kind}", **arguments}


KEY = r"^loss\.terms\.hint\.adapter"


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        (
            of("Kept", side="both"),
            KEY + r"\.side must be student or teacher, got 'both'\. For example .*side=student\.$",
        ),
        (
            {"side": "student"},
            KEY + r"\._target_ is missing, got \{'side': 'student'\}\. Set .*_target_=my\.module\.Ad",
        ),
        (
            of("Absent"),
            KEY + r"\._target_ must name what can be imported.*got tests\.methods\.test_user_adapter\.Absent",
        ),
        (of("of"), KEY + r"\._target_ must name a torch\.nn\.Module class, got <function of.*Name the class itself\.$"),
        (
            of("WithoutOther"),
            KEY + r": WithoutOther must take the shapes `own` and `other` .*; got no other\. Add them to its __init__",
        ),
        (of("Kept", rat=1), KEY + r"\.rat is not a setting, got 1 for it\. Did you mean .*\.adapter\.rate\?$"),
    ],
)
def test_a_target_that_is_no_adapter_is_refused_when_it_is_read(settings, text):
    with pytest.raises(BadInput, match=text):
        read(**settings)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        (of("Kept", rate=2), KEY + r": Kept refuses own=.*rate=2: rate is above 1\. Change the value that it names\.$"),
        (
            of("Kept"),
            KEY + r": Kept must map features of shape \(4, 4, 4\) to \(6, 4, 4\), got \(4, 4, 4\)\. Make it from",
        ),
        (
            of("Narrow"),
            KEY + r": Narrow does not take features of shape \(4, 4, 4\): shape '\[2, 5\]' is invalid.* Maps are",
        ),
    ],
)
def test_wrong_shapes_are_refused_when_it_is_built(settings, text):
    with pytest.raises(BadInput, match=text):
        read(**settings).build(Size([4, 8, 8]), Size([6, 4, 4]))


def test_the_default_side_is_the_students():
    assert read(**of("Kept")).side == "student"
