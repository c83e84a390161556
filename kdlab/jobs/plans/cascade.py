"""Cascades: each student is distilled from the one before, the first from the teacher."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from omegaconf import DictConfig

from kdlab.errors import BadInput
from kdlab.jobs.plan import Plan, Step, WeightedStages
from kdlab.jobs.sizes import measure_of
from kdlab.jobs.stages import (
    NETWORK,
    SUPERVISED,
    check_numbered,
    check_whole,
    class_count,
    distilled_stage,
    student_stage,
    teacher_stages,
    untrained,
)
from kdlab.jobs.training.stage import Stage
from kdlab.models.scaling import TOLERANCE, Measure, scaled_network


@dataclass(frozen=True)
class NetworkSpec:
    """A network of the cascade: its settings, their config node, and the size that it was built for.

    Attributes:
        network: settings.
        setting: their config node.
        target: the size; None for a given network.
        by: the measure of that size.
    """

    network: Mapping[str, Any]
    setting: str
    target: float | None = None
    by: str = "parameters"


@dataclass(frozen=True)
class Sizes:
    """How a cascade measures its networks, on the classes of its data.

    Attributes:
        measure: of `plan.by`.
        classes: number of them.
    """

    measure: Measure
    classes: int

    @classmethod
    def of(cls, cfg: DictConfig) -> "Sizes":
        """By `plan.by`; plans of earlier versions have none, and count parameters.

        Raises:
            BadInput: no such measure.
        """
        return cls(measure_of(cfg, cfg.plan.get("by", "parameters")), class_count(cfg))

    def __call__(self, network: Mapping[str, Any], setting: str) -> float:
        """The size of a network, whose config node messages name."""
        return self.measure.size(network, self.classes, setting)

    def rounded(self, size: float) -> float:
        """A target size: parameters and FLOPs are whole numbers."""
        return size if self.measure.by == "latency" else round(size)


def scaled_spec(
    family: Mapping[str, Any],
    student: Mapping[str, Any],
    target: float,
    sizes: Sizes,
    *,
    setting: str,
    tolerance: float | None = None,
) -> NetworkSpec:
    """A network of a family, scaled to a size, with the preprocessing of the student.

    Args:
        family: settings of the network that is scaled.
        student: settings of `model.student`.
        target: its size.
        sizes: of the cascade.
        setting: the config node of the family, for messages.
        tolerance: see `scaled_network`.

    Raises:
        BadInput: the family cannot be scaled to that size.
    """
    by = sizes.measure.by
    if by != "parameters":  # earlier versions could not build these: no plan has to stay
        tolerance = TOLERANCE
    scaled = scaled_network(family, sizes.classes, target, setting, measure=sizes.measure, tolerance=tolerance).settings
    return NetworkSpec(untrained(student, **{name: scaled[name] for name in NETWORK}), setting, target, by)


def cascade(cfg: DictConfig, specs: Sequence[NetworkSpec], fewer: str) -> Plan:
    """The plan of a cascade, whose steps share `epochs` between them.

    The `control` is the last network, distilled from the teachers in one step of as many epochs; the `baseline` is the
    last network, trained without a teacher for as many epochs.

    Args:
        cfg: config of the run.
        specs: the networks below the teacher, largest first.
        fewer: a setting that makes fewer steps, for the message.

    Raises:
        BadInput: there are fewer epochs than steps.
    """
    check_numbered(cfg, "step", len(specs))
    teachers = teacher_stages(cfg)
    steps = _steps(cfg, specs, teachers, split_epochs(cfg.epochs, len(specs), fewer))
    total = sum(stage.epochs for stage in steps)
    last: dict[str, Any] = {"network": specs[-1].network, "setting": specs[-1].setting, "epochs": total}
    baseline = student_stage(cfg, "baseline", loss=SUPERVISED, **last) if cfg.baseline else None
    control = distilled_stage(cfg, "control", teachers, None, **last) if cfg.baseline and len(steps) > 1 else None
    return Plan(
        stages=(*(teacher for teacher, _ in teachers), *(stage for stage in (baseline, control) if stage), *steps),
        student=steps[-1],
        teachers=teachers,
        baseline=baseline,
        control=control,
        steps=tuple(Step(stage, spec.target, spec.by) for stage, spec in zip(steps, specs, strict=True)),
    )


def split_epochs(epochs: int, steps: int, fewer: str) -> list[int]:
    """Splits epochs over steps: numbers differ by one at most, and the last steps get the larger ones.

    Raises:
        BadInput: a step would have no epochs.
    """
    check_whole("epochs", epochs, 1)
    if epochs < steps:
        raise BadInput(
            f"epochs is divided over the {steps} steps of the plan and must be at least as many, got {epochs}. "
            f"Set epochs={steps} or more, or {fewer}."
        )
    size, rest = divmod(epochs, steps)
    return [size + (index >= steps - rest) for index in range(steps)]


def _steps(
    cfg: DictConfig, specs: Sequence[NetworkSpec], teachers: WeightedStages, epochs: Sequence[int]
) -> list[Stage]:
    steps: list[Stage] = []
    for index, (spec, share) in enumerate(zip(specs, epochs, strict=True)):
        step_teachers = ((steps[-1], 1.0),) if steps else teachers
        options: dict[str, Any] = {"network": spec.network, "setting": spec.setting, "epochs": share}
        steps.append(distilled_stage(cfg, f"step{index + 1}", step_teachers, step=index, **options))
    return steps
