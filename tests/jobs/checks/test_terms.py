"""Errors in a loss are raised before anything trains."""

import re
from dataclasses import replace

import pytest
import torch
from torch import nn

from kdlab.errors import BadInput
from kdlab.jobs.checks.stages import check_stages
from kdlab.jobs.checks.terms import SAMPLES, try_terms
from kdlab.jobs.training.preparation import initial_network
from kdlab.methods import Distiller
from kdlab.methods.terms import BuildContext
from tests.small import tiny_plan

STUDENT = {"mid": torch.Size([4, 8, 8]), "high": torch.Size([6])}
TEACHER = {"mid": torch.Size([8, 8, 8]), "high": torch.Size([12])}
CONTEXT = BuildContext(STUDENT, [TEACHER], num_classes=10, sample_labels=torch.arange(40) % 10)


def constant(student, teacher):
    return 0 * student.sum() + teacher.mean()


def detached(student, teacher):
    return (student.detach() - teacher.mean()).square().mean()


def rounded(student):
    return student.detach().mean().item()


def one_for_each_sample(student, teacher):
    return (student.mean() - teacher).square().mean(dim=1)


def whole(student, teacher):
    return (student.mean() - teacher.mean()).square()


def difference(student, teacher):
    return (student - teacher).square().mean()


def broken(student):
    return student.sum() * float("nan")


def fussy(student):
    raise ValueError("fussy needs maps of width 5.\nWider maps are not supported")


def silent(student):
    raise RuntimeError


def given(student, teacher, labels, index, seed):
    assert student.shape == (SAMPLES, 10) == teacher.shape and student.dtype == torch.float32
    assert labels.shape == index.shape == (SAMPLES,) and labels.dtype == index.dtype == torch.int64
    assert labels.min() >= 0 and labels.max() < 10 and isinstance(seed, int)
    return student.mean()


class Learned(nn.Module):
    """Projects the student's vector to the teacher's length."""

    def __init__(self, student_shape, teacher_shape, num_classes, sample_labels, bias=True):
        super().__init__()
        if num_classes != 10 or len(sample_labels) != 40 or bias == "wrong":
            raise ValueError(f"Learned takes bias: true or false, got {bias}")
        self.layer = nn.Linear(*student_shape, *teacher_shape, bias=bias)

    def forward(self, student, teacher):
        return (self.layer(student) - teacher).square().mean()


def check(loss, **settings):
    try_terms(Distiller({"mine": {"_target_": f"{__name__}.{loss}", **settings}}), CONTEXT)


@pytest.mark.parametrize("taps", [[], ["mid"], ["mid", "high"]])
def test_a_loss_with_a_gradient_to_the_student_passes_and_the_random_state_stays(taps):
    before = torch.get_rng_state()
    check("whole", taps=taps)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_loss_gets_all_inputs_of_a_step():
    check("given")


@pytest.mark.parametrize("loss", ["constant", "detached", "rounded"])
@pytest.mark.parametrize(
    ("taps", "reads"),
    [
        ([], r"It compares logits; features are chosen by loss\.terms\.mine\.taps\.$"),
        (
            ["high"],
            r"It reads taps high of the student: choose others by loss\.terms\.mine\.taps, or modules by "
            r"model\.student\.taps and model\.teacher\.taps\.$",
        ),
    ],
)
def test_a_gradient_of_0_is_refused(loss, taps, reads):
    text = r"^loss\.terms\.mine needs a gradient to the student, and it is 0 with these features\. "
    with pytest.raises(BadInput, match=text + reads):
        check(loss, taps=taps)


def test_a_loss_of_nan_passes_since_the_training_reports_its_step():
    check("broken")


def test_what_is_not_one_number_for_the_batch_is_refused():
    text = r"^loss\.terms\.mine must be one number for the batch, got a tensor of shape \(8,\)\. Return its mean or its"
    with pytest.raises(BadInput, match=text):
        check("one_for_each_sample")


@pytest.mark.parametrize(
    ("loss", "text"),
    [
        ("fussy", r"^loss\.terms\.mine: fussy needs maps of width 5\. It compares logits; "),
        ("silent", r"^loss\.terms\.mine: RuntimeError\. It compares logits; "),
    ],
)
def test_the_error_of_a_loss_is_quoted(loss, text):
    with pytest.raises(BadInput, match=text):
        check(loss)


def test_an_error_of_shapes_in_torch_names_the_taps():
    text = (
        r"^loss\.terms\.mine: The size of tensor a \(6\) must match the size of tensor b \(12\).*\. It reads taps high"
    )
    with pytest.raises(BadInput, match=text):
        check("difference", taps=["high"])


def test_a_loss_with_layers_is_built_from_the_shapes_and_run():
    check("Learned", taps=["high"], bias=False)


def test_an_error_in_building_a_loss_names_the_term():
    text = r"^loss\.terms\.mine: Learned refuses bias='wrong': Learned takes bias: true or false, got wrong\. Change"
    with pytest.raises(BadInput, match=text):
        check("Learned", taps=["high"], bias="wrong")


def test_a_loss_with_layers_for_features_needs_taps():
    text = r"^loss\.terms\.mine\.taps must name the inputs of Learned: it compares features, got no taps\. .*=\[high\]"
    with pytest.raises(BadInput, match=text):
        check("Learned")


def test_the_terms_of_every_stage_are_checked_also_where_only_logits_are_read():
    stages = tiny_plan("loss.terms.standardised_kd={temperature:0}").stages
    text = r"^loss\.terms\.standardised_kd: standardised_kd needs a temperature above 0, got 0\. It compares logits"
    with pytest.raises(BadInput, match=text):
        check_stages(stages)


@pytest.fixture(scope="module")
def hint():
    return tiny_plan("loss=hint").student


NETWORKS = [
    ("cifar", "resnet20"),
    ("cifar", "small_cnn"),
    ("torchvision", "mobilenet_v3_small"),
    ("timm", "test_vit"),
    ("timm", "test_resnet"),
]


@pytest.mark.parametrize(("source", "name"), NETWORKS)
def test_the_error_for_a_missing_role_lists_modules_that_exist(source, name, hint):
    network = {**hint.network, "source": source, "name": name, "kwargs": {}, "taps": {}}
    stage = replace(hint, network=network)
    with pytest.raises(BadInput, match=rf"^model\.student\.taps\.mid is missing: .* and {name} has none\. ") as raised:
        check_stages([stage])
    listed = re.search(r"such as (.*): model\.student\.taps\.mid=…$", str(raised.value))
    paths = listed[1].split(", ")
    module = initial_network(stage).module
    assert len(paths) >= 4
    assert all(path in dict(module.named_modules()) for path in paths)
