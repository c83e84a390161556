import pytest

import kdlab
from kdlab.config.compose import compose_config
from kdlab.errors import BadInput
from kdlab.models.cost import parameter_count
from kdlab.models.saved import make_network
from tests.small import tiny_plan


def sizes(plan):
    return [parameter_count(make_network(step.stage.network).module) for step in plan.steps]


def progressive(*overrides):
    return tiny_plan(
        "plan=progressive", "model/teacher=resnet56", "model.teacher.kwargs.widths=[8,8,16,32]", *overrides
    )


def test_sizes_shrink_by_the_same_share_at_each_step():
    plan = progressive("plan.target_compression=0.0625", "plan.num_stages=4", "epochs=4")
    teacher = parameter_count(make_network(plan.teacher.network).module)
    expected = [teacher / 2, teacher / 4, teacher / 8, teacher / 16]
    assert [step.target_params for step in plan.steps] == [round(size) for size in expected]
    assert sizes(plan) == pytest.approx(expected, rel=0.15)
    assert all(step.stage.network["source"] == "cifar" for step in plan.steps)


def test_the_chain_may_end_with_the_given_student():
    plan = progressive("plan.last=student", "plan.num_stages=3", "epochs=3")
    teacher = parameter_count(make_network(plan.teacher.network).module)
    student = parameter_count(make_network(plan.student.network).module)
    assert plan.student.network["kwargs"] == {"widths": [2, 2, 4, 4]}
    assert sizes(plan)[:2] == pytest.approx(
        [(teacher**2 * student) ** (1 / 3), (teacher * student**2) ** (1 / 3)], rel=0.15
    )
    assert sizes(plan)[2] == plan.steps[2].target_params == student


def test_the_students_family_may_be_scaled_instead():
    plan = progressive("model/student=resnet8x4", "plan.family=student", "epochs=4")
    assert all(step.stage.network["kwargs"]["shortcut"] == "projection" for step in plan.steps)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["plan.num_stages=0"], r"plan\.num_stages must be a whole number, 1 or more; got 0"),
        (["plan.target_compression=1"], r"plan\.target_compression must lie between 0 and 1.*got 1\. For"),
        (["plan.target_compression=0"], r"plan\.target_compression must lie between 0 and 1.*got 0\. For"),
        (["plan.family=both"], r"plan\.family must be teacher or student, got 'both'"),
        (["plan.last=none"], r"plan\.last must be built or student, got 'none'"),
        (
            ["plan.last=student", "model.student.kwargs.widths=[128,128,128,128]"],
            r"plan\.last=student needs a model\.student smaller than model\.teacher, got \d+ parameters under ",
        ),
    ],
)
def test_refuses_what_cannot_be_built(overrides, message):
    with pytest.raises(BadInput, match=message):
        progressive(*overrides)


def test_a_teacher_of_another_family_needs_assistants():
    cfg = compose_config(["plan=progressive", "model=resnet18_smallcnn", "plan.family=student", "hardware=cpu"])
    with pytest.raises(BadInput, match=r"model\.student must be of a family .*got small_cnn of cifar\. plan=assistant"):
        kdlab.plan(cfg)
