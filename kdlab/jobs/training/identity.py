"""The parts of a stage that its fingerprint hashes: listed settings, contents of files, versions of kdlab's code."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from inspect import isclass, isfunction
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from kdlab.data.image.base import is_off
from kdlab.data.image.npz import when_written
from kdlab.data.module import Addressed
from kdlab.errors import BadInput
from kdlab.jobs.training.hardware import accelerator, device_of_teachers, precision_of_teachers, ranks, thread_count
from kdlab.jobs.training.parts import make_data, make_method
from kdlab.methods.base import Distiller
from kdlab.models import cifar
from kdlab.models.build import SOURCES
from kdlab.settings.targets import find
from kdlab.store.fingerprint import file_hash, fingerprint
from kdlab.store.source import own_code
from kdlab.store.versions import FIRST_NAMES, components, versions

if TYPE_CHECKING:
    from kdlab.jobs.training.stage import Stage

NEUTRAL_DATA = frozenset({"root", "download", "num_workers", "eval_batch_size"})
NEUTRAL_TRAINER = frozenset({"log_every_n_steps", "profiler", "detect_anomaly"})


class DataProperties(NamedTuple):
    """Properties of the data that do not depend on their folder."""

    digest: str
    num_classes: int
    pixels: Mapping[str, Any] | None = None  # see `Addressed.cache_key`; None if the data module has none
    samples: int = 0  # of the training list
    batch_size: int = 0


@cache
def stage_fingerprint(stage: "Stage") -> str:
    """The hash of a stage, which names its folder in the store; equal for stages with the same results, bit for bit."""
    return fingerprint(stage_parts(stage))


def stage_parts(stage: "Stage") -> dict[str, Any]:
    """Everything that a stage depends on; a new key of the config must be added here to change the fingerprint."""
    method = make_method(stage)
    return {
        "network": _network(stage.network, method.roles),
        "data": {**_data(stage.data), "digest": data_properties(stage.data).digest},
        "hardware": _hardware(stage),
        **_code(stage, method),
        **(_training(stage, method) if stage.epochs else {}),
    }


def _training(stage: "Stage", method: Distiller) -> dict[str, Any]:
    """The parts of a stage that is trained, and not only evaluated."""
    return {
        "recipe": {"epochs": stage.epochs, "seed": stage.seed, "optimizer": stage.optimizer},
        "loss": _active(stage.loss, method),
        "scheduler": stage.scheduler,
        "callbacks": stage.callbacks,
        "trainer": _without(stage.trainer, NEUTRAL_TRAINER | set(stage.hardware)),
        "teachers": [
            [stage_fingerprint(teacher), weight, _taps(teacher.network, method.teacher_roles)]
            for teacher, weight in stage.teachers
        ],
        "cache": {name: stage.cache.get(name) for name in ("dtype", "top_k")} if stage.teachers else None,
        "peer": _network(stage.peer, method.teacher_roles) if stage.peer else None,
        **({"start": stage.start.settings} if stage.start else {}),
    }


def data_properties(settings: Mapping[str, Any]) -> DataProperties:
    """Properties of the data that settings of the group `data` describe.

    Reads each data set once per process, and a file of arrays again when it was written anew.

    Raises:
        BadInput: a user's own data module has no valid `num_classes`.
    """
    key = json.dumps({**settings, "seed": 0} if "seed" in settings else dict(settings), sort_keys=True)
    return _data_properties(key, tuple(_written(settings)))


@cache
def _data_properties(settings: str, written: tuple[int, ...]) -> DataProperties:
    data = make_data(json.loads(settings))
    data.setup("fit")
    classes = getattr(data, "num_classes", None)
    if not isinstance(classes, int) or classes < 2:
        raise BadInput(
            f"data: {type(data).__name__}.num_classes must be a whole number of at least 2 after setup(), got "
            f"{classes!r}. Set it as an attribute of the data module."
        )
    digest = getattr(data, "digest", None)
    properties = DataProperties(digest() if digest else "", classes)
    if not isinstance(data, Addressed) or (key := data.cache_key()) is None:
        return properties
    return properties._replace(pixels=key, samples=data.list_size, batch_size=data.batch_size)


def _hardware(stage: "Stage") -> dict[str, Any]:
    settings = {**stage.hardware, **{name: stage.trainer[name] for name in stage.hardware if name in stage.trainer}}
    return {
        "accelerator": accelerator(stage),
        "ranks": ranks(stage),
        "threads": thread_count(stage),
        **{name: settings.get(name) for name in ("precision", "channels_last", "compile", "fused")},
        **({"teacher_precision": precision_of_teachers(stage)} if stage.teachers else {}),
        **({"teacher_device": device_of_teachers(stage)} if _on_another_device(stage) else {}),
    }


def _on_another_device(stage: "Stage") -> bool:
    """Whether frozen teachers compute on another kind of device than the student."""
    return bool(stage.teachers) and device_of_teachers(stage) != accelerator(stage)


def _data(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of data without folders and the like; also of nested data sets."""
    kind = find(settings["_target_"], "data")
    off = {name for name, value in settings.items() if is_off(kind, name, value)}
    kept = _without(settings, NEUTRAL_DATA | _located_by(settings) | off)
    return {name: _data(value) if _is_data(value) else value for name, value in kept.items()}


def _is_data(value: Any) -> bool:
    return isinstance(value, Mapping) and "_target_" in value


def _located_by(settings: Mapping[str, Any]) -> frozenset[str]:
    """The settings that only state where the data lie: their class lists them, since its digest hashes the content."""
    return frozenset(getattr(find(settings["_target_"], "data"), "LOCATED_BY", ()))


def _written(settings: Mapping[str, Any]) -> Iterator[int]:
    """When each file of the data, and of nested data sets, was written."""
    yield from (when_written(settings[name]) for name in sorted(_located_by(settings)))
    for value in settings.values():
        if _is_data(value):
            yield from _written(value)


def _network(settings: Mapping[str, Any], roles: Sequence[str]) -> dict[str, Any]:
    checkpoint = settings.get("checkpoint")
    content = file_hash(Path(checkpoint)) if checkpoint and Path(checkpoint).is_file() else checkpoint
    return {**settings, "checkpoint": content, "taps": _taps(settings, roles)}


def _taps(settings: Mapping[str, Any], roles: Sequence[str]) -> dict[str, Any]:
    """Only the taps that a loss reads."""
    return {role: (settings.get("taps") or {}).get(role) for role in roles}


def _active(loss: Mapping[str, Any], method: Distiller) -> dict[str, Any]:
    """The settings of the loss, without terms that have no weight."""
    active = {term.name for term in method.settings}
    terms = loss.get("terms") or {}
    replaced = active - set(terms)  # a method may replace some terms by its own
    kept = {name: term for name, term in terms.items() if name in active or replaced}
    return {**loss, "_target_": FIRST_NAMES.get(loss["_target_"], loss["_target_"]), "terms": kept}


def _code(stage: "Stage", method: Distiller) -> dict[str, Any]:
    """The code that the stage runs."""
    things = [*network_code(stage.network), *data_code(stage.data)]
    shared = ["evaluation", "networks", *augmentation(stage.data)]
    if stage.epochs:
        things += network_code(stage.peer) if stage.peer else []
        things += _targets([_active(stage.loss, method), stage.optimizer, stage.scheduler, stage.callbacks])
        things += [term.loss for term in method.settings]
        shared += ["training"]
        shared += ["adapters"] if any(term.adapter for term in method.settings) else []
        shared += ["cache", "teachers"] if stage.teachers else []
        shared += [stage.start.kind] if stage.start else []
    return code_parts(things, shared)


def code_parts(things: Sequence[object], shared: Iterable[str]) -> dict[str, Any]:
    """Code as a fingerprint hashes it: `versions` of kdlab's components, and a hash of the user's own `source`.

    Args:
        things: classes and functions that run, and names of the user's modules.
        shared: further components that run.
    """
    own = own_code({thing if isinstance(thing, str) else getattr(thing, "__module__", "") for thing in things})
    used = [components(thing) for thing in things]
    return {"versions": versions({*shared, *own.components}.union(*used)), "source": own.digest}


def augmentation(data: Mapping[str, Any]) -> list[str]:
    """The component that mixes or augments images, where settings of the data turn it on: for `code_parts`."""
    nested = [value for value in data.values() if _is_data(value)]
    settings = getattr(find(data["_target_"], "data"), "OFF", {})
    is_on = any(data.get(name, off) != off for name, off in settings.items())
    return ["augmentation"] if is_on or any(map(augmentation, nested)) else []


def network_code(network: Mapping[str, Any]) -> list[Any]:
    """The function or module that builds a network of kdlab or of the user: for `code_parts`."""
    if network["source"] in ("cifar", cifar.__name__):
        return [getattr(cifar, network["name"], None)]
    return [] if network["source"] in SOURCES else [network["source"]]


def data_code(settings: Mapping[str, Any]) -> list[Any]:
    """The classes of a data set and of its nested data sets: for `code_parts`."""
    return list(_targets(settings))


def _targets(settings: Any) -> Iterator[Any]:
    """The object of every `_target_` in nested settings; if it is no class or function, also the name of its module."""
    if isinstance(settings, Mapping):
        if target := settings.get("_target_"):
            yield (thing := find(target, "_target_"))
            if not isclass(thing) and not isfunction(thing):
                yield target.rpartition(".")[0]
        settings = list(settings.values())
    if isinstance(settings, Sequence) and not isinstance(settings, str):
        for inner in settings:
            yield from _targets(inner)


def _without(settings: Mapping[str, Any], names: frozenset[str]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name not in names}
