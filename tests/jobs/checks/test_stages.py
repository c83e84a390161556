"""What is known to be wrong before anything trains."""

from dataclasses import replace

import pytest
import torch

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
            r"^callbacks.mine needs a class or function to make, got {'patience': 1}",
        ),
        ("network", {"checkpoint": 7}, r"^model.student.checkpoint must be the path of a file, or null; got 7.$"),
        ("network", {"name": "resnet9"}, r"^model.student.name: cifar has no network 'resnet9'; closest: "),
    ],
)
def test_what_does_not_fit_is_named(field, change, text, student):
    changed = replace(student, **{field: {**getattr(student, field), **change}})
    with pytest.raises(BadInput, match=text):
        check_stages([changed])


def test_the_teachers_recipe_is_called_by_its_own_name(plan):
    teacher = replace(plan.teacher, optimizer={**plan.teacher.optimizer, "lrr": 1})
    with pytest.raises(BadInput, match=r"^model.teacher.train.optimizer.lrr is not a setting"):
        check_stages([teacher])


@pytest.mark.parametrize("side", ["student", "teacher"])
def test_a_role_without_a_module_is_named_on_its_side(side, plan):
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


def test_a_finished_stage_needs_no_weights_any_more(student):
    gone = replace(student, network={**student.network, "checkpoint": "gone.pt"})
    with pytest.raises(BadInput, match=r"no file at gone\.pt"):
        check_stages([gone])
    check_stages([gone], finished=lambda stage: True)
