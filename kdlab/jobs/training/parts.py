"""The objects that a stage's settings describe."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lightning.pytorch import LightningDataModule

from kdlab.methods.base import Distiller
from kdlab.settings.targets import build, find

if TYPE_CHECKING:
    from kdlab.jobs.training.stage import Stage


def make_method(stage: "Stage") -> Distiller:
    """The stage's LightningModule, with its terms checked and without its networks.

    In a config `loss.terms` lists all terms: one that the method would make itself and that was taken out, as by
    `~loss.terms.ce`, stays out.
    """
    loss = dict(stage.loss)
    own: Sequence[str] = getattr(find(loss["_target_"], "loss"), "own_terms", ())
    if loss.get("terms") is not None:
        loss["terms"] = {**loss["terms"], **{name: None for name in own if name not in loss["terms"]}}
    method: Distiller = build(loss, "loss")
    return method


def make_data(settings: Mapping[str, Any]) -> LightningDataModule:
    """The data module that settings of the group `data` describe."""
    data: LightningDataModule = build(settings, "data")
    return data
