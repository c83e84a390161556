"""Builds method, data module and task from the settings of a stage."""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from lightning.pytorch import LightningDataModule

from kdlab.errors import BadInput
from kdlab.methods.base import Distiller
from kdlab.settings.targets import build, find
from kdlab.tasks.base import Task, task_of

if TYPE_CHECKING:
    from kdlab.jobs.training.stage import Stage


def make_method(stage: "Stage") -> Distiller:
    """The stage's LightningModule, with checked terms and without its networks.

    In a config `loss.terms` lists all terms: one of the method's own terms that was deleted, as by `~loss.terms.ce`,
    stays out.
    """
    loss = dict(stage.loss)
    if "_target_" not in loss:
        raise BadInput(
            "loss._target_ must name a method, got none. In the file of the loss, for example: "
            "_target_: kdlab.methods.TeacherStudent"
        )
    own: Sequence[str] = getattr(find(loss["_target_"], "loss"), "own_terms", ())
    if loss.get("terms") is not None:
        loss["terms"] = {**loss["terms"], **{name: None for name in own if name not in loss["terms"]}}
    method: Distiller = build(loss, "loss")
    return method


def make_data(settings: Mapping[str, Any]) -> LightningDataModule:
    """The data module that settings of the group `data` describe."""
    data: LightningDataModule = build(settings, "data")
    return data


def make_task(settings: Mapping[str, Any]) -> Task:
    """The task of the data that settings of the group `data` describe."""
    return _make_task(json.dumps(dict(settings), sort_keys=True))


@cache
def _make_task(settings: str) -> Task:
    return task_of(make_data(json.loads(settings)))
