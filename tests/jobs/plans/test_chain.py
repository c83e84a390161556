"""`plan.max_ratio`: the chain has the fewest networks that keep the rule, known ones first, in even steps."""

import itertools

import pytest

import kdlab
from kdlab.config.compose import compose_config
from kdlab.errors import BadInput
from kdlab.jobs.plan_remarks import plan_remarks
from kdlab.models.saved import make_network
from tests.small import QUICK, tiny_plan


def params(stage):
    return sum(parameter.numel() for parameter in make_network(stage.network).module.parameters())


def chain(*overrides):
    plan = kdlab.plan(compose_config([*QUICK, "plan=assistant", "epochs=40", *overrides]))
    return plan, [params(stage) for stage in (plan.teacher, *(step.stage for step in plan.steps))]


def steps(sizes):
    return [larger / smaller for larger, smaller in itertools.pairwise(sizes)]


def test_resnet56_to_resnet8_goes_over_resnet20_at_most_four_times_smaller():
    plan, sizes = chain("plan.max_ratio=4", "model=resnet56_resnet8")
    assert [step.stage.network["name"] for step in plan.steps] == ["resnet20", "resnet8"]
    assert sizes == [853_018, 269_722, 75_290]
    assert sum(step.stage.epochs for step in plan.steps) == plan.control.epochs == plan.baseline.epochs == 40
    assert plan_remarks(plan)[0] == "plan.max_ratio=4 puts resnet20 (269,722 parameters) into a step of 11.3×."


def test_no_other_choice_of_as_many_known_networks_is_more_even():
    plan, sizes = chain("plan.max_ratio=3.6", "model=resnet110_resnet20", "model/student=resnet8")
    assert [step.stage.network["name"] for step in plan.steps] == ["resnet44", "resnet20", "resnet8"]
    named = [172_506, 269_722, 464_154, 658_586, 853_018]  # resnet14, 20, 32, 44, 56
    every = [[1_727_962, *sorted(pair, reverse=True), 75_290] for pair in itertools.combinations(named, 2)]
    assert sorted(steps(sizes), reverse=True) == min(sorted(steps(one), reverse=True) for one in every)
    assert min(max(steps([1_727_962, one, 75_290])) for one in named) > 3.6 >= max(steps(sizes))


@pytest.mark.parametrize(("ratio", "count"), [(8, 1), (4.5, 2), (3, 3)])
def test_a_family_without_known_networks_in_between_is_scaled_in_even_steps(ratio, count):
    student = "model.student.kwargs.widths=[[8],[16],[32],[64],[64]]"
    plan, sizes = chain(f"plan.max_ratio={ratio}", "model/teacher=vgg8", "model/student=vgg8", student)
    gap = sizes[0] / sizes[-1]
    assert max(steps(sizes)) <= ratio and len(plan.steps) - 1 >= count
    assert steps(sizes) == pytest.approx([gap ** (1 / len(plan.steps))] * len(plan.steps), rel=0.1)
    assert all(step.stage.network["name"] == "vgg8" for step in plan.steps)


def test_flops_may_be_what_shrinks():
    plan, _ = chain("plan.max_ratio=4", "plan.by=flops", "model=resnet56_resnet8")
    assert [step.stage.network["name"] for step in plan.steps] == ["resnet20", "resnet8"]
    assert "FLOPs" in plan.remarks[0]


def test_without_need_the_plan_is_one_step_and_says_so():
    plan, _ = chain("plan.max_ratio=12", "model=resnet56_resnet8")
    assert [step.stage.name for step in plan.steps] == ["step1"] and plan.control is None
    expected = "plan.max_ratio=12 needs no assistant: the plan is a step of 11.3× from teacher to student."
    assert plan_remarks(plan)[0] == expected


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["plan.max_ratio=1"], r"^plan\.max_ratio must be a number above 1 .*got 1\. For example plan\.max_ratio=4"),
        (["plan.max_ratio=often"], r"plan\.max_ratio must be a number above 1 .*got 'often'"),
        (
            ["plan.max_ratio=4", "plan.assistants=[resnet20]"],
            r"plan\.max_ratio chooses the assistants, got 4 beside plan\.assistants=\['resnet20'\]\. Leave one",
        ),
        (
            ["plan.max_ratio=1.01"],
            r"plan\.max_ratio: no chain of 30 assistants or fewer .*got 1\.01\. Set a larger one",
        ),
        (["plan.max_ratio=4", "plan.by=size"], r"plan\.by must be parameters or flops or latency, got 'size'"),
        (
            ["plan.max_ratio=4", "model/teacher=torchvision", "model.teacher.name=resnet18"],
            r"plan\.max_ratio: model\.teacher must be of a family that can be scaled .*got resnet18 of torchvision",
        ),
    ],
)
def test_refuses_what_makes_no_chain(overrides, message):
    with pytest.raises(BadInput, match=message):
        chain("model=resnet56_resnet8", *overrides)


def test_the_chains_networks_have_the_students_preprocessing_and_their_own_taps():
    plan = tiny_plan("plan=assistant", "plan.max_ratio=4", "model/teacher=resnet56", "epochs=20")
    for step in plan.steps:
        assert step.stage.network["mean"] == plan.student.network["mean"]
        assert step.stage.network["taps"]["mid"] == "layer2"
