"""Stages that start with the network of another one, changed: made smaller, or rounded."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from omegaconf import DictConfig

from kdlab.errors import BadInput
from kdlab.jobs.plan import Plan, Step, WeightedStages
from kdlab.jobs.stages import (
    SUPERVISED,
    check_choice,
    distilled_stage,
    plain,
    student_stage,
    teacher_stages,
    untrained,
)
from kdlab.jobs.training.stage import Stage, Start
from kdlab.settings.numbers import is_number

CONTROL = "from_labels"  # the stages without teachers: the same start, labels only
Steps = Callable[[Stage, WeightedStages], Sequence[Stage]]


def fine_tuning_plan(cfg: DictConfig, of: str, unchanged: str, steps: Steps) -> Plan:
    """The teacher, the student, and the student changed and fine-tuned, under the teacher and from labels.

    Args:
        cfg: config of the run.
        of: `student`, or `teacher`: no student is trained, and the teacher is changed.
        unchanged: the name of the student's stage.
        steps: makes the stages that change a network; without teachers they learn from labels.
    """
    teachers = teacher_stages(cfg)
    source = teachers[0][0] if of == "teacher" else distilled_stage(cfg, unchanged, teachers, None)
    changed = steps(source, teachers)
    baseline = steps(source, ()) if cfg.baseline else ()
    between = () if of == "teacher" else (source,)
    return Plan(
        stages=(*(teacher for teacher, _ in teachers), *between, *baseline, *changed),
        student=changed[-1],
        teachers=teachers,
        baseline=baseline[-1] if baseline else None,
        steps=tuple(Step(stage) for stage in (*between, *changed)),
    )


def fine_tuned(
    cfg: DictConfig, name: str, teachers: WeightedStages, start: Start, *, epochs: int, lr_factor: float
) -> Stage:
    """A stage with the recipe of the run at a share of its learning rate.

    Args:
        cfg: config of the run.
        name: of the stage; `plan.<name>`, without a number at its end, changes its recipe.
        teachers: with their weights; without any it learns from labels.
        start: the network that it starts with.
        epochs: of the stage.
        lr_factor: of `optimizer.lr`.
    """
    optimizer = plain(cfg.optimizer, resolve=False)
    recipe: dict[str, Any] = {
        "network": untrained(start.stage.network),
        "setting": start.stage.setting,
        "optimizer": optimizer if lr_factor == 1 else {**optimizer, "lr": cfg.optimizer.lr * lr_factor},
        "epochs": epochs,
    }
    base = name.rstrip("0123456789")
    if teachers:
        stage = distilled_stage(cfg, base, teachers, None, **recipe)
    else:
        stage = student_stage(cfg, base, loss=SUPERVISED, **recipe)
    return replace(stage, name=name, start=start)


def check_common(cfg: DictConfig, group: str, settings: Mapping[str, Any]) -> None:
    """Checks `of` and `lr_factor` of a plan that fine-tunes.

    Args:
        cfg: config of the run.
        group: of the settings, such as `plan.prune`.
        settings: of that group.

    Raises:
        BadInput: naming the setting.
    """
    check_choice(f"{group}.of", settings["of"], ("student", "teacher"))
    factor = settings["lr_factor"]
    if not is_number(factor) or factor <= 0:
        raise BadInput(f"{group}.lr_factor must be a number above 0, got {factor!r}. For example 0.3.")
    if factor != 1 and not is_number(cfg.optimizer.get("lr")):
        raise BadInput(
            f"{group}.lr_factor changes optimizer.lr, and this optimizer has none; got {factor}. "
            f"Set {group}.lr_factor=1, and what you need in the optimizer of each stage of the plan."
        )
