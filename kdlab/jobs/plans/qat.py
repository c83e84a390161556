"""Quantisation-aware distillation: a trained network learns, under its teacher, to compute in INT8.

The control learns from labels alone: it starts with the same bits, so that the gain is that of the teacher.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

from omegaconf import DictConfig

from kdlab.errors import BadInput
from kdlab.jobs.plan import Networks, Plan, WeightedStages
from kdlab.jobs.plans.fine_tuning import CONTROL, check_common, fine_tuned, fine_tuning_plan
from kdlab.jobs.stages import check_whole, plain
from kdlab.jobs.training.parts import make_method
from kdlab.jobs.training.stage import Stage, Start
from kdlab.models.fake_quantised import Quantisation
from kdlab.settings.targets import check_known

KEYS = ("of", "calibration_samples", "epochs", "lr_factor")
SHARE = 4  # a quantised network trains for a quarter of `epochs`, unless plan.qat.epochs says otherwise


def qat(cfg: DictConfig, networks: Networks) -> Plan:
    """The teacher, the student, and the student quantised; with `plan.qat.of=teacher` the teacher quantised.

    Raises:
        BadInput: a setting of the plan is out of its range, or the loss compares features of the student.
    """
    settings = plain(cfg.plan.qat)
    _check(cfg, settings)
    return fine_tuning_plan(cfg, settings["of"], "float32", partial(_quantised, cfg, settings))


def _quantised(cfg: DictConfig, settings: Mapping[str, Any], source: Stage, teachers: WeightedStages) -> list[Stage]:
    factor = settings["lr_factor"]
    epochs = max(cfg.epochs // SHARE, 1) if settings["epochs"] is None else settings["epochs"]
    start = Start(source, Quantisation(settings["calibration_samples"]))
    stage = fine_tuned(cfg, "quantised" if teachers else CONTROL, teachers, start, epochs=epochs, lr_factor=factor)
    _check_loss(stage)
    return [stage]


def _check_loss(stage: Stage) -> None:
    if roles := make_method(stage).roles:
        raise BadInput(
            "plan=qat needs a loss that compares logits: a quantised network has no modules to read features from; got "
            f"one that reads the student's {', '.join(roles)}. For example loss=response."
        )


def _check(cfg: DictConfig, settings: Mapping[str, Any]) -> None:
    check_known("plan.qat", settings, KEYS)
    check_common(cfg, "plan.qat", settings)
    check_whole("epochs", cfg.epochs, 1)
    check_whole("plan.qat.calibration_samples", settings["calibration_samples"], 1)
    if settings["epochs"] is not None:
        check_whole("plan.qat.epochs", settings["epochs"], 1)
