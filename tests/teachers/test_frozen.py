"""A frozen teacher is loaded for its first batch, and does not affect the training of the student."""

from functools import partial

import pytest
import torch

from kdlab.errors import TrainingFailed
from kdlab.jobs.training.parts import make_method
from kdlab.jobs.training.preparation import initial_network, prepare
from kdlab.models import cifar
from kdlab.models.network import Network
from kdlab.teachers.frozen import FrozenTeacher
from tests.methods.first_step import ready
from tests.small import tiny_plan

TAPS = {"low": "layer1", "mid": "layer2", "high": "layer3"}
IMAGES = torch.arange(2 * 3 * 32 * 32).remainder(256).to(torch.uint8).reshape(2, 3, 32, 32)


def drawn():
    """A network initialised from torch's global generator."""
    return Network(cifar.resnet8(10), mean=None, std=None)


class Counted:
    """Loads a network, and counts how often."""

    def __init__(self, load=drawn):
        self.load, self.times = load, 0

    def __call__(self):
        self.times += 1
        return self.load()


def test_it_is_loaded_once_and_not_before_its_first_batch():
    load = Counted()
    teacher = FrozenTeacher(load, taps=TAPS, roles=["mid"])
    teacher.to(torch.device("cpu"))
    assert (load.times, teacher.forwards) == (0, 0)
    teacher(IMAGES)
    teacher(IMAGES)
    assert (load.times, teacher.forwards) == (1, 4)


def test_it_computes_on_its_device():
    for device in ("cpu", "meta"):
        teacher = FrozenTeacher(drawn)
        teacher.to(torch.device(device))
        assert {parameter.device.type for parameter in teacher.network.parameters()} == {device}


def test_on_a_device_of_its_own_it_computes_there_and_returns_to_the_student():
    teacher = FrozenTeacher(drawn, taps=TAPS, roles=["mid"], device="cpu")
    teacher.to(torch.device("meta"))
    outputs = teacher(IMAGES)
    assert {parameter.device.type for parameter in teacher.network.parameters()} == {"cpu"}
    assert {outputs.logits.device.type, outputs.features["mid"].device.type} == {"meta"}
    assert outputs.logits.shape == (2, 10)


def test_loading_it_leaves_the_global_generator_unchanged():
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    FrozenTeacher(drawn)(IMAGES)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("autocast", [False, True])
def test_its_precision_is_independent_of_the_students_and_its_outputs_are_the_networks(precision, autocast):
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        outputs = outputs_of(precision=precision, taps=TAPS, roles=["mid"])
    images, features = IMAGES.float() / 255, []
    network = fixed().module.eval()
    network.layer2.register_forward_hook(lambda _module, _inputs, output: features.append(output))
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bfloat16"):
        logits = network(images)
    tolerance = 1e-4 if precision == "float32" else 3e-2
    for found, expected in ((outputs.logits, logits.float()), (outputs.features["mid"], features[0])):
        assert (found - expected).abs().max() < tolerance * expected.abs().max()
    assert outputs.logits.dtype == torch.float32
    assert outputs.features["mid"].dtype == features[0].dtype


def test_bfloat16_differs_from_float32():
    low, high = (outputs_of(precision=precision).logits for precision in ("bfloat16", "float32"))
    assert (low - high).abs().max() > 1e-5 * high.abs().max()


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_its_outputs_can_be_used_in_a_differentiated_expression(precision):
    outputs = outputs_of(precision=precision, taps=TAPS, roles=["low", "high"])
    for output in (outputs.logits, *outputs.features.values()):
        own = torch.ones_like(output, requires_grad=True)
        (own * output).sum().backward()
        assert torch.equal(own.grad, output)


def test_logits_that_no_term_reads_are_not_computed():
    teacher = FrozenTeacher(fixed, taps=TAPS, roles=["mid"], logits=False)
    teacher(IMAGES)
    fired = []
    teacher.network.module.layer3.register_forward_hook(lambda *_: fired.append(True))
    outputs = teacher(IMAGES)
    assert (outputs.logits.numel(), fired, teacher.forwards) == (0, [], 4)
    assert outputs.features["mid"].shape == (2, 32, 16, 16)


def fixed():
    torch.manual_seed(0)
    return drawn()


def outputs_of(**settings):
    return FrozenTeacher(fixed, **settings)(IMAGES)


@pytest.mark.parametrize(
    ("loss", "reads"), [("response", True), ("dkd", True), ("feature", True), ("hint", False), ("crd", False)]
)
def test_a_step_runs_each_teacher_once_and_no_further_than_it_reads(loss, reads):
    second = ("+model/teacher@model.teachers.second=resnet8", "+model.teachers.second.kwargs.widths=[2,2,4,4]")
    method, batch = ready(tiny_plan("plan=single", f"loss={loss}", *second).student)
    method.training_step(batch, 0)  # the first step determines where a pass may end
    passes, heads = [], []
    for teacher in method.teachers:
        teacher.network.register_forward_pre_hook(lambda *_: passes.append(True))
        teacher.network.module.fc.register_forward_hook(lambda *_: heads.append(True))
    method.training_step(batch, 1)
    assert (len(passes), len(heads)) == (2, 2 * reads)


def test_the_error_for_a_loss_that_is_not_finite_omits_empty_teacher_logits():
    method, batch = ready(tiny_plan("plan=single", "loss=hint").student)
    method.trainer.global_step = 0
    method.training_step(batch, 0)
    with torch.no_grad():
        method.student.module.fc.bias.fill_(torch.nan)
    with pytest.raises(TrainingFailed, match=r"term ce, epoch 1, step 0; student logits nan to nan\. A lower"):
        method.training_step(batch, 1)


def test_preparing_a_method_that_reads_logits_does_not_load_its_teacher():
    assert loads_of("loss=response") == 0


def test_a_method_that_reads_features_uses_the_teacher_loaded_for_the_probe():
    assert loads_of("loss=hint") == 1


def loads_of(*overrides):
    """How often the teacher is loaded while the method is prepared; after its first batch it is once."""
    stage = tiny_plan("plan=single", *overrides).student
    load = Counted(partial(initial_network, stage.teachers[0][0]))
    method = make_method(stage)
    prepare(method, initial_network(stage), stage, [load])
    before = load.times
    method.teachers[0](IMAGES)
    assert load.times == 1
    return before
