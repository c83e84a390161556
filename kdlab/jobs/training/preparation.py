"""Everything a method needs before its first step: networks, frozen teachers, probed terms, a recipe."""

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
    specs: Sequence[CacheSpec] = (),
    *,
    data: LightningDataModule | None = None,
) -> None:
    """Gives a method its student, its teachers and its recipe.

    Args:
        method: of `make_method`.
        network: the student.
        stage: all that is said of it.
        loads: what makes the networks of `stage.teachers`, in order; called only where one is needed.
        specs: of their cached outputs, in order; used where no term reads maps. Without any they are computed at
            every step.
        data: see `build_context`.
    """
    loads = [cache(load) for load in loads]
    peers: list[Load] = [cache(partial(initial_peer, stage))] if stage.peer else []
    context = build_context(method, network, stage, [*loads, *peers], data)
    method.build_terms(context, stage.seed)
    frozen = frozen_teachers(method, stage, loads, specs, context)
    beside = [Peer(load(), _taps(stage.peer or {}, method.teacher_roles)) for load in peers]
    method.prepare(
        network,
        [*frozen, *beside],
        optimizer=build(with_fused(stage), "optimizer"),
        scheduler=partial(_schedule, build(stage.scheduler, "scheduler"), method),
        taps=stage.network.get("taps"),
        seed=stage.seed,
        optimizer_setting=f"{recipe(stage)}optimizer",
    )
    if mode := stage.hardware.get("compile"):
        network.module.compile(mode=None if mode is True else mode)


def recipe(stage: "Stage") -> str:
    """What the config keys of the stage's optimizer, scheduler and epochs begin with."""
    return f"{stage.setting}.train." if stage.setting.startswith("model.teacher") else ""


def with_fused(stage: "Stage") -> dict[str, Any]:
    """Settings of the optimizer with what `hardware.fused` says; `optimizer.fused` wins over it."""
    return {**({"fused": True} if stage.hardware.get("fused") else {}), **stage.optimizer}


def frozen_teachers(
    method: Distiller, stage: "Stage", loads: Sequence[Load], specs: Sequence[CacheSpec], context: BuildContext
) -> Sequence[Teacher]:
    """The teachers that other stages trained; with specs, and where no term reads maps, their outputs are cached.

    Args:
        method: that learns from them.
        stage: names their taps.
        loads: what makes their networks, in order.
        specs: of their cached outputs, in order, or none.
        context: of `build_context`.
    """
    wanted: dict[str, Any] = {
        "roles": method.teacher_roles,
        "logits": method.reads_teacher_logits,
        "precision": stage.hardware.get("teacher_precision", "auto"),
    }
    frozen = [
        FrozenTeacher(load, weight=weight, taps=teacher.network.get("taps"), **wanted)
        for (teacher, weight), load in zip(stage.teachers, loads, strict=True)
    ]
    if not specs or _reads_maps(context):
        return frozen
    return [CachedTeacher(teacher, spec) for teacher, spec in zip(frozen, specs, strict=True)]


def _reads_maps(context: BuildContext) -> bool:
    """Whether more than logits and vectors is wanted of a teacher: too much to be stored of each image."""
    return any(len(shape) > 1 for shapes in context.teachers for shape in shapes.values())


def build_context(
    method: Distiller,
    network: Network,
    stage: "Stage",
    others: Sequence[Load],
    data: LightningDataModule | None = None,
) -> BuildContext:
    """What the method's terms are built from: networks whose taps they read are probed with a sample of the data.

    Args:
        method: whose taps are looked at; without any, the data are not read.
        network: the student.
        stage: names the taps of all networks.
        others: what loads the teachers, in order, or the peer.
        data: the stage's, where they are at hand and may be set up more than once.
    """
    classes = int(stage.network["num_classes"])
    if not method.looks_inside:
        return BuildContext({}, [{} for _ in others], classes)
    data = data or build(stage.data, "data")
    data.setup("fit")
    batch = one_sample(data)
    networks, task = [settings for _, settings in stage.teacher_networks], task_of(data)
    return BuildContext(
        student=_shapes(lambda: network, stage.network, method.roles, batch, task),
        teachers=[
            _shapes(other, settings, method.teacher_roles, batch, task)
            for other, settings in zip(others, networks, strict=True)
        ],
        num_classes=classes,
        sample_labels=getattr(data, "sample_labels", None),
    )


def one_sample(data: LightningDataModule) -> Batch:
    """One sample that is trained on, as a batch of one.

    Args:
        data: set up; of kdlab's own sets a single sample is read, of others a batch.
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
    """Module paths of a network's, by role."""
    taps = settings.get("taps") or {}
    return {role: taps[role] for role in roles}


def make_scheduler(make: Callable[..., Any], optimizer: Optimizer, steps: int) -> Any:
    """A scheduler for a training of so many steps; one that counts epochs is not told.

    torch's OneCycleLR divides by the steps of its warm-up less one. A warm-up of exactly one step, such as a fifth of
    five, is therefore made longer by a billionth: it begins at the initial learning rate, like every longer one.

    Args:
        make: what the group `scheduler` describes, without its optimizer.
        optimizer: whose learning rate it moves.
        steps: of the whole training.

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
        raise ValueError("pct_start must be below 1, for a learning rate that comes down again")
    changes = {"pct_start": warm_up * (1 + 1e-9)} if warm_up * steps == 1 else {}
    return make(optimizer, total_steps=steps, **changes)


def _schedule(make: Callable[..., Any], method: Distiller, optimizer: Optimizer) -> dict[str, Any]:
    """A scheduler that counts `total_steps` moves every step, any other one every epoch."""
    if "total_steps" not in inspect.signature(make).parameters:
        return {"scheduler": make_scheduler(make, optimizer, 0), "interval": "epoch"}
    steps = int(method.trainer.estimated_stepping_batches)
    if steps < 1:
        limit = method.trainer.limit_train_batches
        raise BadInput(
            "scheduler: one that counts steps needs a known number of them, 1 or more; got none, with "
            f"trainer.limit_train_batches={limit}. Set it to a number of batches, or scheduler=constant."
        )
    return {"scheduler": make_scheduler(make, optimizer, steps), "interval": "step"}
