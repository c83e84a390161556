"""A method before its first step, with untrained networks."""

from functools import partial
from types import SimpleNamespace

import torch
from torch import Tensor

from kdlab.data.batch import Batch
from kdlab.jobs.training.parts import make_data, make_method
from kdlab.jobs.training.preparation import initial_network, prepare
from kdlab.jobs.training.stage import Stage
from kdlab.methods import Distiller
from kdlab.models.taps import Outputs


def ready(stage: Stage) -> tuple[Distiller, Batch]:
    """The stage's method, and its first batch."""
    method, network = make_method(stage), initial_network(stage)
    prepare(method, network, stage, [partial(initial_network, teacher) for teacher, _ in stage.teachers])
    method.trainer = SimpleNamespace(world_size=1, current_epoch=0)
    data = make_data(stage.data)
    data.setup("fit")
    return method, next(iter(data.train_dataloader()))


def outputs_of(method: Distiller, batch: Batch) -> tuple[Outputs, Outputs]:
    """The outputs of the student and of its only teacher for the batch."""
    student, _ = method.student_outputs(batch, 0)
    ((teacher, _),) = method.teacher_outputs(batch)
    return student, teacher


def gradients(module: torch.nn.Module) -> dict[str, Tensor]:
    return {name: parameter.grad for name, parameter in module.named_parameters() if parameter.grad is not None}
