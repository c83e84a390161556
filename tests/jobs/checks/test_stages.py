"""Checks of all stages before anything trains."""

import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import kdlab.jobs.checks.stages
from kdlab.data import Digits
from kdlab.errors import BadInput
from kdlab.jobs.checks.stages import check_stages
from tests.small import tiny_plan


@pytest.fixture(scope="module")
def plan():
    return tiny_plan()


@pytest.fixture
def student(plan):
    return plan.student


def squared_distance(student, teacher):
    return ((student - teacher.mean()) ** 2).mean()


def test_a_plan_that_fits_passes_and_leaves_the_random_state_alone(plan):
    before = torch.get_rng_state()
    check_stages(plan.stages)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("field", "change", "text"),
    [
        ("optimizer", {"lrr": 1}, r"^optimizer.lrr is not a setting, got 1 for it. Did you mean optimizer.lr\?$"),
        ("optimizer", {"lr": -1}, r"^optimizer: torch.optim.SGD refuses lr=-1, .*: Invalid learning rate: -1. Change"),
        ("optimizer", {"lr": "fast"}, r"^optimizer: torch.optim.SGD refuses lr='fast'"),
        (
            "scheduler",
            {"pct_strt": 1},
            r"^scheduler.pct_strt is not a setting, got 1 for it. Did you mean .*pct_start\?$",
        ),
        (
            "scheduler",
            {"pct_start": 7},
            r"^scheduler: .*OneCycleLR refuses .*pct_start=7.*: Expected float between 0 and 1",
        ),
        ("trainer", {"max_epochs": 3}, r"^trainer.max_epochs belongs to kdlab, got 3. Set epochs=… instead.$"),
        ("trainer", {"plugins": []}, r"^trainer.plugins belongs to kdlab, got \[\]. Leave it out"),
        (
            "trainer",
            {"gradient_clip": 1},
            r"^trainer.gradient_clip is not .* Did you mean trainer.gradient_clip_val\?$",
        ),
        ("trainer", {"limit_train_batches": -2}, r"^hardware or trainer: lightning.Trainer refuses .*invalid value -2"),
        ("hardware", {"devices": 0}, r"lightning.Trainer refuses accelerator='cpu', devices=0"),
        ("hardware", {"threads": 0}, r"^hardware.threads must be a whole number, 1 or more, or null for .*; got 0.$"),
        (
            "hardware",
            {"compile": "fast"},
            r"^hardware.compile must be true, false or a mode of torch.compile: .*'fast'.",
        ),
        (
            "hardware",
            {"teacher_precision": "16"},
            r"^hardware.teacher_precision must be one of auto, .*; got '16'.",
        ),
        ("hardware", {"jobs_per_gpu": 0}, r"^hardware.jobs_per_gpu must be a whole number, 1 or more, .*; got 0.$"),
        ("hardware", {"jobs_per_gpu": 2, "devices": 2}, r"got devices=2. Set trainer.devices=1, or hardware.jobs_per"),
        (
            "callbacks",
            {"mine": {"patience": 1}},
            r"^callbacks.mine needs a class or function to build, got {'patience': 1}",
        ),
        ("network", {"checkpoint": 7}, r"^model.student.checkpoint must be the path of a file, or null; got 7.$"),
        ("network", {"name": "resnet9"}, r"^model.student.name: cifar has no network 'resnet9'; closest: "),
    ],
)
def test_what_does_not_fit_is_named(field, change, text, student):
    changed = replace(student, **{field: {**getattr(student, field), **change}})
    with pytest.raises(BadInput, match=text):
        check_stages([changed])


def test_errors_in_the_teachers_recipe_name_its_own_settings(plan):
    teacher = replace(plan.teacher, optimizer={**plan.teacher.optimizer, "lrr": 1})
    with pytest.raises(BadInput, match=r"^model.teacher.train.optimizer.lrr is not a setting"):
        check_stages([teacher])
    slow = replace(plan.teacher, optimizer={**plan.teacher.optimizer, "lr": -1})
    with pytest.raises(BadInput, match=r"^model.teacher.train.optimizer: .*SGD refuses lr=-1"):
        check_stages([slow])


@pytest.mark.parametrize("side", ["student", "teacher"])
def test_a_role_without_a_module_is_named_with_its_network(side, plan):
    term = {"_target_": "tests.jobs.checks.test_stages.squared_distance", "taps": ["mid"]}
    student = replace(plan.student, loss={**plan.student.loss, "terms": {"mine": term}})
    teacher = plan.teacher
    bare = {"low": "layer1", "high": "layer3"}
    if side == "student":
        student = replace(student, network={**student.network, "taps": bare})
    else:
        teacher = replace(teacher, network={**teacher.network, "taps": bare})
    student = replace(student, teachers=((teacher, 1.0),))
    text = rf"^model.{side}.taps.mid is missing: .* resnet8 has low, high. Name one of its modules, such as conv1"
    with pytest.raises(BadInput, match=text):
        check_stages([student])


def test_the_weights_of_a_finished_stage_are_not_read(student):
    gone = replace(student, network={**student.network, "checkpoint": "gone.pt"})
    with pytest.raises(BadInput, match=r"no file at gone\.pt"):
        check_stages([gone])
    check_stages([gone], finished=lambda stage: True)


class Noisy(Digits):
    """Draws from every global generator when it is read."""

    def setup(self, stage=None):
        torch.rand(1), random.random(), np.random.random()
        super().setup(stage)


class Refusing(nn.Module):
    """Ten logits of images of 8 pixels."""

    def __init__(self, num_classes):
        super().__init__()
        self.layer = nn.Linear(3 * 8 * 8, num_classes)

    def forward(self, images):
        return self.layer(images.flatten(1))


DOES_NOT_FIT = [
    (
        "cifar",
        "small_cnn",
        r"model\.{side}\.kwargs\.image_size: small_cnn was built for 32x32 images, got 64x64; set "
        r"model\.{side}\.kwargs\.image_size=64, or model\.{side}\.image_size=32 to resize them$",
    ),
    (
        "tests.jobs.checks.test_stages",
        "Refusing",
        r"model\.{side}: Refusing cannot take a tensor of 3x64x64, a sample of the data: "
        r".*mat1 and mat2 shapes .*\. Choose another network, or set model\.{side}\.kwargs, or "
        r"model\.{side}\.image_size=… to resize the images for it\.$",
    ),
]


@pytest.mark.parametrize("loss", ["ce", "response", "hint"])
@pytest.mark.parametrize(("source", "name", "text"), DOES_NOT_FIT)
def test_a_network_that_cannot_take_the_data_is_named_before_any_teacher_trains(source, name, text, loss):
    plan = tiny_plan("data.image_size=64", f"loss={loss}")
    taps = {"mid": "pool1" if name == "small_cnn" else "layer"}
    network = {**plan.student.network, "source": source, "name": name, "kwargs": {}, "taps": taps}
    with pytest.raises(BadInput, match="^" + text.format(side="student")):
        check_stages([*plan.stages[:-1], replace(plan.student, network=network)])


def test_a_teacher_that_cannot_take_the_data_is_named_though_nothing_reads_its_taps():
    plan = tiny_plan("data.image_size=64")
    network = {**plan.teacher.network, "source": "cifar", "name": "small_cnn", "kwargs": {}}
    with pytest.raises(BadInput, match=DOES_NOT_FIT[0][2].format(side="teacher")):
        check_stages([replace(plan.teacher, network=network)])


def test_a_peer_that_cannot_take_the_data_is_named():
    plan = tiny_plan("data.image_size=64", "loss=mutual")
    peer = {**plan.student.peer, "source": "cifar", "name": "small_cnn", "kwargs": {}}
    with pytest.raises(BadInput, match=DOES_NOT_FIT[0][2].format(side="teacher")):
        check_stages([replace(plan.student, peer=peer)])


def test_the_network_of_a_finished_stage_is_not_run():
    plan = tiny_plan("data.image_size=64")
    network = {**plan.student.network, "source": "cifar", "name": "small_cnn", "kwargs": {}}
    check_stages([replace(plan.student, network=network)], finished=lambda stage: True)


@pytest.mark.parametrize("loss", ["response", "hint"])
def test_each_distinct_network_is_built_and_each_data_set_read_once(loss, monkeypatch):
    plan, built, read = tiny_plan(f"loss={loss}"), [], []
    make, make_data = kdlab.jobs.checks.stages.initial_network, kdlab.jobs.checks.stages.make_data
    monkeypatch.setattr(
        kdlab.jobs.checks.stages, "initial_network", lambda stage: (built.append(stage.name), make(stage))[1]
    )
    monkeypatch.setattr(kdlab.jobs.checks.stages, "make_data", lambda data: (read.append(data), make_data(data))[1])
    check_stages(plan.stages)
    assert [stage.name for stage in plan.stages] == ["teacher", "baseline", "student"]
    assert built == ["teacher", "baseline"]  # the student has the same network as the baseline
    assert len(read) == 2  # with all labels for the teacher, with few for the student


def test_checks_change_the_state_of_no_random_generator():
    stages = tiny_plan("loss=hint", "data._target_=tests.jobs.checks.test_stages.Noisy").stages
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()
    check_stages(stages)
    assert torch.equal(torch.get_rng_state(), states[0])
    assert random.getstate() == states[1]
    assert np.random.get_state()[1].tolist() == states[2]
