"""The objects that a stage's settings describe."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lightning.pytorch import LightningDataModule

from kdlab.methods.base import Distiller
from kdlab.settings.targets import build

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
