"""Makes stages from a composed config: the network and recipe of a teacher or a student, with a plan's changes."""

import copy
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf, open_dict

from kdlab.data.image.transfer import transfer_settings
from kdlab.errors import BadInput
from kdlab.jobs.training.identity import data_properties
from kdlab.jobs.training.parts import make_method
from kdlab.jobs.training.stage import Stage
from kdlab.models.build import pretrained_classes
from kdlab.settings.numbers import is_weight, is_whole
from kdlab.settings.targets import check_known

if TYPE_CHECKING:
    from kdlab.jobs.plan import WeightedStages

SUPERVISED = {"_target_": "kdlab.methods.Distiller", "terms": {"ce": {"weight": 1.0}}}
RECIPE = ("epochs", "seed", "optimizer", "scheduler", "data", "callbacks", "loss")
NETWORK = ("source", "name", "kwargs", "taps")  # keys of an option of conf/network
NOT_NETWORK = ("train", "weight", "scale")  # keys of a teacher's or a student's node that are not its network's


def teacher_stages(cfg: DictConfig) -> "WeightedStages":
    """The teacher and those of `model.teachers`, with their weights; a teacher of weight 0 is left out.

    Raises:
        BadInput: a weight is below 0, or none is above 0.
    """
    teachers = [(teacher_stage(cfg, name), _node(cfg, name)) for name in (None, *cfg.model.teachers)]
    weighted = [(stage, _weight(stage.setting, node.get("weight", 1.0))) for stage, node in teachers]
    kept = tuple((stage, weight) for stage, weight in weighted if weight)
    if not kept:
        raise BadInput("model.teacher.weight must be above 0, got 0 for every teacher. Set model.teacher.weight=1.")
    return kept


def teacher_stage(cfg: DictConfig, name: str | None = None) -> Stage:
    """A teacher: only evaluated if it has weights for these classes, otherwise trained or fine-tuned.

    It trains on all labels, also where `data.labelled_fraction` is below 1, unless `plan.teacher` sets the fraction.

    Args:
        cfg: config of the run.
        name: key in `model.teachers`; None is `model.teacher`.
    """
    node = _node(cfg, name)
    settings = {**plain(cfg, resolve=False), "loss": SUPERVISED, **plain(node.train, resolve=False)}
    setting = f"model.teachers.{name}" if name else "model.teacher"
    role = f"teacher_{name}" if name else "teacher"
    stage = _stage(cfg, role, network_settings(node), _with_all_labels(settings), setting)
    if stage.network["pretrained"] and stage.network["checkpoint"]:
        raise BadInput(
            f"{setting}.pretrained and {setting}.checkpoint both name weights, "
            f"got true and {stage.network['checkpoint']}. Set one of them."
        )
    if stage.network["checkpoint"] or _pretrained_for_these_classes(stage.network):
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
    """A student stage without teachers, with the recipe and loss of the run.

    Args:
        cfg: config of the run.
        name: of the stage; `plan.<name>` changes its recipe.
        network: its settings; None is `model.student`.
        setting: the config node of its network, for messages.
        recipe: the plan's own changes: `epochs`, `seed`, `loss`.
    """
    settings = {**plain(cfg, resolve=False), **recipe}
    return _stage(cfg, name, network or network_settings(cfg.model.student), settings, setting)


def distilled_stage(cfg: DictConfig, name: str, teachers: "WeightedStages", step: int | None, **options: Any) -> Stage:
    """A student stage with its teachers.

    Args:
        cfg: config of the run.
        name: of the stage.
        teachers: with their weights.
        step: index of the distillation within its plan, for a loss with a setting `step`; None leaves that unchanged.
        options: see `student_stage`.

    Raises:
        BadInput: no active term of its loss reads a teacher.
    """
    loss = plain(cfg.loss, resolve=False)
    if step is not None and "step" in loss:
        loss["step"] = step
    stage = student_stage(cfg, name, loss=loss, **options)
    if not make_method(stage).needs_teacher:
        raise BadInput(
            f"plan: {name} has {teachers[0][0].name} as its teacher, but no term of its loss with a weight above 0 "
            f"reads a teacher; got {', '.join(stage.loss.get('terms') or ())}. Choose another loss=, or plan=single."
        )
    return with_transfer_set(cfg, replace(stage, teachers=teachers))


def with_transfer_set(cfg: DictConfig, stage: Stage) -> Stage:
    """The stage with the unlabelled images of `transfer` as its training data, if `transfer` is set.

    Raises:
        BadInput: its loss reads labels only, and these images have none.
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
    """Number of classes of the run's data."""
    return data_properties(plain(cfg.data)).num_classes


def network_settings(node: DictConfig) -> dict[str, Any]:
    """The settings of the network in `model.teacher` or `model.student`, without recipe, weight and scale."""
    return {key: value for key, value in plain(node).items() if key not in NOT_NETWORK}


def peer_settings(cfg: DictConfig) -> dict[str, Any]:
    """The network of `model.teacher` as a second student, for the student's classes."""
    return {**network_settings(cfg.model.teacher), "num_classes": class_count(cfg)}


def untrained(network: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    """Settings of another network with the same preprocessing and random initial weights."""
    return {**network, "pretrained": False, "checkpoint": None, **changes}


def plain(node: DictConfig, resolve: bool = True) -> dict[str, Any]:
    """A config node as plain values."""
    return OmegaConf.to_container(node, resolve=resolve)  # type: ignore[return-value]


def check_whole(setting: str, value: Any, least: int) -> None:
    """Checks that a value is a whole number of at least `least`.

    Raises:
        BadInput: naming the setting.
    """
    if not is_whole(value, least):
        raise BadInput(f"{setting} must be a whole number, {least} or more; got {value!r}.")


def check_choice(setting: str, value: Any, choices: Iterable[str]) -> None:
    """Checks that a value is one of the choices.

    Raises:
        BadInput: naming the choices.
    """
    if value not in choices:
        raise BadInput(f"{setting} must be {' or '.join(choices)}, got {value!r}.")


def check_numbered(cfg: DictConfig, kind: str, count: int) -> None:
    """Checks that the plan has each step or generation that `plan.<kind><number>` changes.

    Args:
        cfg: config of the run.
        kind: `step` or `generation`.
        count: number of them, numbered from 1.

    Raises:
        BadInput: naming those of the plan.
    """
    for key, changes in cfg.plan.items():
        number = str(key).removeprefix(kind)
        if number.isdigit() and changes and not 1 <= int(number) <= count:
            last = f" to plan.{kind}{count}" if count > 1 else " only"
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


def _with_all_labels(settings: dict[str, Any]) -> dict[str, Any]:
    if "labelled_fraction" not in settings["data"]:
        return settings
    return {**settings, "data": {**settings["data"], "labelled_fraction": 1.0}}


def _stage(cfg: DictConfig, name: str, network: Mapping[str, Any], settings: Mapping[str, Any], setting: str) -> Stage:
    recipe = _recipe(cfg, name, settings, f"{setting}.train." if setting.startswith("model.teacher") else "")
    data = recipe["data"] = _seeded(recipe["data"], recipe["seed"])
    return Stage(
        name=name,
        network={**network, "num_classes": data_properties(data).num_classes},
        hardware=plain(cfg.hardware),
        trainer=plain(cfg.trainer),
        cache=plain(cfg.cache),
        setting=setting,
        **recipe,
    )


def _recipe(cfg: DictConfig, name: str, settings: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Merges `plan.<name>` into the unresolved settings of a stage, then resolves them.

    Relative interpolations such as a scheduler's `${..epochs}`, and those to `loss`, thus use the stage's own values.
    """
    changes = plain(cfg.plan.get(name, OmegaConf.create({})), resolve=False)
    check_known(f"plan.{name}", changes, RECIPE)
    whole = copy.deepcopy(cfg)
    with open_dict(whole):
        whole["stage"] = OmegaConf.merge({key: settings[key] for key in RECIPE}, changes)
        whole["loss"] = whole["stage"]["loss"]
    recipe = plain(whole["stage"])
    for key, least in (("epochs", 1), ("seed", 0)):
        check_whole((f"plan.{name}." if key in changes else prefix) + key, recipe[key], least)
    return recipe


def _pretrained_for_these_classes(network: Mapping[str, Any]) -> bool:
    """Whether the published head predicts as many classes; with a new head the network must be fine-tuned."""
    if not network["pretrained"]:
        return False
    return bool(pretrained_classes(network["source"], network["name"]) == network["num_classes"])
