"""A student of a size: `model.student.scale` scales the chosen network before any plan is made."""

import copy
from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig, open_dict

from kdlab.errors import BadInput
from kdlab.jobs.sizes import measure_of
from kdlab.jobs.stages import NETWORK, class_count, network_settings, plain
from kdlab.models.scaling import described, scaled_network
from kdlab.settings.numbers import is_number
from kdlab.settings.targets import check_known

SCALE = "model.student.scale"
MEASURES = {"parameters": "parameters", "flops": "flops", "latency_ms": "latency"}  # by key of `scale`
BUILT = "built"  # a key that kdlab adds: what was scaled, and to what


def with_scaled_student(cfg: DictConfig) -> tuple[DictConfig, list[str]]:
    """The config with `model.student` of the size that `scale` asks for, and a remark with its settings.

    `scale.built` then has the size, and the network that was scaled. A config with it keeps its student as it is, so
    that the config in a `result.json` describes the same network on every machine.

    Raises:
        BadInput: several sizes, a student with given weights, or a size that its family does not reach.
    """
    scale = plain(cfg.model.student).get("scale") or {}
    asked, built = _asked(scale), scale.get(BUILT) or {}
    if asked is None or built.get("asked") == list(asked):
        return cfg, []
    key, target = asked
    student = {**network_settings(cfg.model.student), **built.get("of", {})}
    _check_untrained(student, f"{SCALE}.{key}={target}")
    measure = measure_of(cfg, MEASURES[key])
    found = scaled_network(student, class_count(cfg), target, "model.student", measure=measure)
    changed = copy.deepcopy(cfg)
    with open_dict(changed):
        changed.model.student.update({name: found.settings[name] for name in NETWORK})
        of = {name: student[name] for name in ("source", "name", "kwargs")}
        changed.model.student.scale[BUILT] = {"asked": list(asked), "size": found.size, "of": of}
    name, kwargs = described(found.settings).split(" ", 1)
    reached = f"{student['name']} was scaled to {measure.show(found.size)} ({measure.show(target)} asked for)"
    return changed, [f"{reached}. The same network: model.student.{name} 'model.student.{kwargs}'"]


def _asked(scale: Mapping[str, Any]) -> tuple[str, float] | None:
    """The key and the value of the one size that is set; None without one."""
    check_known(SCALE, scale, (*MEASURES, BUILT))
    given = {key: scale[key] for key in MEASURES if scale.get(key) is not None}
    if len(given) > 1:
        sizes = ", ".join(f"{key}={value}" for key, value in given.items())
        raise BadInput(f"{SCALE} must have one size, got {sizes}. Set the others to null.")
    for key, value in given.items():
        if not is_number(value) or not value > 0:
            raise BadInput(
                f"{SCALE}.{key} must be a number above 0, got {value!r}. For example {SCALE}.parameters=200000."
            )
        return key, value
    return None


def _check_untrained(student: Mapping[str, Any], size: str) -> None:
    for key in ("pretrained", "checkpoint"):
        if student.get(key):
            raise BadInput(
                f"model.student.{key} gives weights of another size, got {student[key]} with {size}. "
                "Leave one of them out."
            )
