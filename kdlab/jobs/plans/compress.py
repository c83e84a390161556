"""Pruning under the teacher: a trained network loses channels, and recovers by distillation.

The control recovers from labels alone: it starts with the same bits, so that the gain is that of the teacher.
"""

from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from omegaconf import DictConfig

from kdlab.errors import BadInput
from kdlab.jobs.plan import Networks, Plan, Step, WeightedStages
from kdlab.jobs.plans.cascade import split_epochs
from kdlab.jobs.stages import (
    SUPERVISED,
    check_choice,
    check_whole,
    distilled_stage,
    plain,
    student_stage,
    teacher_stages,
    untrained,
)
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
    _check(settings)
    teachers = teacher_stages(cfg)
    of_teacher = settings["of"] == "teacher"
    unpruned = teachers[0][0] if of_teacher else distilled_stage(cfg, "unpruned", teachers, None)
    pruned = _steps(cfg, settings, unpruned, teachers)
    baseline = _steps(cfg, settings, unpruned, ()) if cfg.baseline else []
    between = [] if of_teacher else [unpruned]
    return Plan(
        stages=(*(teacher for teacher, _ in teachers), *between, *baseline, *pruned),
        student=pruned[-1],
        teachers=teachers,
        baseline=baseline[-1] if baseline else None,
        steps=tuple(Step(stage) for stage in (*between, *pruned)),
    )


def _steps(cfg: DictConfig, settings: Mapping[str, Any], source: Stage, teachers: WeightedStages) -> list[Stage]:
    """The stages that prune a network: step i of n goes i/n of the way; without teachers they learn from labels."""
    total, name = settings["steps"], "pruned" if teachers else "from_labels"
    epochs = split_epochs(_epochs(cfg, settings), total, "fewer plan.prune.steps")
    recipe: dict[str, Any] = {
        "network": untrained(source.network),
        "setting": source.setting,
        "optimizer": _optimizer(cfg, settings),
    }
    given = {key: settings[key] for key in _names()}
    stages: list[Stage] = []
    for step, share in enumerate(epochs, 1):
        pruning = Pruning(**{**given, "ratio": settings["ratio"] * step / total})
        if teachers:
            stage = distilled_stage(cfg, name, teachers, None, epochs=share, **recipe)
        else:
            stage = student_stage(cfg, name, loss=SUPERVISED, epochs=share, **recipe)
        start = Start(stages[-1] if stages else source, pruning)
        stages.append(replace(stage, name=f"{name}{step}" if total > 1 else name, start=start))
    return stages


def _names() -> list[str]:
    return [field.name for field in fields(Pruning)]


def _epochs(cfg: DictConfig, settings: Mapping[str, Any]) -> int:
    """Those of all steps together."""
    check_whole("epochs", cfg.epochs, 1)
    given = settings["epochs"]
    return max(cfg.epochs // SHARE, settings["steps"]) if given is None else int(given)


def _optimizer(cfg: DictConfig, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The optimizer of the run with a lower learning rate."""
    optimizer = plain(cfg.optimizer, resolve=False)
    if settings["lr_factor"] == 1:
        return optimizer
    if not is_number(cfg.optimizer.get("lr")):
        raise BadInput(
            f"plan.prune.lr_factor changes optimizer.lr, and this optimizer has none; got {settings['lr_factor']}. "
            "Set plan.prune.lr_factor=1, and what you need in plan.pruned.optimizer and plan.from_labels.optimizer."
        )
    return {**optimizer, "lr": cfg.optimizer.lr * settings["lr_factor"]}


def _check(settings: Mapping[str, Any]) -> None:
    check_known("plan.prune", settings, (*OWN, *_names()))
    check_choice("plan.prune.of", settings["of"], ("student", "teacher"))
    check_choice("plan.prune.importance", settings["importance"], IMPORTANCE)
    if not isinstance(settings["structured"], bool):
        raise BadInput(f"plan.prune.structured must be true or false, got {settings['structured']!r}.")
    for key, least in (("round_to", 1), ("steps", 1), ("recalibration_samples", 0)):
        check_whole(f"plan.prune.{key}", settings[key], least)
    if settings["epochs"] is not None:
        check_whole("plan.prune.epochs", settings["epochs"], settings["steps"])
    ratio, factor = settings["ratio"], settings["lr_factor"]
    if not is_number(ratio) or not 0 < ratio < 1:
        raise BadInput(
            "plan.prune.ratio must lie between 0 and 1 (the share of the operations that is removed), got "
            f"{ratio!r}. For example plan.prune.ratio=0.5."
        )
    if not is_number(factor) or factor <= 0:
        raise BadInput(f"plan.prune.lr_factor must be a number above 0, got {factor!r}. For example 0.3.")
