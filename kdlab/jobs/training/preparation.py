"""Prepares a method for its first step: networks, frozen teachers, probed terms, optimizer and scheduler."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from lightning.pytorch import LightningDataModule
from torch.optim import Optimizer
from torch.optim.lr_scheduler import OneCycleLR

from kdlab.data.batch import Batch
from kdlab.data.module import StreamData
from kdlab.data.seeds import Stream, derive_seed
from kdlab.errors import BadInput
from kdlab.methods.base import Distiller
from kdlab.methods.terms import BuildContext, Shapes
from kdlab.models.network import Network
from kdlab.models.saved import load_network, make_network
from kdlab.models.taps import probe
from kdlab.settings.targets import build
from kdlab.tasks.base import Task, task_of
from kdlab.teachers.cache.spec import CacheSpec
from kdlab.teachers.cache.teacher import CachedTeacher
from kdlab.teachers.frozen import FrozenTeacher, Load
from kdlab.teachers.peer import Peer
from kdlab.teachers.protocol import Teacher

if TYPE_CHECKING:
    from kdlab.jobs.training.stage import Stage


def initial_network(stage: "Stage") -> Network:
    """The stage's network with its initial weights: given ones, or random ones that depend on its seed alone."""
    return _seeded_network(stage, stage.network, stage.setting)


def initial_peer(stage: "Stage") -> Network:
    """The network of the stage's `peer` with its initial weights; call it only for a stage that has one."""
    return _seeded_network(stage, stage.peer or {}, "model.teacher", 1)


def _seeded_network(stage: "Stage", settings: Mapping[str, Any], setting: str, *counters: int) -> Network:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(Stream.WEIGHTS, stage.seed, *counters))
        channels_last = bool(stage.hardware.get("channels_last"))
        return make_network(settings, channels_last=channels_last, setting=setting)


def teacher_network(stage: "Stage", folder: Path) -> Network:
    """Loads the network of one of the stage's teachers from the teacher's folder."""
    return load_network(folder, channels_last=bool(stage.hardware.get("channels_last")))


def prepare(
    method: Distiller,
    network: Network,
    stage: "Stage",
    loads: Sequence[Load] = (),
    specs: Sequence[CacheSpec] = (),
    *,
    data: LightningDataModule | None = None,
) -> None:
    """Gives a method its student, its teachers and its recipe.

    Args:
        method: of `make_method`.
        network: the student.
        stage: its settings.
        loads: functions that load the networks of `stage.teachers`, in order; called only when one is needed.
        specs: their cache specs, in order; used if no term reads maps. Without any the outputs are computed at every
            step.
        data: see `build_context`.
    """
    loads = [cache(load) for load in loads]
    peers: list[Load] = [cache(partial(initial_peer, stage))] if stage.peer else []
    context = build_context(method, network, stage, [*loads, *peers], data)
    method.build_terms(context, stage.seed)
    frozen = frozen_teachers(method, stage, loads, specs, context)
    peer_teachers = [Peer(load(), _taps(stage.peer or {}, method.teacher_roles)) for load in peers]
    method.prepare(
        network,
        [*frozen, *peer_teachers],
        optimizer=build(with_fused(stage), "optimizer"),
        scheduler=partial(_schedule, build(stage.scheduler, "scheduler"), method),
        taps=stage.network.get("taps"),
        seed=stage.seed,
        optimizer_setting=f"{recipe(stage)}optimizer",
    )
    if mode := stage.hardware.get("compile"):
        network.module.compile(mode=None if mode is True else mode)


def recipe(stage: "Stage") -> str:
    """The prefix of the config keys of the stage's optimizer, scheduler and epochs."""
    own = stage.setting.startswith("model.teacher") and not stage.start
    return f"{stage.setting}.train." if own else ""


def with_fused(stage: "Stage") -> dict[str, Any]:
    """Settings of the optimizer, with `fused` from `hardware.fused`; `optimizer.fused` wins over it."""
    return {**({"fused": True} if stage.hardware.get("fused") else {}), **stage.optimizer}


def frozen_teachers(
    method: Distiller, stage: "Stage", loads: Sequence[Load], specs: Sequence[CacheSpec], context: BuildContext
) -> Sequence[Teacher]:
    """The frozen teachers of a stage; with cache specs, and if no term reads maps, they read and fill the cache.

    Args:
        method: the method whose terms read them.
        stage: has their weights and taps.
        loads: functions that load their networks, in order.
        specs: their cache specs, in order, or none.
        context: of `build_context`.
    """
    options: dict[str, Any] = {
        "roles": method.teacher_roles,
        "logits": method.reads_teacher_logits,
        "precision": stage.hardware.get("teacher_precision", "auto"),
        "device": stage.hardware.get("teacher_device"),
    }
    frozen = [
        FrozenTeacher(load, weight=weight, taps=teacher.network.get("taps"), **options)
        for (teacher, weight), load in zip(stage.teachers, loads, strict=True)
    ]
    if not specs or _reads_maps(context):
        return frozen
    return [CachedTeacher(teacher, spec) for teacher, spec in zip(frozen, specs, strict=True)]


def _reads_maps(context: BuildContext) -> bool:
    """Whether a term reads more than logits and vectors of a teacher: too much to cache for each image."""
    return any(len(shape) > 1 for shapes in context.teachers for shape in shapes.values())


def build_context(
    method: Distiller,
    network: Network,
    stage: "Stage",
    teachers: Sequence[Load],
    data: LightningDataModule | None = None,
) -> BuildContext:
    """The build context of the method's terms: networks whose taps they read are probed with a sample of the data.

    Args:
        method: the method; unless it has `needs_probe`, the data are not read.
        network: the student.
        stage: has the taps of all networks.
        teachers: functions that load the networks of the teachers, in order, and of the peer.
        data: the stage's data module, if it is built already and `setup` may be called again.
    """
    classes = int(stage.network["num_classes"])
    if not method.needs_probe:
        return BuildContext({}, [{} for _ in teachers], classes)
    data = data or build(stage.data, "data")
    data.setup("fit")
    batch = one_sample(data)
    networks, task = [settings for _, settings in stage.teacher_networks], task_of(data)
    return BuildContext(
        student=_shapes(lambda: network, stage.network, method.roles, batch, task),
        teachers=[
            _shapes(load, settings, method.teacher_roles, batch, task)
            for load, settings in zip(teachers, networks, strict=True)
        ],
        num_classes=classes,
        sample_labels=getattr(data, "sample_labels", None),
    )


def one_sample(data: LightningDataModule) -> Batch:
    """One training sample, as a batch of one.

    Args:
        data: after `setup`; kdlab's own data sets read a single sample, others a batch.
    """
    loader = data.train_dataloader()
    if isinstance(data, StreamData):
        return next(data.fetch("train", [data.batches(0)[0].select(torch.tensor([0]))]))
    batch = Batch.of(next(iter(loader)))
    return Batch(batch.sample(0), batch.targets[:1])


def _shapes(load: Load, settings: Mapping[str, Any], roles: Sequence[str], batch: Batch, task: Task) -> Shapes:
    if not roles:
        return {}
    shapes = probe(load(), _taps(settings, roles), batch.inputs)
    return {role: task.feature_shape(shape, batch.targets[:1]) for role, shape in shapes.items()}


def _taps(settings: Mapping[str, Any], roles: Sequence[str]) -> dict[str, str]:
    """Module paths of a network, by role."""
    taps = settings.get("taps") or {}
    return {role: taps[role] for role in roles}


def make_scheduler(make: Callable[..., Any], optimizer: Optimizer, steps: int) -> Any:
    """Builds a scheduler, with the number of steps if it has an argument `total_steps`.

    torch's OneCycleLR divides by its number of warm-up steps minus one. A warm-up of exactly one step, such as a fifth
    of five, is therefore made longer by a billionth: it starts at the initial learning rate, like every longer one.

    Args:
        make: the scheduler of the group `scheduler`, as a function of the optimizer.
        optimizer: its learning rate is scheduled.
        steps: number of steps of the whole training.

    Raises:
        ValueError: OneCycleLR would divide by zero at the end of its cycle.
    """
    parameters = inspect.signature(make).parameters
    if "total_steps" not in parameters:
        return make(optimizer)
    if getattr(make, "func", make) is not OneCycleLR:
        return make(optimizer, total_steps=steps)
    warm_up = parameters["pct_start"].default
    if warm_up == 1.0:
        raise ValueError("pct_start must be below 1, so that the learning rate decreases after the warm-up")
    changes = {"pct_start": warm_up * (1 + 1e-9)} if warm_up * steps == 1 else {}
    return make(optimizer, total_steps=steps, **changes)


def _schedule(make: Callable[..., Any], method: Distiller, optimizer: Optimizer) -> dict[str, Any]:
    """Lightning's scheduler settings: one with an argument `total_steps` moves every step, any other every epoch."""
    if "total_steps" not in inspect.signature(make).parameters:
        return {"scheduler": make_scheduler(make, optimizer, 0), "interval": "epoch"}
    steps = int(method.trainer.estimated_stepping_batches)
    if steps < 1:
        limit = method.trainer.limit_train_batches
        raise BadInput(
            "scheduler: one that counts steps needs a known number of steps, 1 or more; got none, with "
            f"trainer.limit_train_batches={limit}. Set it to a number of batches, or scheduler=constant."
        )
    return {"scheduler": make_scheduler(make, optimizer, steps), "interval": "step"}
