"""Settings that exclude each other in a training step are refused before anything trains."""

from dataclasses import replace

import pytest

from kdlab.errors import BadInput
from kdlab.jobs.checks.step import check_step
from kdlab.jobs.plan import Plan
from kdlab.jobs.training.stage import Stage
from tests.small import tiny_plan


@pytest.fixture(scope="module")
def plan() -> Plan:
    return tiny_plan("loss=ce")


def student(plan: Plan, hardware: dict, trainer: dict, optimizer: dict) -> Stage:
    return replace(
        plan.student,
        hardware={**plan.student.hardware, **hardware},
        trainer=trainer,
        optimizer={**plan.student.optimizer, **optimizer},
    )


@pytest.mark.parametrize(
    ("hardware", "trainer", "optimizer", "text"),
    [
        (
            {"compile": "fast"},
            {},
            {},
            r"^hardware.compile must be true, false or a mode of torch.compile: .*reduce-overhead.*; got 'fast'. For",
        ),
        (
            {"compile": "reduce-overhead"},
            {"accumulate_grad_batches": 2},
            {},
            r"^trainer.accumulate_grad_batches needs .* CUDA graphs of hardware.compile=reduce-overhead .* got 2. Set",
        ),
        ({"fused": "yes"}, {}, {}, r"^hardware.fused must be true or false, got 'yes'. For example hardware.fused=tr"),
        (
            {"fused": True},
            {},
            {"_target_": "torch.optim.RMSprop"},
            r"^hardware.fused=true needs an optimizer that takes `fused`.*; got torch.optim.RMSprop. Set hardware.f",
        ),
        (
            {"fused": True, "precision": "bf16-mixed"},
            {"gradient_clip_val": 1.0},
            {},
            r"^trainer.gradient_clip_val and a fused optimizer exclude .* got precision=bf16-mixed. Set hardware.fus",
        ),
        ({}, {"gradient_clip_val": 1.0, "precision": "16-mixed"}, {"fused": True}, r"got precision=16-mixed"),
    ],
)
def test_what_excludes_each_other_is_named(hardware, trainer, optimizer, text, plan):
    with pytest.raises(BadInput, match=text):
        check_step(student(plan, hardware, trainer, optimizer))


@pytest.mark.parametrize(
    ("hardware", "trainer"),
    [
        ({"compile": True}, {"accumulate_grad_batches": 2}),
        ({"compile": "max-autotune-no-cudagraphs"}, {"accumulate_grad_batches": 2}),
        ({"compile": "reduce-overhead"}, {}),
        ({"fused": True}, {"gradient_clip_val": 1.0}),
        ({"fused": True, "precision": "bf16-mixed"}, {}),
        ({"precision": "bf16-mixed"}, {"gradient_clip_val": 1.0}),
    ],
)
def test_what_goes_together_passes(hardware, trainer, plan):
    check_step(student(plan, hardware, trainer, {}))
