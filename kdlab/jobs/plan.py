"""A plan: the stages that a run needs, and the parts they play in its report. `kdlab.jobs.plans` makes them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from omegaconf import DictConfig, OmegaConf

from kdlab.jobs.training.identity import stage_fingerprint
from kdlab.jobs.training.stage import Stage
from kdlab.settings.targets import find
from kdlab.store.fingerprint import fingerprint

Taught = tuple[tuple[Stage, float], ...]  # teachers with their weights
Networks = Mapping[str, Mapping[str, Any]]  # settings of networks by the name of their option


@dataclass(frozen=True)
class Ensemble:
    """Networks that answer together.

    Attributes:
        members: with their weights.
        average: of their `probabilities` or of their `logits`.
    """

    members: Taught
    average: str = "probabilities"


@dataclass(frozen=True)
class Step:
    """One distillation of a cascade: the stage, and how many parameters it should have had (None: was not asked)."""

    stage: Stage
    target_params: int | None = None


@dataclass(frozen=True)
class Plan:
    """Stages in the order in which they can be trained, and the parts that some of them play in the report.

    Attributes:
        stages: each after its teachers, every one once.
        student: the network that the run is for.
        teachers: what it is compared with from above; empty without distillation.
        baseline: the student's twin without a teacher; None where it was not asked for.
        control: the student's network after as many epochs as all its steps or generations had, in one stage.
        generations: the networks of a born-again plan, first to last.
        ensemble: of all generations.
        steps: of a cascade, first to last.
        networks: the options of `conf/network`, by name: what may be tried in place of these.
        config: the run's, resolved.
    """

    stages: tuple[Stage, ...]
    student: Stage
    teachers: Taught = ()
    baseline: Stage | None = None
    control: Stage | None = None
    generations: tuple[Stage, ...] = ()
    ensemble: Ensemble | None = None
    steps: tuple[Step, ...] = ()
    networks: Networks = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)

    @property
    def teacher(self) -> Stage | None:
        """The first of the teachers."""
        return self.teachers[0][0] if self.teachers else None

    @property
    def fingerprint(self) -> str:
        """Changes when any stage's does, or how they answer together."""
        together = {"ensemble": self.ensemble.average} if self.ensemble else {}
        return fingerprint({"stages": [stage_fingerprint(stage) for stage in self.stages], **together})

    def by_role(self) -> dict[str, Stage]:
        """The stages that the report names: `teacher`, `baseline`, `control` and `student`, as far as there are any."""
        roles = {"teacher": self.teacher, "baseline": self.baseline, "control": self.control, "student": self.student}
        return {role: stage for role, stage in roles.items() if stage}

    def by_name(self) -> dict[str, Stage]:
        """Every stage under its own name and, where that is another one, its role in the report."""
        return {**self.by_role(), **{stage.name: stage for stage in self.stages}}


def make_plan(
    cfg: DictConfig, networks: Networks, with_local_weights: Callable[[DictConfig], DictConfig] = lambda cfg: cfg
) -> Plan:
    """The plan that `plan=` chose, from a composed config.

    Args:
        cfg: of the run.
        networks: the options of `conf/network`, by name.
        with_local_weights: gives the config with files in place of the addresses of weights that are elsewhere.

    Raises:
        BadInput: a value of the config is out of its range, or the parts do not go together.
    """
    planner: Callable[[DictConfig, Networks], Plan] = find(cfg.plan._target_, "plan")
    config: Any = OmegaConf.to_container(cfg, resolve=True)
    return replace(planner(with_local_weights(cfg), networks), networks=networks, config=config)
