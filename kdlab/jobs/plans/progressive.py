"""Progressive distillation: a cascade of networks, each scaled by the same factor from the one before."""

from collections.abc import Iterator
from typing import Any

from omegaconf import DictConfig

from kdlab.errors import BadInput
from kdlab.jobs.plan import Networks, Plan
from kdlab.jobs.plans.cascade import NetworkSpec, cascade, scaled_spec
from kdlab.jobs.stages import check_choice, check_whole, class_count, network_settings
from kdlab.models.scaling import count_parameters
from kdlab.settings.numbers import is_fraction


def progressive(cfg: DictConfig, networks: Networks) -> Plan:
    """Stage i of n has teacher parameters × ratio^(i/n); ratio is `plan.target_compression`, or student/teacher size.

    Raises:
        BadInput: a setting of the plan is out of its range, or the family cannot be scaled to a size.
    """
    check_whole("plan.num_stages", cfg.plan.num_stages, 1)
    check_choice("plan.family", cfg.plan.family, ("teacher", "student"))
    check_choice("plan.last", cfg.plan.last, ("built", "student"))
    return cascade(cfg, list(_specs(cfg)), "fewer plan.num_stages")


def _specs(cfg: DictConfig) -> Iterator[NetworkSpec]:
    teacher, student = network_settings(cfg.model.teacher), network_settings(cfg.model.student)
    classes, stages = class_count(cfg), cfg.plan.num_stages
    largest = count_parameters(teacher, classes, "model.teacher")
    ratio = _student_ratio(student, classes, largest) if cfg.plan.last == "student" else _ratio(cfg)
    setting = f"model.{cfg.plan.family}"
    family = {"teacher": teacher, "student": student}[cfg.plan.family]
    for stage in range(1, stages + 1):
        target = round(largest * ratio ** (stage / stages))
        if stage == stages and cfg.plan.last == "student":
            yield NetworkSpec(student, "model.student", target)
        else:
            yield scaled_spec(family, student, classes, target, setting)


def _ratio(cfg: DictConfig) -> float:
    ratio: Any = cfg.plan.target_compression
    if not is_fraction(ratio) or ratio in (0, 1):
        raise BadInput(
            "plan.target_compression must lie between 0 and 1 (the last network's share of the teacher's parameters), "
            f"got {ratio!r}. For example plan.target_compression=0.05."
        )
    return float(ratio)


def _student_ratio(student: dict[str, Any], classes: int, largest: int) -> float:
    smallest = count_parameters(student, classes, "model.student")
    if smallest >= largest:
        raise BadInput(
            f"plan.last=student needs a model.student smaller than model.teacher, got {smallest} parameters under a "
            f"teacher of {largest}. Choose another pair, or plan.last=built."
        )
    return smallest / largest
