"""Progressive distillation: a cascade of networks, each scaled by the same factor from the one before."""

from collections.abc import Iterator
from typing import Any

from omegaconf import DictConfig

from kdlab.errors import BadInput
from kdlab.jobs.plan import Networks, Plan
from kdlab.jobs.plans.cascade import NetworkSpec, Sizes, cascade, scaled_spec
from kdlab.jobs.stages import check_choice, check_whole, network_settings
from kdlab.settings.numbers import is_fraction


def progressive(cfg: DictConfig, networks: Networks) -> Plan:
    """Stage i of n has teacher size × ratio^(i/n); ratio is `plan.target_compression`, or student/teacher size.

    Sizes are numbers of parameters, unless `plan.by` says otherwise.

    Raises:
        BadInput: a setting of the plan is out of its range, or the family cannot be scaled to a size.
    """
    check_whole("plan.num_stages", cfg.plan.num_stages, 1)
    check_choice("plan.family", cfg.plan.family, ("teacher", "student"))
    check_choice("plan.last", cfg.plan.last, ("built", "student"))
    return cascade(cfg, list(_specs(cfg)), "fewer plan.num_stages")


def _specs(cfg: DictConfig) -> Iterator[NetworkSpec]:
    teacher, student = network_settings(cfg.model.teacher), network_settings(cfg.model.student)
    sizes, stages = Sizes.of(cfg), cfg.plan.num_stages
    largest = sizes(teacher, "model.teacher")
    ratio = _student_ratio(student, sizes, largest) if cfg.plan.last == "student" else _ratio(cfg)
    setting = f"model.{cfg.plan.family}"
    family = {"teacher": teacher, "student": student}[cfg.plan.family]
    for stage in range(1, stages + 1):
        target = sizes.rounded(largest * ratio ** (stage / stages))
        if stage == stages and cfg.plan.last == "student":
            yield NetworkSpec(student, "model.student", target, sizes.measure.by)
        else:
            yield scaled_spec(family, student, target, sizes, setting=setting)


def _ratio(cfg: DictConfig) -> float:
    ratio: Any = cfg.plan.target_compression
    if not is_fraction(ratio) or ratio in (0, 1):
        raise BadInput(
            "plan.target_compression must lie between 0 and 1 (the last network's share of the teacher's size), "
            f"got {ratio!r}. For example plan.target_compression=0.05."
        )
    return float(ratio)


def _student_ratio(student: dict[str, Any], sizes: Sizes, largest: float) -> float:
    smallest, show = sizes(student, "model.student"), sizes.measure.show
    if smallest >= largest:
        raise BadInput(
            f"plan.last=student needs a model.student smaller than model.teacher, got {show(smallest)} under a "
            f"teacher of {show(largest)}. Choose another pair, or plan.last=built."
        )
    return smallest / largest
