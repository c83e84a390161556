"""Stages from a composed config: a teacher's or a student's network, its recipe, and what a plan changes of it."""

import copy
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

from kdlab.data.image.transfer import transfer_settings
from kdlab.errors import BadInput
from kdlab.jobs.plan import Taught
from kdlab.jobs.training.identity import data_facts
from kdlab.jobs.training.parts import make_method
from kdlab.jobs.training.stage import Stage
from kdlab.models.build import pretrained_classes
from kdlab.settings.numbers import is_weight, is_whole
from kdlab.settings.targets import check_known

SUPERVISED = {"_target_": "kdlab.methods.Distiller", "terms": {"ce": {"weight": 1.0}}}
RECIPE = ("epochs", "seed", "optimizer", "scheduler", "data", "callbacks", "loss")
NETWORK = ("source", "name", "kwargs", "taps")  # what makes a network, as in conf/network
NOT_NETWORK = ("train", "weight")  # settings of a teacher beside its network's


def teacher_stages(cfg: DictConfig) -> Taught:
    """The teacher and those of `model.teachers`, with their weights; weight 0 leaves one out.

    Raises:
        BadInput: a weight below 0, or none above it.
    """
    every = [(teacher_stage(cfg, name), _node(cfg, name)) for name in (None, *cfg.model.teachers)]
    weighed = [(stage, _weight(stage.setting, node.get("weight", 1.0))) for stage, node in every]
    kept = tuple((stage, weight) for stage, weight in weighed if weight)
    if not kept:
        raise BadInput("model.teacher.weight must be above 0, got 0 for every teacher. Set model.teacher.weight=1.")
    return kept


def teacher_stage(cfg: DictConfig, name: str | None = None) -> Stage:
    """A teacher: as it is where it comes with weights for these classes, otherwise trained (or fine-tuned).

    It stands for a network made where the labels are, so it has all of them unless `plan.teacher` says otherwise.

    Args:
        cfg: the run's.
        name: in `model.teachers`; None is `model.teacher`.
    """
    node = _node(cfg, name)
    said = {**plain(cfg, resolve=False), "loss": SUPERVISED, **plain(node.train, resolve=False)}
    setting = f"model.teachers.{name}" if name else "model.teacher"
    role = f"teacher_{name}" if name else "teacher"
    stage = _stage(cfg, role, network_settings(node), _with_all_labels(said), setting)
    if stage.network["pretrained"] and stage.network["checkpoint"]:
        raise BadInput(
            f"{setting}.pretrained and {setting}.checkpoint both name weights, "
            f"got true and {stage.network['checkpoint']}. Set one of them."
        )
    if stage.network["checkpoint"] or _answers_these_classes(stage.network):
        return replace(stage, epochs=0, seed=0, data=_seeded(stage.data, 0))
    return stage


def student_stage(
    cfg: DictConfig,
    name: str = "student",
    *,
    network: Mapping[str, Any] | None = None,
    setting: str = "model.student",
    **recipe: Any,
) -> Stage:
    """A student without its teachers yet, on the run's recipe and loss.

    Args:
        cfg: the run's.
        name: of the stage; `plan.<name>` changes its recipe.
        network: its settings; None is `model.student`.
        setting: the config node of its network, for messages.
        recipe: what the plan itself changes: `epochs`, `seed`, `loss`.
    """
    said = {**plain(cfg, resolve=False), **recipe}
    return _stage(cfg, name, network or network_settings(cfg.model.student), said, setting)


def taught_stage(cfg: DictConfig, name: str, teachers: Taught, step: int | None, **how: Any) -> Stage:
    """A student stage with its teachers.

    Args:
        cfg: the run's.
        name: of the stage.
        teachers: with their weights.
        step: which distillation of its plan it is, from 0, for a loss that has a setting `step`; None leaves that.
        how: see `student_stage`.

    Raises:
        BadInput: no active term of its loss reads a teacher.
    """
    loss = plain(cfg.loss, resolve=False)
    if step is not None and "step" in loss:
        loss["step"] = step
    stage = student_stage(cfg, name, loss=loss, **how)
    if not make_method(stage).needs_teacher:
        raise BadInput(
            f"plan: {name} has {teachers[0][0].name} as its teacher, but no term of its loss with a weight above 0 "
            f"reads a teacher; got {', '.join(stage.loss.get('terms') or ())}. Choose another loss=, or plan=single."
        )
    return on_transfer_set(cfg, replace(stage, teachers=teachers))


def on_transfer_set(cfg: DictConfig, stage: Stage) -> Stage:
    """The stage on the unlabelled images of `transfer`, where there are any.

    Raises:
        BadInput: its loss would have nothing to learn from them.
    """
    if not cfg.transfer:
        return stage
    if make_method(stage).is_supervised:
        raise BadInput(
            f"transfer: its images have no labels, and {stage.name} learns from labels only; got "
            f"{', '.join(stage.loss.get('terms') or ())}. Choose a loss with a teacher, such as loss=response."
        )
    return replace(stage, data=transfer_settings(stage.data, plain(cfg.transfer)))


def class_count(cfg: DictConfig) -> int:
    """How many classes the run's data have."""
    return data_facts(plain(cfg.data)).num_classes


def network_settings(node: DictConfig) -> dict[str, Any]:
    """What of `model.teacher` or `model.student` describes the network itself."""
    return {key: value for key, value in plain(node).items() if key not in NOT_NETWORK}


def peer_settings(cfg: DictConfig) -> dict[str, Any]:
    """The network of `model.teacher` as a second student: for the student's classes, from what weights it is given."""
    return {**network_settings(cfg.model.teacher), "num_classes": class_count(cfg)}


def untrained(network: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    """Settings of another network with the same preprocessing, from random weights."""
    return {**network, "pretrained": False, "checkpoint": None, **changes}


def plain(node: DictConfig, resolve: bool = True) -> dict[str, Any]:
    """A config node as plain values."""
    return OmegaConf.to_container(node, resolve=resolve)  # type: ignore[return-value]


def check_whole(setting: str, value: Any, least: int) -> None:
    """Refuses what is not a whole number, or is below `least`.

    Raises:
        BadInput: naming the setting.
    """
    if not is_whole(value, least):
        raise BadInput(f"{setting} must be a whole number, {least} or more; got {value!r}.")


def check_choice(setting: str, value: Any, choices: Iterable[str]) -> None:
    """Refuses what is not one of the choices.

    Raises:
        BadInput: naming them.
    """
    if value not in choices:
        raise BadInput(f"{setting} must be {' or '.join(choices)}, got {value!r}.")


def check_numbered(cfg: DictConfig, kind: str, count: int) -> None:
    """Refuses changes of a step or generation that the plan does not have.

    Args:
        cfg: the run's.
        kind: `step` or `generation`.
        count: how many there are, numbered from 1.

    Raises:
        BadInput: naming those there are.
    """
    for key, changes in cfg.plan.items():
        number = str(key).removeprefix(kind)
        if number.isdigit() and changes and not 1 <= int(number) <= count:
            last = f" to plan.{kind}{count}" if count > 1 else " alone"
            raise BadInput(f"plan.{key} is not in this plan, got {changes}. It has plan.{kind}1{last}.")


def _node(cfg: DictConfig, name: str | None) -> DictConfig:
    node: DictConfig = cfg.model.teachers[name] if name else cfg.model.teacher
    return node


def _weight(setting: str, value: Any) -> float:
    if not is_weight(value):
        raise BadInput(f"{setting}.weight must be a finite number, 0 or more; got {value!r}.")
    return float(value)


def _seeded(data: Mapping[str, Any], seed: int) -> dict[str, Any]:
    return {**data, "seed": seed} if "seed" in data else {**data}


def _with_all_labels(said: dict[str, Any]) -> dict[str, Any]:
    if "labelled_fraction" not in said["data"]:
        return said
    return {**said, "data": {**said["data"], "labelled_fraction": 1.0}}


def _stage(cfg: DictConfig, name: str, network: Mapping[str, Any], said: Mapping[str, Any], setting: str) -> Stage:
    recipe = _recipe(cfg, name, said, f"{setting}.train." if setting.startswith("model.teacher") else "")
    data = recipe["data"] = _seeded(recipe["data"], recipe["seed"])
    return Stage(
        name=name,
        network={**network, "num_classes": data_facts(data).num_classes},
        hardware=plain(cfg.hardware),
        trainer=plain(cfg.trainer),
        cache=plain(cfg.cache),
        setting=setting,
        **recipe,
    )


def _recipe(cfg: DictConfig, name: str, said: Mapping[str, Any], own: str) -> dict[str, Any]:
    """What is said of a stage, not yet resolved, with `plan.<name>` on top.

    Relative interpolations such as a scheduler's `${..epochs}`, and those to `loss`, then see the stage's own values.
    """
    changes = plain(cfg.plan.get(name, OmegaConf.create({})), resolve=False)
    check_known(f"plan.{name}", changes, RECIPE)
    whole = copy.deepcopy(cfg)
    with open_dict(whole):
        whole["stage"] = OmegaConf.merge({key: said[key] for key in RECIPE}, changes)
        whole["loss"] = whole["stage"]["loss"]
    recipe = plain(whole["stage"])
    for key, least in (("epochs", 1), ("seed", 0)):
        check_whole((f"plan.{name}." if key in changes else own) + key, recipe[key], least)
    return recipe


def _answers_these_classes(network: Mapping[str, Any]) -> bool:
    """Published weights whose own head predicts as many classes; with another head they are only a start."""
    if not network["pretrained"]:
        return False
    return bool(pretrained_classes(network["source"], network["name"]) == network["num_classes"])
