"""What assistant and progressive plans have in common, on the smallest plan of each."""

import pytest
from omegaconf import OmegaConf

import kdlab
from kdlab.config.compose import compose_config
from kdlab.errors import BadInput
from kdlab.jobs.plans.cascade import split_epochs
from kdlab.jobs.training.identity import stage_fingerprint
from kdlab.methods import Distiller
from tests.small import TINY, tiny_plan

ASSISTANT = ("plan=assistant", "plan.assistants=[{source: cifar, name: resnet8, kwargs: {widths: [3, 3, 6, 6]}}]")
PROGRESSIVE = ("plan=progressive", "plan.target_compression=0.25", "plan.num_stages=2")
BOTH = pytest.mark.parametrize("chosen", [ASSISTANT, PROGRESSIVE], ids=["assistant", "progressive"])


@BOTH
def test_each_step_is_distilled_from_the_one_before_and_the_first_from_the_teacher(chosen):
    plan = tiny_plan(*chosen, "epochs=5")
    stages = {stage.name: ([teacher.name for teacher, _ in stage.teachers], stage.epochs) for stage in plan.stages}
    assert stages == {
        "teacher": ([], 1),
        "baseline": ([], 5),
        "control": (["teacher"], 5),
        "step1": (["teacher"], 2),
        "step2": (["step1"], 3),
    }
    assert {role: stage.name for role, stage in plan.by_role().items()} == {
        "teacher": "teacher",
        "baseline": "baseline",
        "control": "control",
        "student": "step2",
    }
    assert plan.control.network == plan.baseline.network == plan.student.network
    assert {stage.seed for stage in plan.stages} == {0}


def test_control_and_baseline_are_the_stages_of_the_single_plan_with_as_many_epochs():
    chain, single = tiny_plan(*ASSISTANT, "epochs=4"), tiny_plan("epochs=4")
    assert stage_fingerprint(chain.control) == stage_fingerprint(single.student)
    assert stage_fingerprint(chain.baseline) == stage_fingerprint(single.baseline)


@pytest.mark.parametrize(
    ("epochs", "steps", "sizes"), [(30, 3, [10, 10, 10]), (10, 3, [3, 3, 4]), (11, 3, [3, 4, 4]), (2, 2, [1, 1])]
)
def test_epochs_are_divided_evenly_and_the_last_steps_get_the_rest(epochs, steps, sizes):
    assert split_epochs(epochs, steps, "") == sizes


@BOTH
def test_changes_of_a_step_stay_in_it_and_the_control_has_the_total_epochs(chosen):
    plan = tiny_plan(*chosen, "plan.step2.epochs=7", "plan.step2.loss.temperature=8")
    assert [step.stage.epochs for step in plan.steps] == [1, 7]
    assert (plan.control.epochs, plan.baseline.epochs) == (8, 8)
    assert [step.stage.loss["terms"]["response_kd"]["temperature"] for step in plan.steps] == [4, 8]
    assert plan.control.loss["terms"]["response_kd"]["temperature"] == 4


@BOTH
def test_without_a_baseline_there_is_no_control_either(chosen):
    assert [stage.name for stage in tiny_plan(*chosen, "baseline=false").stages] == ["teacher", "step1", "step2"]


def test_one_step_is_its_own_control():
    assert tiny_plan("plan=progressive", "plan.num_stages=1").control is None


def test_the_first_step_and_the_control_have_all_teachers():
    plan = tiny_plan(*ASSISTANT, "+model/teacher@model.teachers.second=resnet20")
    assert [len(step.stage.teachers) for step in plan.steps] == [2, 1]
    assert plan.control.teachers == plan.teachers == plan.steps[0].stage.teachers


@BOTH
@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("epochs=1", r"epochs is divided over the 2 steps of the plan and must be at least as many, got 1\. Set ep"),
        ("epochs=2.5", r"epochs must be a whole number, 1 or more; got 2\.5"),
        ("loss=ce", r"step1 has teacher as its teacher, but no term of its loss .*; got ce"),
        ("plan.step3.epochs=3", r"plan\.step3 is not in this plan.* It has plan\.step1 to plan\.step2"),
    ],
)
def test_refuses_what_does_not_make_a_chain(chosen, override, message):
    with pytest.raises(BadInput, match=message):
        tiny_plan(*chosen, override)


class Stepped(Distiller):
    """A method with a setting `step`."""

    def __init__(self, terms, step):
        super().__init__(terms)


@BOTH
def test_a_loss_with_a_setting_step_gets_the_index_of_its_step(chosen):
    cfg = compose_config([*TINY, *chosen])
    terms = {"response_kd": {"weight": 1.0, "temperature": "${loss.step}"}}
    cfg.loss = OmegaConf.create({"_target_": f"{__name__}.Stepped", "step": 7, "terms": terms})
    plan = kdlab.plan(cfg)
    distilled = [*(step.stage for step in plan.steps), plan.control]
    assert [stage.loss["step"] for stage in distilled] == [0, 1, 7]
    assert [stage.loss["terms"]["response_kd"]["temperature"] for stage in distilled] == [0, 1, 7]
