"""What a stage is made of, as its fingerprint sees it: by inclusion, files by content, kdlab's code by its versions."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from inspect import isclass, isfunction
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from kdlab.data.module import Addressed
from kdlab.errors import BadInput
from kdlab.jobs.training.hardware import accelerator, precision_of_teachers, ranks, thread_count
from kdlab.jobs.training.parts import make_data, make_method
from kdlab.methods.base import Distiller
from kdlab.models import cifar
from kdlab.models.build import SOURCES
from kdlab.settings.targets import find
from kdlab.store.fingerprint import file_hash, fingerprint
from kdlab.store.source import own_code
from kdlab.store.versions import components, versions

if TYPE_CHECKING:
    from kdlab.jobs.training.stage import Stage

NEUTRAL_DATA = frozenset({"root", "download", "num_workers", "eval_batch_size"})
NEUTRAL_TRAINER = frozenset({"log_every_n_steps", "profiler", "detect_anomaly"})


class DataFacts(NamedTuple):
    """What the data are, wherever they lie."""

    digest: str
    num_classes: int
    pixels: Mapping[str, Any] | None = None  # see `Addressed.cache_key`; None where the data do not say
    samples: int = 0  # of the training list
    batch_size: int = 0


@cache
def stage_fingerprint(stage: "Stage") -> str:
    """The hash under which the store knows a stage; equal for stages that would end with the same bits."""
    return fingerprint(stage_parts(stage))


def stage_parts(stage: "Stage") -> dict[str, Any]:
    """All that a stage depends on, by inclusion: a new key of the config counts only once it is named here."""
    method = make_method(stage)
    return {
        "network": _network(stage.network, method.roles),
        "data": {**_data(stage.data), "digest": data_facts(stage.data).digest},
        "hardware": _hardware(stage),
        **_code(stage, method),
        **(_training(stage, method) if stage.epochs else {}),
    }


def _training(stage: "Stage", method: Distiller) -> dict[str, Any]:
    """What matters only where there is something to train."""
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
    }


def data_facts(settings: Mapping[str, Any]) -> DataFacts:
    """Reads the data that settings of the group `data` describe, once per process.

    Raises:
        BadInput: a data module of the user's does not say how many classes it has.
    """
    return _data_facts(json.dumps({**settings, "seed": 0} if "seed" in settings else dict(settings), sort_keys=True))


@cache
def _data_facts(settings: str) -> DataFacts:
    data = make_data(json.loads(settings))
    data.setup("fit")
    classes = getattr(data, "num_classes", None)
    if not isinstance(classes, int) or classes < 2:
        raise BadInput(
            f"data: {type(data).__name__}.num_classes must be a whole number of at least 2 after setup(), got "
            f"{classes!r}. Set it as an attribute of the data module."
        )
    digest = getattr(data, "digest", None)
    facts = DataFacts(digest() if digest else "", classes)
    if not isinstance(data, Addressed) or (key := data.cache_key()) is None:
        return facts
    return facts._replace(pixels=key, samples=data.list_size, batch_size=data.batch_size)


def _hardware(stage: "Stage") -> dict[str, Any]:
    settings = {**stage.hardware, **{name: stage.trainer[name] for name in stage.hardware if name in stage.trainer}}
    return {
        "accelerator": accelerator(stage),
        "ranks": ranks(stage),
        "threads": thread_count(stage),
        **{name: settings.get(name) for name in ("precision", "channels_last", "compile", "fused")},
        **({"teacher_precision": precision_of_teachers(stage)} if stage.teachers else {}),
    }


def _data(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of data but for where they lie; likewise of the sets that others are made of."""
    kept = _without(settings, NEUTRAL_DATA)
    return {
        name: _data(value) if isinstance(value, Mapping) and "_target_" in value else value
        for name, value in kept.items()
    }


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
    replaced = active - set(terms)  # a method may put terms of its own in the place of some
    kept = {name: term for name, term in terms.items() if name in active or replaced}
    return {**loss, "terms": kept}


def _code(stage: "Stage", method: Distiller) -> dict[str, Any]:
    """The code that the stage runs."""
    things = [*network_code(stage.network), *data_code(stage.data)]
    shared = ["evaluation", "networks"]
    if stage.epochs:
        things += network_code(stage.peer) if stage.peer else []
        things += _targets([_active(stage.loss, method), stage.optimizer, stage.scheduler, stage.callbacks])
        things += [term.loss for term in method.settings]
        shared += ["training"]
        shared += ["adapters"] if any(term.adapter for term in method.settings) else []
        shared += ["cache", "teachers"] if stage.teachers else []
    return code_parts(things, shared)


def code_parts(things: Sequence[object], shared: Iterable[str]) -> dict[str, Any]:
    """Code as a fingerprint sees it: `versions` of kdlab's components, and a hash of the user's own `source`.

    Args:
        things: classes and functions that run, and names of the user's modules.
        shared: components that run whatever the things are.
    """
    own = own_code({thing if isinstance(thing, str) else getattr(thing, "__module__", "") for thing in things})
    used = [components(thing) for thing in things]
    return {"versions": versions({*shared, *own.components}.union(*used)), "source": own.digest}


def network_code(network: Mapping[str, Any]) -> list[Any]:
    """What makes a network, where that is kdlab's or the user's own: for `code_parts`."""
    if network["source"] in ("cifar", cifar.__name__):
        return [getattr(cifar, network["name"], None)]
    return [] if network["source"] in SOURCES else [network["source"]]


def data_code(settings: Mapping[str, Any]) -> list[Any]:
    """The classes of a data set and of those that it is made of: for `code_parts`."""
    return list(_targets(settings))


def _targets(settings: Any) -> Iterator[Any]:
    """What every `_target_` in nested settings names; of a value, the module that it stands in as well."""
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
