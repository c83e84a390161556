"""The objects that a stage's settings describe."""

import json
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from lightning.pytorch import LightningDataModule

from kdlab.methods.base import Distiller
from kdlab.settings.targets import build
from kdlab.tasks.base import Task, task_of

if TYPE_CHECKING:
    from kdlab.jobs.training.stage import Stage


def make_method(stage: "Stage") -> Distiller:
    """The stage's LightningModule, with its terms checked and without its networks."""
    method: Distiller = build(stage.loss, "loss")
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
