"""Pruning under the teacher: a trained network loses channels, and recovers by distillation.

The control recovers from labels alone: it starts with the same bits, so that the gain is that of the teacher.
"""

from collections.abc import Mapping
from dataclasses import fields
from functools import partial
from typing import Any

from omegaconf import DictConfig

from kdlab.errors import BadInput
from kdlab.jobs.plan import Networks, Plan, WeightedStages
from kdlab.jobs.plans.cascade import split_epochs
from kdlab.jobs.plans.fine_tuning import CONTROL, check_common, fine_tuned, fine_tuning_plan
from kdlab.jobs.stages import check_choice, check_whole, plain
from kdlab.jobs.training.stage import Stage, Start
from kdlab.models.pruning import IMPORTANCE, Pruning
from kdlab.settings.numbers import is_number
from kdlab.settings.targets import check_known

OWN = ("of", "steps", "epochs", "lr_factor")  # settings of plan.prune that are not those of `Pruning`
SHARE = 2  # a pruned network trains for one half of `epochs`, unless plan.prune.epochs says otherwise


def compress(cfg: DictConfig, networks: Networks) -> Plan:
    """The teacher, the student, and the student pruned; with `plan.prune.of=teacher` the teacher pruned, no student.

    Raises:
        BadInput: a setting of the plan is out of its range.
    """
    settings = plain(cfg.plan.prune)
    _check(cfg, settings)
    return fine_tuning_plan(cfg, settings["of"], "unpruned", partial(_steps, cfg, settings))


def _steps(cfg: DictConfig, settings: Mapping[str, Any], source: Stage, teachers: WeightedStages) -> list[Stage]:
    """The stages that prune a network: step i of n goes i/n of the way; without teachers they learn from labels."""
    total, name, factor = settings["steps"], "pruned" if teachers else CONTROL, settings["lr_factor"]
    given = {key: settings[key] for key in _names()}
    stages: list[Stage] = []
    for step, epochs in enumerate(split_epochs(_epochs(cfg, settings), total, "fewer plan.prune.steps"), 1):
        pruning = Pruning(**{**given, "ratio": settings["ratio"] * step / total})
        start = Start(stages[-1] if stages else source, pruning)
        numbered = f"{name}{step}" if total > 1 else name
        stages.append(fine_tuned(cfg, numbered, teachers, start, epochs=epochs, lr_factor=factor))
    return stages


def _names() -> list[str]:
    return [field.name for field in fields(Pruning)]


def _epochs(cfg: DictConfig, settings: Mapping[str, Any]) -> int:
    """Those of all steps together."""
    check_whole("epochs", cfg.epochs, 1)
    given = settings["epochs"]
    return max(cfg.epochs // SHARE, settings["steps"]) if given is None else int(given)


def _check(cfg: DictConfig, settings: Mapping[str, Any]) -> None:
    check_known("plan.prune", settings, (*OWN, *_names()))
    check_common(cfg, "plan.prune", settings)
    check_choice("plan.prune.importance", settings["importance"], IMPORTANCE)
    if not isinstance(settings["structured"], bool):
        raise BadInput(f"plan.prune.structured must be true or false, got {settings['structured']!r}.")
    for key, least in (("round_to", 1), ("steps", 1), ("recalibration_samples", 0)):
        check_whole(f"plan.prune.{key}", settings[key], least)
    if settings["epochs"] is not None:
        check_whole("plan.prune.epochs", settings["epochs"], settings["steps"])
    ratio = settings["ratio"]
    if not is_number(ratio) or not 0 < ratio < 1:
        raise BadInput(
            "plan.prune.ratio must lie between 0 and 1 (the share of the operations that is removed), got "
            f"{ratio!r}. For example plan.prune.ratio=0.5."
        )
