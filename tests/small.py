"""An experiment that trains in about a second, for tests of everything around the training."""

import copy
from functools import cache

from omegaconf import DictConfig

import kdlab
from kdlab.config.compose import compose_config
from kdlab.jobs.plan import Plan

QUICK = [
    "hardware=cpu",
    "hardware.threads=1",
    "hardware.teacher_precision=float32",  # on every machine
    "data.train_samples=96",
    "data.batch_size=32",
    "epochs=2",
    "model.teacher.train.epochs=1",
]
TINY = [
    *QUICK,
    "model/teacher=resnet8",
    "+model.teacher.kwargs.widths=[4,4,8,8]",
    "model.student.kwargs.widths=[2,2,4,4]",
]


def tiny_plan(*overrides: str) -> Plan:
    return kdlab.plan(copy.deepcopy(_composed((*TINY, *overrides))))


@cache
def _composed(overrides: tuple[str, ...]) -> DictConfig:
    """Composes once in a process: Hydra takes a third of a second."""
    return compose_config(overrides)
