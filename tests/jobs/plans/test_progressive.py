import json
import re

import pytest

import kdlab
from kdlab.errors import BadInput
from kdlab.models.cost import parameter_count
from kdlab.models.saved import make_network
from tests.models.scaling import operations
from tests.small import QUICK, tiny_plan


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
            r"plan\.last=student needs a model\.student smaller than model\.teacher, got [\d,]+ parameters under ",
        ),
    ],
)
def test_refuses_what_cannot_be_built(overrides, message):
    with pytest.raises(BadInput, match=message):
        progressive(*overrides)


def test_flops_may_be_what_shrinks():
    plan = progressive("plan.by=flops", "plan.target_compression=0.1", "plan.num_stages=2", "epochs=4")
    full = operations(plan.teacher.network)
    assert [step.target for step in plan.steps] == [round(full * 0.1**0.5), round(full * 0.1)]
    assert [operations(step.stage.network) for step in plan.steps] == pytest.approx(
        [full * 0.1**0.5, full * 0.1], rel=0.05
    )
    assert [step.target_params for step in plan.steps] == [None, None]


def test_latency_may_be_what_shrinks(tmp_path):
    """Whatever else the processor does: it may be that no network comes within 5 % of a target."""
    try:
        shrink = ["plan=progressive", "plan.by=latency", "plan.target_compression=0.4", "plan.num_stages=2"]
        plan = tiny_plan(*shrink, "model/teacher=resnet14_slim", f"paths.store={tmp_path}")
    except BadInput as error:
        assert re.search(
            r"cannot be scaled to [\d.]+ ms within 5 %, the nearest network: [\d.]+ ms with name=", str(error)
        )
    else:
        kept = [json.loads(file.read_text()) for file in (tmp_path / "latencies").glob("*.json")]
        latencies = {str(one["network"]["name"]) + str(one["network"]["kwargs"]): one["latency_ms"] for one in kept}
        networks = [step.stage.network for step in plan.steps]
        found = [latencies[network["name"] + str(network["kwargs"])] for network in networks]
        teacher = plan.teacher.network
        assert found == pytest.approx([step.target for step in plan.steps], rel=0.05)
        assert plan.steps[-1].target == pytest.approx(0.4 * latencies[teacher["name"] + str(teacher["kwargs"])])


@pytest.mark.parametrize("network", ["small_cnn", "vgg8", "shufflenetv2", "mobilenetv2_half"])
def test_the_family_of_the_student_may_be_any(network):
    overrides = ["plan=progressive", "plan.family=student", "model/teacher=resnet56", f"model/student={network}"]
    plan = kdlab.plan([*QUICK, *overrides, "plan.target_compression=0.1", "plan.num_stages=2", "epochs=4"])
    targets = [step.target for step in plan.steps]
    assert sizes(plan) == pytest.approx(targets, rel=0.05)
    assert all(step.stage.network["name"] == network for step in plan.steps)


def test_a_family_that_cannot_be_scaled_needs_assistants():
    overrides = ["model/teacher=torchvision", "model.teacher.name=resnet18", "model/student=resnet8"]
    with pytest.raises(
        BadInput, match=r"model\.teacher must be of a family .*got resnet18 of torchvision\. plan=assis"
    ):
        kdlab.plan([*QUICK, "plan=progressive", *overrides])
