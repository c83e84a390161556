import pytest

from kdlab.errors import BadInput
from tests.small import tiny_plan

SECOND = "+model/teacher@model.teachers.second=resnet20"


def test_several_teachers_have_their_own_weights_and_recipes():
    plan = tiny_plan(SECOND, "model.teachers.second.weight=0.5", "model.teachers.second.train.epochs=3")
    assert [stage.name for stage in plan.stages] == ["teacher", "teacher_second", "baseline", "student"]
    assert [(stage.network["name"], stage.epochs, weight) for stage, weight in plan.student.teachers] == [
        ("resnet8", 1, 1.0),
        ("resnet20", 3, 0.5),
    ]
    assert plan.teachers == plan.student.teachers


def test_a_teacher_of_weight_zero_is_left_out():
    plan = tiny_plan(SECOND, "model.teachers.second.weight=0")
    assert [stage.name for stage in plan.stages] == ["teacher", "baseline", "student"]


def test_the_weight_of_a_teacher_is_not_part_of_its_network():
    assert "weight" not in tiny_plan().teacher.network


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ((SECOND, "model.teachers.second.weight=-1"), r"model\.teachers\.second\.weight must be a finite number.*-1"),
        (("model.teacher.weight=x",), r"model\.teacher\.weight must be a finite number, 0 or more; got 'x'"),
        (("model.teacher.weight=0",), r"model\.teacher\.weight must be above 0, got 0 for every teacher"),
        ((SECOND, "model.teachers.second.train.epochs=0"), r"model\.teachers\.second\.train\.epochs must be a whole"),
    ],
)
def test_refuses_weights_and_recipes_out_of_their_range(overrides, message):
    with pytest.raises(BadInput, match=message):
        tiny_plan(*overrides)


def test_a_stage_has_its_own_loss_and_interpolations_use_its_values():
    plan = tiny_plan("plan.student.loss.alpha=0.25", "plan.student.loss.temperature=8")
    assert plan.student.loss["terms"]["response_kd"] == {"weight": 0.25, "temperature": 8}
    assert plan.student.loss["terms"]["ce"]["weight"] == 0.75
    assert plan.baseline.loss == plan.teacher.loss == tiny_plan().baseline.loss
