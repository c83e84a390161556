"""Plans: the stages that a run needs, teachers first. One planner per kind of plan, named by `conf/plan/*.yaml`."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

from kdlab.errors import BadInput
from kdlab.fingerprint import fingerprint
from kdlab.identity import data_facts, stage_fingerprint
from kdlab.models.build import pretrained_classes
from kdlab.stage import Stage, make_method
from kdlab.targets import check_known, find

SUPERVISED = {"_target_": "kdlab.methods.Distiller", "terms": {"ce": {"weight": 1.0}}}
RECIPE = ("epochs", "seed", "optimizer", "scheduler", "data", "callbacks")


@dataclass(frozen=True)
class Plan:
    """Stages in the order in which they can be trained, and the parts that three of them play in the report.

    Attributes:
        stages: each after its teachers, every one once.
        student: the network that the run is for.
        teacher: what it is compared with from above; None without distillation.
        baseline: the student's twin without a teacher; None where it was not asked for.
    """

    stages: tuple[Stage, ...]
    student: Stage
    teacher: Stage | None = None
    baseline: Stage | None = None

    @property
    def fingerprint(self) -> str:
        """Changes when any stage's does."""
        return fingerprint({"stages": [stage_fingerprint(stage) for stage in self.stages]})

    def by_role(self) -> dict[str, Stage]:
        """The stages that the report names: `teacher`, `baseline` and `student`, as far as there are any."""
        roles = {"teacher": self.teacher, "baseline": self.baseline, "student": self.student}
        return {role: stage for role, stage in roles.items() if stage}


def make_plan(cfg: DictConfig) -> Plan:
    """The plan that `plan=` chose, from a composed config.

    Raises:
        BadInput: a value of the config is out of its range, or the parts do not go together.
    """
    planner: Callable[[DictConfig], Plan] = find(cfg.plan._target_, "plan")
    return planner(cfg)


def single(cfg: DictConfig) -> Plan:
    """One teacher, one student, and the same student without the teacher."""
    alone = student_stage(cfg)
    if not make_method(alone).needs_teacher:
        return Plan(stages=(alone,), student=alone)
    teacher = teacher_stage(cfg)
    student = replace(alone, teachers=((teacher, 1.0),))
    baseline = student_stage(cfg, name="baseline", loss=SUPERVISED) if cfg.baseline else None
    return Plan(tuple(filter(None, (teacher, baseline, student))), student, teacher, baseline)


def teacher_stage(cfg: DictConfig) -> Stage:
    """The teacher: as it is where it comes with weights for these classes, otherwise trained (or fine-tuned).

    It stands for a network made where the labels are, so it has all of them unless `plan.teacher` says otherwise.
    """
    said = {**_plain(cfg, resolve=False), **_plain(cfg.model.teacher.train, resolve=False)}
    stage = _stage(cfg, "teacher", cfg.model.teacher, _with_all_labels(said), loss=SUPERVISED)
    if stage.network["pretrained"] and stage.network["checkpoint"]:
        raise BadInput(
            "model.teacher.pretrained and model.teacher.checkpoint both name weights, "
            f"got true and {stage.network['checkpoint']}. Set one of them."
        )
    if stage.network["checkpoint"] or _answers_these_classes(stage.network):
        return replace(stage, epochs=0, seed=0, data=_seeded(stage.data, 0))
    return stage


def _seeded(data: Mapping[str, Any], seed: int) -> dict[str, Any]:
    return {**data, "seed": seed} if "seed" in data else {**data}


def _with_all_labels(said: dict[str, Any]) -> dict[str, Any]:
    if "labelled_fraction" not in said["data"]:
        return said
    return {**said, "data": {**said["data"], "labelled_fraction": 1.0}}


def student_stage(
    cfg: DictConfig,
    name: str = "student",
    loss: Mapping[str, Any] | None = None,
) -> Stage:
    """The student's network on the run's recipe, with the run's loss unless another one is given."""
    said = _plain(cfg, resolve=False)
    return _stage(cfg, name, cfg.model.student, said, loss=loss or _plain(cfg.loss))


def _stage(
    cfg: DictConfig,
    name: str,
    network: DictConfig,
    said: Mapping[str, Any],
    *,
    loss: Mapping[str, Any],
) -> Stage:
    recipe = _recipe(cfg, name, said)
    data = recipe["data"] = _seeded(recipe["data"], recipe["seed"])
    settings = {key: value for key, value in _plain(network).items() if key != "train"}
    return Stage(
        name=name,
        network={**settings, "num_classes": data_facts(data).num_classes},
        loss=loss,
        hardware=_plain(cfg.hardware),
        trainer=_plain(cfg.trainer),
        setting=f"model.{'teacher' if network is cfg.model.teacher else 'student'}",
        **recipe,
    )


def _recipe(cfg: DictConfig, name: str, said: Mapping[str, Any]) -> dict[str, Any]:
    """What is said of a stage, not yet resolved, with `plan.<name>` on top.

    Relative interpolations such as a scheduler's `${..epochs}` then see the stage's own values.
    """
    changes = _plain(cfg.plan.get(name, OmegaConf.create({})), resolve=False)
    check_known(f"plan.{name}", changes, RECIPE)
    whole = copy.deepcopy(cfg)
    with open_dict(whole):
        whole["stage"] = OmegaConf.merge({key: said[key] for key in RECIPE}, changes)
    recipe = _plain(whole["stage"])
    for key, least in (("epochs", 1), ("seed", 0)):
        origin = f"plan.{name}." if key in changes else "model.teacher.train." if name == "teacher" else ""
        _check_whole(origin + key, recipe[key], least)
    return recipe


def _check_whole(setting: str, value: Any, least: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise BadInput(f"{setting} must be a whole number, {least} or more; got {value!r}.")


def _answers_these_classes(network: Mapping[str, Any]) -> bool:
    """Published weights whose own head predicts as many classes; with another head they are only a start."""
    if not network["pretrained"]:
        return False
    return bool(pretrained_classes(network["source"], network["name"]) == network["num_classes"])


def _plain(node: DictConfig, resolve: bool = True) -> dict[str, Any]:
    return OmegaConf.to_container(node, resolve=resolve)  # type: ignore[return-value]
