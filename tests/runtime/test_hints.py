import re
from dataclasses import replace

import pytest

import kdlab
from kdlab.models.scaling import count_parameters
from kdlab.runtime.hints import hints
from tests.small import tiny_plan


class Sizes:
    """A store with the number of parameters of each stage's network."""

    def __init__(self, **sizes):
        self.sizes = sizes

    def result(self, stage):
        return {"params": self.sizes[stage.name]}


def named(stage, name):
    return replace(stage, network={**stage.network, "name": name})


@pytest.fixture(scope="module")
def plan():
    plan = tiny_plan()
    teacher = named(plan.teacher, "resnet56")
    student = replace(named(plan.student, "resnet8"), teachers=((teacher, 1.0),))
    return replace(plan, stages=(teacher, plan.baseline, student), student=student, teachers=student.teachers)


def test_a_large_step_names_a_network_in_between(plan):
    assert hints(plan, Sizes(teacher=853_018, baseline=75_290, student=75_290)) == [
        "resnet56 → resnet8 is a step of 11×: an assistant between them may help "
        "(plan=assistant plan.assistants=[resnet20])"
    ]


@pytest.mark.parametrize(("size", "count"), [(500, 0), (501, 1)])
def test_a_step_is_large_above_five_times_the_parameters(plan, size, count):
    assert len(hints(plan, Sizes(teacher=size, student=100))) == count


def test_without_a_network_in_between_one_is_built_where_the_family_can_be_scaled(plan):
    (line,) = hints(replace(plan, networks={}), Sizes(teacher=853_018, baseline=75_290, student=75_290))
    assert line.endswith("may help (plan=assistant)")
    vgg = replace(plan.teacher, network={"source": "cifar", "name": "vgg13", "kwargs": {}, "num_classes": 10})
    student = replace(plan.student, teachers=((vgg, 1.0),))
    (line,) = hints(replace(plan, networks={}, stages=(vgg, student), student=student), Sizes(teacher=600, student=100))
    assert line.endswith("may help")


def test_the_hint_of_the_first_run_can_be_pasted(tmp_path):
    demo = kdlab.plan(["hardware=cpu"])
    sizes = {stage.name: {"params": count_parameters(stage.network, 10)} for stage in demo.stages}
    (line,) = hints(demo, Sizes(**{name: size["params"] for name, size in sizes.items()}))
    overrides = re.fullmatch(r".* may help \((.*)\)", line)[1].split()
    plan = kdlab.plan(["hardware=cpu", *overrides])
    assert [stage.name for stage in plan.stages] == ["teacher", "baseline", "control", "step1", "step2"]


def test_the_control_of_a_cascade_gets_no_hint(plan):
    assert hints(replace(plan, control=plan.student), Sizes(teacher=853_018, student=75_290)) == []


@pytest.mark.parametrize(("reached", "count"), [(94.0, 0), (93.9, 1)])
def test_a_quantised_student_that_lost_more_than_a_point_may_have_had_too_large_a_learning_rate(reached, count):
    plan, accuracy = tiny_plan("plan=qat"), {"float32": 95.0, "quantised": reached}

    class Results:
        def result(self, stage):
            return {"params": 100, "test/accuracy": accuracy.get(stage.name, 96.0)}

    lines = hints(plan, Results())
    assert len(lines) == count
    assert all("1.1 points worse" in line and "Try a tenth of plan.qat.lr_factor" in line for line in lines)
