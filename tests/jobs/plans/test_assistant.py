import pytest

import kdlab
from kdlab.config.compose import compose_config
from kdlab.errors import BadInput
from kdlab.jobs.training.preparation import initial_network
from kdlab.models.cost import parameter_count
from tests.small import TINY, tiny_plan


def test_assistants_are_options_of_conf_network_in_the_order_given_with_the_students_preprocessing():
    plan = tiny_plan("plan=assistant", "plan.assistants=[resnet32,resnet14_slim]", "epochs=3")
    assert [step.stage.network["name"] for step in plan.steps] == ["resnet32", "resnet14", "resnet8"]
    slim = plan.steps[1].stage.network
    assert slim["kwargs"] == {"widths": [8, 8, 16, 32]}
    assert slim["taps"]["mid"] == "layer2"
    same = ("mean", "std", "image_size", "num_classes", "pretrained", "checkpoint")
    assert all(slim[name] == plan.student.network[name] for name in same)
    assert [step.target_params for step in plan.steps] == [None] * 3


def test_an_assistant_may_be_described_in_full():
    described = "{source: cifar, name: resnet8, kwargs: {widths: [3, 3, 6, 6]}}"
    (first, _) = tiny_plan("plan=assistant", f"plan.assistants=[{described}]").steps
    assert first.stage.network["kwargs"] == {"widths": [3, 3, 6, 6]}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("resnet20", r"plan\.assistants must list networks .* got resnet20"),
        (
            "[resnt20]",
            r"plan\.assistants\[0\] must name an option of conf/network, got 'resnt20'\. Did you mean ",
        ),
        ("[zzz]", r"got 'zzz'\. There are: .*resnet110"),
        ("[1.5]", r"plan\.assistants\[0\] must lie between 0 \(as large as the teacher\) and 1 .* got 1\.5"),
        ("[{name: resnet8}]", r"plan\.assistants\[0\] must have a source and a name, got \{'name': 'resnet8'\}"),
        ("[{source: cifar, nme: x}]", r"plan\.assistants\[0\]\.nme is not a setting.*plan\.assistants\[0\]\.name"),
    ],
)
def test_refuses_what_names_no_network(value, message):
    cfg = compose_config([*TINY, "plan=assistant", f"plan.assistants={value}"])
    with pytest.raises(BadInput, match=message):
        kdlab.plan(cfg)


def test_the_default_assistant_is_half_way_between_the_sizes_on_a_logarithmic_scale():
    plan = tiny_plan("plan=assistant", "epochs=3")
    between, last = (parameter_count(initial_network(step.stage).module) for step in plan.steps)
    teacher = parameter_count(initial_network(plan.teacher).module)
    assert between == pytest.approx((teacher * last) ** 0.5, rel=0.15)
    assert last == parameter_count(initial_network(tiny_plan().student).module)


def test_an_assistant_given_as_a_number_has_that_position_between_the_sizes():
    teacher, student = (parameter_count(initial_network(stage).module) for stage in small_pair())
    for position in (0.25, 0.75):
        first, _ = tiny_plan("plan=assistant", f"plan.assistants=[{position}]", "epochs=3").steps
        assert first.target_params == pytest.approx(teacher ** (1 - position) * student**position, abs=1)
        assert parameter_count(initial_network(first.stage).module) == pytest.approx(first.target_params, rel=0.2)


def small_pair():
    plan = tiny_plan()
    return plan.teacher, plan.student
