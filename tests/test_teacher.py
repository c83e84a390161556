"""A frozen teacher is loaded when it is first asked, and asking it leaves no trace in what trains."""

from functools import partial

import torch

from kdlab.models import cifar
from kdlab.models.network import Network
from kdlab.preparation import initial_network, prepare
from kdlab.stage import make_method
from kdlab.teacher import FrozenTeacher
from tests.small import tiny_plan

TAPS = {"low": "layer1", "mid": "layer2", "high": "layer3"}
IMAGES = torch.arange(2 * 3 * 32 * 32).remainder(256).to(torch.uint8).reshape(2, 3, 32, 32)


def drawn():
    """A network with weights of torch's generator, as it stands."""
    return Network(cifar.resnet8(10), mean=None, std=None)


class Counted:
    """Loads a network, and counts how often."""

    def __init__(self, load=drawn):
        self.load, self.times = load, 0

    def __call__(self):
        self.times += 1
        return self.load()


def test_it_is_loaded_once_and_not_before_its_first_question():
    load = Counted()
    teacher = FrozenTeacher(load, taps=TAPS, roles=["mid"])
    teacher.to(torch.device("cpu"))
    assert (load.times, teacher.samples) == (0, 0)
    teacher(IMAGES)
    teacher(IMAGES)
    assert (load.times, teacher.samples) == (1, 4)


def test_it_computes_where_it_was_told_to_before_and_after_it_is_loaded():
    teacher = FrozenTeacher(drawn)
    teacher.to(torch.device("meta"))
    assert {parameter.device.type for parameter in teacher.network.parameters()} == {"meta"}
    teacher = FrozenTeacher(drawn)
    assert {parameter.device.type for parameter in teacher.network.parameters()} == {"cpu"}
    teacher.to(torch.device("meta"))
    assert {parameter.device.type for parameter in teacher.network.parameters()} == {"meta"}


def test_loading_it_draws_nothing_from_the_generator_that_a_step_draws_from():
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    FrozenTeacher(drawn)(IMAGES)
    assert torch.equal(torch.rand(3), expected)


def test_a_method_that_reads_logits_is_prepared_without_its_teacher():
    assert loads_of("loss=response") == 0


def test_a_method_that_reads_features_shares_its_teacher_with_the_probe():
    assert loads_of("loss=fitnet") == 1


def loads_of(*overrides):
    """How often the teacher is loaded until the method is ready, and its first question is answered where it was."""
    stage = tiny_plan("plan=single", *overrides).student
    load = Counted(partial(initial_network, stage.teachers[0][0]))
    method = make_method(stage)
    prepare(method, initial_network(stage), stage, [load])
    before = load.times
    method.teachers[0](IMAGES)
    assert load.times == 1
    return before
