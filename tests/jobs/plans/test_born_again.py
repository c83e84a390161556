import pytest

from kdlab.errors import BadInput
from kdlab.jobs.training.identity import stage_fingerprint
from tests.small import tiny_plan


def born_again(*overrides):
    return tiny_plan("plan=born_again", *overrides)


def teachers_of(stage):
    return [teacher.name for teacher, _ in stage.teachers]


def test_each_generation_is_the_same_network_distilled_from_the_one_before():
    plan = born_again("loss.temperature=3")
    assert [(stage.name, teachers_of(stage), stage.epochs) for stage in plan.stages] == [
        ("generation1", [], 2),
        ("generation2", ["generation1"], 2),
        ("generation3", ["generation2"], 2),
        ("control", [], 6),
    ]
    assert all(stage.network == plan.student.network for stage in plan.stages)
    assert list(plan.generations[0].loss["terms"]) == list(plan.control.loss["terms"]) == ["ce"]
    assert plan.student.loss["temperature"] == 3


def test_student_baseline_and_teacher_are_the_last_the_first_and_the_last_but_one():
    plan = born_again("plan.generations=4")
    names = {role: stage.name for role, stage in plan.by_role().items()}
    assert names == {
        "teacher": "generation3",
        "baseline": "generation1",
        "control": "control",
        "student": "generation4",
    }
    assert [stage.name for stage, _ in plan.ensemble.members] == [f"generation{number}" for number in (1, 2, 3, 4)]


def test_generations_start_from_different_random_weights_also_between_seeds():
    seeds = [stage.seed for seed in (0, 1, 2) for stage in born_again(f"seed={seed}").generations]
    assert len(set(seeds)) == 9
    assert born_again("seed=2").generations[0].seed == 2
    assert all(stage.data["seed"] == stage.seed for stage in born_again().generations)


def test_the_first_generation_is_the_baseline_of_any_other_plan():
    assert stage_fingerprint(born_again().generations[0]) == stage_fingerprint(tiny_plan().baseline)


def test_fewer_generations_are_the_first_of_more():
    two = [stage_fingerprint(stage) for stage in born_again("plan.generations=2").generations]
    assert two == [stage_fingerprint(stage) for stage in born_again().generations][:2]


def test_plans_that_average_their_ensemble_differently_have_different_fingerprints():
    assert born_again("plan.ensemble=logits").fingerprint != born_again().fingerprint


def test_one_generation_has_nothing_to_be_compared_with():
    plan = born_again("plan.generations=1")
    assert [stage.name for stage in plan.stages] == ["generation1"]
    assert list(plan.by_role()) == ["student"]
    assert plan.ensemble is None


def test_the_control_has_the_epochs_that_the_generations_have_together():
    plan = born_again("plan.generation2.epochs=5", "plan.generation3.loss.temperature=8")
    assert (plan.control.epochs, plan.generations[1].epochs) == (2 + 5 + 2, 5)
    assert plan.student.loss["terms"]["response_kd"]["temperature"] == 8
    assert plan.generations[1].loss["terms"]["response_kd"]["temperature"] == 4
    assert born_again("baseline=false").control is None


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["plan.generations=0"], r"plan\.generations must be a whole number, 1 or more; got 0"),
        (["plan.ensemble=mean"], r"plan\.ensemble must be probabilities or logits, got 'mean'"),
        (["plan.generation4.epochs=3"], r"plan\.generation4 is not in this plan.*plan\.generation1 to plan\.gen.*n3"),
        (["loss=ce"], r"generation2 has generation1 as its teacher, but no term of its loss .*; got ce\. Choose an"),
        (["+model/teacher@model.teachers.x=resnet8"], r"model\.teachers has no use in plan=born_again, got x"),
        (["plan.generation2.epocs=3"], r"plan\.generation2\.epocs is not a setting.*plan\.generation2\.epochs"),
    ],
)
def test_refuses_what_does_not_make_generations(overrides, message):
    with pytest.raises(BadInput, match=message):
        born_again(*overrides)
