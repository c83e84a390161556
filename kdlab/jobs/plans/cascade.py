"""A chain of students: each is distilled from the one before, the first from the teacher."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig

from kdlab.errors import BadInput
from kdlab.jobs.plan import Plan, Step, Taught
from kdlab.jobs.stages import (
    NETWORK,
    SUPERVISED,
    check_numbered,
    check_whole,
    student_stage,
    taught_stage,
    teacher_stages,
    untrained,
)
from kdlab.jobs.training.stage import Stage
from kdlab.models.scaling import scaled_network


@dataclass(frozen=True)
class Rung:
    """A network of the chain: its settings, the config node they come from, and how large it was to be."""

    network: Mapping[str, Any]
    setting: str
    target_params: int | None = None


def built_rung(
    family: Mapping[str, Any], student: Mapping[str, Any], classes: int, parameters: int, setting: str
) -> Rung:
    """A network of a family at a size of its own, with the preprocessing of the student.

    Args:
        family: settings of the network that is scaled.
        student: settings of `model.student`.
        classes: of the data.
        parameters: how many it should have.
        setting: the config node of the family, for messages.

    Raises:
        BadInput: the family cannot be scaled to that size.
    """
    built = scaled_network(family, classes, parameters, setting=setting)
    return Rung(untrained(student, **{name: built[name] for name in NETWORK}), setting, parameters)


def cascade(cfg: DictConfig, rungs: Sequence[Rung], fewer: str) -> Plan:
    """The plan of a chain, whose steps share `epochs` between them.

    Beside it stand the last network after one step of as many epochs (`control`), and without a teacher (`baseline`).

    Args:
        cfg: the run's.
        rungs: the networks below the teacher, largest first.
        fewer: how to have fewer steps, for the message.

    Raises:
        BadInput: fewer epochs than steps.
    """
    check_numbered(cfg, "step", len(rungs))
    teachers = teacher_stages(cfg)
    steps = _steps(cfg, rungs, teachers, divided(cfg.epochs, len(rungs), fewer))
    total = sum(stage.epochs for stage in steps)
    last: dict[str, Any] = {"network": rungs[-1].network, "setting": rungs[-1].setting, "epochs": total}
    baseline = student_stage(cfg, "baseline", loss=SUPERVISED, **last) if cfg.baseline else None
    control = taught_stage(cfg, "control", teachers, None, **last) if cfg.baseline and len(steps) > 1 else None
    return Plan(
        stages=(*(teacher for teacher, _ in teachers), *(stage for stage in (baseline, control) if stage), *steps),
        student=steps[-1],
        teachers=teachers,
        baseline=baseline,
        control=control,
        steps=tuple(Step(stage, rung.target_params) for stage, rung in zip(steps, rungs, strict=True)),
    )


def divided(epochs: int, steps: int, fewer: str) -> list[int]:
    """A budget of epochs over steps: sizes differ by one at most, and the last ones are the longer.

    Raises:
        BadInput: a step would have none.
    """
    check_whole("epochs", epochs, 1)
    if epochs < steps:
        raise BadInput(
            f"epochs is divided over the {steps} steps of the plan and must be at least as many, got {epochs}. "
            f"Set epochs={steps} or more, or {fewer}."
        )
    size, rest = divmod(epochs, steps)
    return [size + (place >= steps - rest) for place in range(steps)]


def _steps(cfg: DictConfig, rungs: Sequence[Rung], teachers: Taught, epochs: Sequence[int]) -> list[Stage]:
    steps: list[Stage] = []
    for place, (rung, share) in enumerate(zip(rungs, epochs, strict=True)):
        above = ((steps[-1], 1.0),) if steps else teachers
        how: dict[str, Any] = {"network": rung.network, "setting": rung.setting, "epochs": share}
        steps.append(taught_stage(cfg, f"step{place + 1}", above, step=place, **how))
    return steps
