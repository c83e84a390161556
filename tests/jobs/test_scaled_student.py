"""`model.student.scale`: every plan gets the student of that size, and the config says which network it is."""

import json

import pytest

import kdlab
from kdlab.errors import BadInput
from kdlab.jobs.plan_remarks import plan_remarks
from kdlab.models.saved import make_network
from tests.models.scaling import operations
from tests.small import QUICK, TINY, tiny_plan

STUDENTS = {  # an option of conf/network, with what else it needs, and a number of parameters
    "mobilenetv2_half": ([], 200_000),
    "vgg8": ([], 300_000),
    "shufflenetv1": ([], 100_000),
    "shufflenetv2": ([], 100_000),
    "small_cnn": ([], 50_000),
    "resnet20": ([], 60_000),
    "wrn_16_1": ([], 50_000),
    "mobilenetv3_small": ([], 300_000),
    "timm": (["model.student.name=vit_tiny_patch16_224", "model.student.kwargs={img_size:32,patch_size:4}"], 600_000),
    "torchvision": (["model.student.name=shufflenet_v2_x0_5"], 100_000),
}


def student_of(network, *overrides):
    others = [override for override in TINY if not override.startswith("model.student")]
    return kdlab.plan([*others, f"model/student={network}", *STUDENTS[network][0], *overrides])


def params(stage):
    return sum(parameter.numel() for parameter in make_network(stage.network).module.parameters())


@pytest.mark.parametrize("network", STUDENTS)
def test_a_student_of_every_family_has_the_size_that_is_asked_for(network):
    asked = STUDENTS[network][1]
    plan = student_of(network, f"model.student.scale.parameters={asked}")
    assert params(plan.student) == params(plan.baseline) == pytest.approx(asked, rel=0.05)
    assert "scale" not in plan.student.network
    student = plan.config["model"]["student"]
    assert (student["name"], student["kwargs"]) == (plan.student.network["name"], plan.student.network["kwargs"])


@pytest.mark.parametrize("name", ["single", "born_again", "compress", "assistant", "progressive"])
def test_every_plan_has_the_scaled_student(name):
    more = ["plan.last=student", "plan.num_stages=1"] if name == "progressive" else []
    overrides = ["model/teacher=resnet56", "model/student=resnet20", "epochs=4", f"plan={name}", *more]
    plan = kdlab.plan([*QUICK, *overrides, "model.student.scale.parameters=60000"])
    assert params(plan.student) == pytest.approx(60_000, rel=0.05)


def test_flops_are_those_of_the_built_network():
    plan = student_of("mobilenetv2_half", "model.student.scale.flops=2e6")
    assert operations(plan.student.network) == pytest.approx(2e6, rel=0.05)


def test_the_remark_has_the_settings_of_the_same_network():
    plan = student_of("mobilenetv2_half", "model.student.scale.parameters=200000")
    (remark,) = plan.remarks
    assert plan_remarks(plan)[0] == remark
    assert remark.startswith(f"mobilenetv2_half was scaled to {params(plan.student):,} parameters (200,000 para")
    typed = remark.partition("The same network: ")[2].replace("'", "").split(" ")
    same = student_of("mobilenetv2_half", *typed)
    assert same.student.fingerprint == plan.student.fingerprint and not same.remarks


def test_the_config_of_a_result_describes_the_same_network_and_still_says_what_was_asked_for():
    plan = student_of("vgg8", "model.student.scale.parameters=1e5")
    config = json.loads(json.dumps(plan.config))
    again = kdlab.plan(config)
    assert again.fingerprint == plan.fingerprint and again.config == plan.config and not again.remarks
    scale = config["model"]["student"]["scale"]
    assert scale["parameters"] == 1e5 and scale["built"]["of"]["kwargs"] == {}
    scale["parameters"] = 50_000
    assert params(kdlab.plan(config).student) == pytest.approx(50_000, rel=0.05)


def test_the_search_for_a_latency_ends_the_same_again_without_measuring(tmp_path):
    """Whatever else the processor does: it may be that no network comes within 5 %, and then never does."""
    overrides = ["resnet20", f"paths.store={tmp_path}", "model.student.scale.latency_ms=2"]
    first, files = outcome(*overrides), sorted((tmp_path / "latencies").iterdir())
    assert outcome(*overrides) == first and sorted((tmp_path / "latencies").iterdir()) == files


def outcome(*overrides):
    try:
        plan = student_of(*overrides)
    except BadInput as error:
        return str(error)
    assert plan.config["model"]["student"]["scale"]["built"]["size"] == pytest.approx(2, rel=0.05)
    return plan.fingerprint


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["model.student.scale.parameters=10"],
            r"^model\.student: vgg8 cannot be scaled to 10 parameters within 5 %, the nearest network: [\d,]+ par",
        ),
        (
            ["model.student.scale.parameters=1e5", "model.student.scale.flops=1e6"],
            r"model\.student\.scale must have one size, got parameters=100000\.0, flops=1000000\.0\. Set the others",
        ),
        (
            ["model.student.scale.parameters=many"],
            r"model\.student\.scale\.parameters must be a number above 0, got 'many'\. For example model\.student\.sc",
        ),
        (["model.student.scale.flops=0"], r"model\.student\.scale\.flops must be a number above 0, got 0"),
        (
            ["model.student.scale.parameters=1e5", "model.student.checkpoint=a.safetensors"],
            r"model\.student\.checkpoint gives weights of another size, got a\.safetensors with model\.student\.scale",
        ),
        (["model.student.scale.params=1e5"], r"model\.student\.scale\.params is not a setting.*parameters"),
    ],
)
def test_a_size_that_cannot_be_built_is_explained(overrides, message):
    with pytest.raises(BadInput, match=message):
        student_of("vgg8", *overrides)


def test_without_a_scale_nothing_changes():
    plan = tiny_plan()
    assert not plan.remarks and "built" not in plan.config["model"]["student"]["scale"]
