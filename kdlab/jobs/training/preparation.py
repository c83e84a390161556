"""Everything a method needs before its first step: networks, frozen teachers, probed terms, a recipe."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch.optim import Optimizer

from kdlab.data.batch import Batch
from kdlab.data.seeds import Stream, derive_seed
from kdlab.methods.base import Distiller, Teacher
from kdlab.methods.mutual_learning import MutualLearning
from kdlab.methods.terms import Facts, Shapes
from kdlab.models.network import Network
from kdlab.models.saved import load_network, make_network
from kdlab.models.taps import probe
from kdlab.settings.targets import build
from kdlab.tasks.base import Task, task_of
from kdlab.teachers.cache.spec import Place
from kdlab.teachers.cache.teacher import CachedTeacher
from kdlab.teachers.frozen import FrozenTeacher, Load

if TYPE_CHECKING:
    from kdlab.jobs.training.stage import Stage


def initial_network(stage: "Stage") -> Network:
    """The stage's network with the weights it starts from: given ones, or random ones that depend on its seed alone."""
    return _drawn(stage, stage.network, stage.setting)


def initial_peer(stage: "Stage") -> Network:
    """The network that is trained beside the stage's own; the stage has a `peer`."""
    return _drawn(stage, stage.peer or {}, "model.teacher", 1)


def _drawn(stage: "Stage", settings: Mapping[str, Any], setting: str, *counters: int) -> Network:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(Stream.WEIGHTS, stage.seed, *counters))
        channels_last = bool(stage.hardware.get("channels_last"))
        return make_network(settings, channels_last=channels_last, setting=setting)


def teacher_network(stage: "Stage", folder: Path) -> Network:
    """The network that one of the stage's teachers left in its folder."""
    return load_network(folder, channels_last=bool(stage.hardware.get("channels_last")))


def prepare(
    method: Distiller,
    network: Network,
    stage: "Stage",
    loads: Sequence[Load] = (),
    places: Sequence[Place] = (),
) -> None:
    """Gives a method its student, its frozen teachers, its peer and its recipe.

    Args:
        method: of `make_method`.
        network: the student.
        stage: all that is said of it.
        loads: what makes the networks of `stage.teachers`, in order; called only where one is asked.
        places: of their answers, in order; used where no term reads maps. Without any they are asked at every step.
    """
    loads = [cache(load) for load in loads]
    peers: list[Load] = [cache(partial(initial_peer, stage))] if stage.peer else []
    facts = term_facts(method, network, stage, [*loads, *peers])
    method.build_terms(facts, stage.seed)
    if stage.peer and isinstance(method, MutualLearning):
        method.join(peers[0](), stage.peer.get("taps"))
    method.prepare(
        network,
        teachers(method, stage, loads, places, facts),
        optimizer=build(with_fused(stage), "optimizer"),
        scheduler=partial(_schedule, build(stage.scheduler, "scheduler"), method),
        taps=stage.network.get("taps"),
        seed=stage.seed,
    )
    if mode := stage.hardware.get("compile"):
        network.module.compile(mode=None if mode is True else mode)


def with_fused(stage: "Stage") -> dict[str, Any]:
    """Settings of the optimizer with what `hardware.fused` says; `optimizer.fused` wins over it."""
    return {**({"fused": True} if stage.hardware.get("fused") else {}), **stage.optimizer}


def teachers(
    method: Distiller, stage: "Stage", loads: Sequence[Load], places: Sequence[Place], facts: Facts
) -> Sequence[Teacher]:
    """The frozen teachers of a stage; where no term reads maps and there are places, those that store their answers.

    Args:
        method: that asks them.
        stage: names their taps.
        loads: what makes their networks, in order.
        places: of their answers, in order, or none.
        facts: of `term_facts`.
    """
    asked: dict[str, Any] = {
        "roles": method.teacher_roles,
        "logits": method.reads_teacher_logits,
        "precision": stage.hardware.get("teacher_precision", "auto"),
    }
    frozen = [
        FrozenTeacher(load, weight=weight, taps=teacher.network.get("taps"), **asked)
        for (teacher, weight), load in zip(stage.teachers, loads, strict=True)
    ]
    if not places or _reads_maps(facts):
        return frozen
    return [CachedTeacher(teacher, place) for teacher, place in zip(frozen, places, strict=True)]


def _reads_maps(facts: Facts) -> bool:
    """Whether more than logits and vectors is wanted of a teacher: too much to be stored of each image."""
    return any(len(shape) > 1 for shapes in facts.teachers for shape in shapes.values())


def term_facts(method: Distiller, network: Network, stage: "Stage", others: Sequence[Load]) -> Facts:
    """What the method's terms are built from: networks whose taps they read are probed with a sample of the data.

    Args:
        method: whose taps are looked at; without any, the data are not read.
        network: the student.
        stage: names the taps of all networks.
        others: what loads the teachers, in order, or the peer.
    """
    classes = int(stage.network["num_classes"])
    if not method.looks_inside:
        return Facts({}, [{} for _ in others], classes)
    data = build(stage.data, "data")
    data.setup("fit")
    batch = Batch.of(next(iter(data.train_dataloader())))
    answering = [stage.peer] if stage.peer else [teacher.network for teacher, _ in stage.teachers]
    roles = method.roles if stage.peer else method.teacher_roles
    task = task_of(data)
    return Facts(
        student=_shapes(lambda: network, stage.network, method.roles, batch, task),
        teachers=[
            _shapes(other, settings, roles, batch, task) for other, settings in zip(others, answering, strict=True)
        ],
        num_classes=classes,
        sample_labels=getattr(data, "sample_labels", None),
    )


def _shapes(load: Load, settings: Mapping[str, Any], roles: Sequence[str], batch: Batch, task: Task) -> Shapes:
    if not roles:
        return {}
    taps = settings.get("taps") or {}
    shapes = probe(load(), {role: taps[role] for role in roles}, batch.sample(0))
    return {role: task.feature_shape(shape, batch.targets[:1]) for role, shape in shapes.items()}


def _schedule(make: Callable[..., Any], method: Distiller, optimizer: Optimizer) -> dict[str, Any]:
    """A scheduler that counts `total_steps` moves every step, any other one every epoch."""
    if "total_steps" not in inspect.signature(make).parameters:
        return {"scheduler": make(optimizer), "interval": "epoch"}
    steps = int(method.trainer.estimated_stepping_batches)
    return {"scheduler": make(optimizer, total_steps=steps), "interval": "step"}
