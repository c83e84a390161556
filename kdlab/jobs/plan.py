"""A plan: the stages that a run needs, and their roles in its report. `kdlab.jobs.plans` makes them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from omegaconf import DictConfig, OmegaConf

from kdlab.jobs.scaled_student import with_scaled_student
from kdlab.jobs.training.identity import stage_fingerprint
from kdlab.jobs.training.stage import Stage
from kdlab.settings.targets import find
from kdlab.store.fingerprint import fingerprint

WeightedStages = tuple[tuple[Stage, float], ...]  # such as teachers with their weights
Networks = Mapping[str, Mapping[str, Any]]  # settings of networks, by option of `conf/network`


@dataclass(frozen=True)
class Ensemble:
    """Networks whose predictions are averaged.

    Attributes:
        members: its networks with their weights.
        average: what is averaged, `probabilities` or `logits`.
    """

    members: WeightedStages
    average: str = "probabilities"


@dataclass(frozen=True)
class Step:
    """One distillation of a cascade.

    Attributes:
        stage: of its student.
        target: the size that its network was built for; None for a given network.
        by: the measure of that size, `parameters`, `flops` or `latency`.
    """

    stage: Stage
    target: float | None = None
    by: str = "parameters"

    @property
    def target_params(self) -> int | None:
        """The target as a number of parameters; None where it is no such number."""
        return None if self.target is None or self.by != "parameters" else int(self.target)


@dataclass(frozen=True)
class Plan:
    """Stages in the order in which they can be trained, and the roles of some of them in the report.

    Attributes:
        stages: each after its teachers, every one once.
        student: the stage of the final student.
        teachers: those that the student is compared with; empty without distillation.
        baseline: the same student trained without a teacher; None with `baseline=false`.
        control: the student's network trained in one stage, for as many epochs as all steps or generations together.
        generations: the networks of a born-again plan, first to last.
        ensemble: of all generations.
        steps: of a cascade, first to last.
        remarks: on how it was made, a sentence each.
        networks: the options of `conf/network`, by name; hints suggest some of them.
        config: the resolved config of the run.
    """

    stages: tuple[Stage, ...]
    student: Stage
    teachers: WeightedStages = ()
    baseline: Stage | None = None
    control: Stage | None = None
    generations: tuple[Stage, ...] = ()
    ensemble: Ensemble | None = None
    steps: tuple[Step, ...] = ()
    remarks: tuple[str, ...] = ()
    networks: Networks = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)

    @property
    def teacher(self) -> Stage | None:
        """The first of the teachers."""
        return self.teachers[0][0] if self.teachers else None

    @property
    def fingerprint(self) -> str:
        """Changes with the fingerprint of any stage, with how the ensemble averages, and with the export's settings.

        So a run with an export has a directory of its own beside the same run without one or with another, and neither
        replaces the result of the other; all of them share their stages, which are in the store.
        """
        average = {"ensemble": self.ensemble.average} if self.ensemble else {}
        export = {"export": self.config["export"]} if self.config.get("export") else {}
        return fingerprint({"stages": [stage_fingerprint(stage) for stage in self.stages], **average, **export})

    def by_role(self) -> dict[str, Stage]:
        """The stages of the report: `student` and, if the plan has them, `teacher`, `baseline` and `control`."""
        roles = {"teacher": self.teacher, "baseline": self.baseline, "control": self.control, "student": self.student}
        return {role: stage for role, stage in roles.items() if stage}

    def by_name(self) -> dict[str, Stage]:
        """Every stage by its own name and, where that differs, by its role in the report."""
        return {**self.by_role(), **{stage.name: stage for stage in self.stages}}


def make_plan(
    cfg: DictConfig, networks: Networks, with_local_weights: Callable[[DictConfig], DictConfig] = lambda cfg: cfg
) -> Plan:
    """Makes the plan that `plan=` chose, from a composed config.

    Args:
        cfg: config of the run.
        networks: the options of `conf/network`, by name.
        with_local_weights: returns the config with local files in place of remote addresses of weights.

    Raises:
        BadInput: a value of the config is out of its range, or settings contradict each other.
    """
    planner: Callable[[DictConfig, Networks], Plan] = find(cfg.plan._target_, "plan")
    cfg, remarks = with_scaled_student(cfg)
    config: Any = OmegaConf.to_container(cfg, resolve=True)
    plan = planner(with_local_weights(cfg), networks)
    return replace(plan, networks=networks, config=config, remarks=(*remarks, *plan.remarks))
