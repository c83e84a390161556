"""Checks of all stages of a plan before the first one trains."""

import copy
import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningDataModule, Trainer
from lightning.pytorch.utilities.seed import isolate_rng
from torch import Tensor, nn

from kdlab.data.batch import Inputs
from kdlab.data.user_module import check_ranks
from kdlab.errors import BadInput, KdlabError, first_line
from kdlab.jobs.checks.step import check_step
from kdlab.jobs.checks.terms import try_terms
from kdlab.jobs.training.hardware import ranks
from kdlab.jobs.training.history import History
from kdlab.jobs.training.parts import make_data, make_method
from kdlab.jobs.training.preparation import (
    build_context,
    initial_network,
    initial_peer,
    make_scheduler,
    one_sample,
    recipe,
    with_fused,
)
from kdlab.jobs.training.stage import Stage, Start
from kdlab.jobs.training.start import change_network
from kdlab.jobs.training.trainer import make_trainer
from kdlab.methods.base import Distiller
from kdlab.methods.terms import BuildContext
from kdlab.models.network import Network
from kdlab.models.taps import Taps, probe
from kdlab.settings.numbers import is_whole
from kdlab.settings.targets import build, check_arguments, check_known, refused
from kdlab.store.fingerprint import fingerprint
from kdlab.teachers.cache.encoding import Encoding
from kdlab.teachers.cache.spec import check_cache
from kdlab.teachers.frozen import Load
from kdlab.teachers.precision import check_teacher_device, teacher_precision

SHOWN = 12  # most module paths in a message
OWN_TRAINER_KEYS = {
    "max_epochs": "epochs",
    "logger": "logger",
    "callbacks": "callbacks",
    "default_root_dir": "paths.outputs",
    "enable_checkpointing": None,
    "plugins": None,
    "use_distributed_sampler": None,
}


def check_stages(stages: Iterable[Stage], finished: Callable[[Stage], bool] = lambda stage: False) -> None:
    """Binds every `_target_`; for each unfinished stage, runs the network with its weights on one sample of its data,
    and finds each tap. The state of random generators does not change.

    Raises:
        BadInput: for the first setting that does not fit.
    """
    built = _Built()
    with isolate_rng(include_cuda=False):
        for stage in stages:
            _check_targets(stage)
            _check_trainer(stage)
            _check_recipe(stage)
            built.try_trainer(stage)
            _check_checkpoint(stage)
            _check_cache(stage)
            if not finished(stage):
                _check_ranks(stage, built)
                _check_network(stage, built)


def _check_targets(stage: Stage) -> None:
    check_arguments(stage.optimizer, f"{recipe(stage)}optimizer")
    check_arguments(stage.scheduler, f"{recipe(stage)}scheduler")
    for name, settings in stage.callbacks.items():
        check_arguments(settings, f"callbacks.{name}")


def _check_trainer(stage: Stage) -> None:
    for key, instead in OWN_TRAINER_KEYS.items():
        if key in stage.trainer:
            hint = f"Set {instead}=… instead." if instead else "Leave it out: kdlab needs its own."
            raise BadInput(f"trainer.{key} belongs to kdlab, got {stage.trainer[key]!r}. {hint}")
    check_known("trainer", stage.trainer, inspect.signature(Trainer).parameters)
    threads = stage.hardware.get("threads")
    if threads is not None and (not isinstance(threads, int) or threads < 1):
        raise BadInput(
            f"hardware.threads must be a whole number, 1 or more, or null for torch's choice; got {threads!r}."
        )
    check_teacher_device(stage.hardware.get("teacher_device"))
    teacher_precision(stage.hardware.get("teacher_precision", "auto"), "cpu")
    _check_jobs_per_gpu(stage)
    check_step(stage)
    key = "trainer.accelerator" if "accelerator" in stage.trainer else "hardware.accelerator"
    requested = stage.trainer.get("accelerator", stage.hardware["accelerator"])
    if requested in ("gpu", "cuda") and not torch.cuda.is_available():
        raise BadInput(
            f"{key} needs a CUDA GPU, and torch sees none; got {requested!r}. Use hardware=cpu, or hardware=auto."
        )


def _check_jobs_per_gpu(stage: Stage) -> None:
    jobs, devices = stage.hardware.get("jobs_per_gpu"), stage.trainer.get("devices", stage.hardware["devices"])
    if jobs is None:
        return
    if not is_whole(jobs, 1):
        raise BadInput(f"hardware.jobs_per_gpu must be a whole number, 1 or more, or null for no limit; got {jobs!r}.")
    if devices != 1:
        raise BadInput(
            f"hardware.jobs_per_gpu assigns each stage one GPU, so devices must be 1; got devices={devices}. "
            "Set trainer.devices=1, or hardware.jobs_per_gpu=null."
        )


def _check_recipe(stage: Stage) -> None:
    """Builds the optimizer, the scheduler and the callbacks once; their errors become `BadInput`."""
    parameters = [nn.Parameter(torch.zeros(1))]
    optimizer = _build_checked(f"{recipe(stage)}optimizer", with_fused(stage), lambda make: make(parameters))
    _build_checked(f"{recipe(stage)}scheduler", stage.scheduler, lambda make: make_scheduler(make, optimizer, 100))
    for name, settings in stage.callbacks.items():
        build(settings, f"callbacks.{name}")


def _build_checked(setting: str, settings: Mapping[str, Any], use: Callable[[Any], Any]) -> Any:
    make = build(settings, setting)
    try:
        return use(make)
    except Exception as error:  # optimizers of torch and of users raise errors of any type
        given = {name: value for name, value in settings.items() if not name.startswith("_")}
        raise refused(setting, settings["_target_"], given, error) from error


def _check_checkpoint(stage: Stage) -> None:
    path = stage.network.get("checkpoint")
    if path is not None and not isinstance(path, str):
        raise BadInput(f"{stage.setting}.checkpoint must be the path of a file, or null; got {path!r}.")


def _check_cache(stage: Stage) -> None:
    check_cache(stage.cache)
    Encoding((int(stage.network["num_classes"]),), (), stage.cache["dtype"], stage.cache["top_k"])


class _Built:
    """The networks, data and Trainers of a plan: each distinct one is built once, and each network runs once."""

    def __init__(self) -> None:
        self._trainers: set[str] = set()
        self._networks: dict[str, Network] = {}
        self._data: dict[str, LightningDataModule] = {}

    def try_trainer(self, stage: Stage) -> None:
        """Builds the stage's Trainer; its errors become `BadInput`."""
        given = {name: stage.hardware[name] for name in ("accelerator", "devices", "strategy", "precision")}
        settings = {**given, **stage.trainer}
        key = fingerprint({**settings, "callbacks": stage.callbacks})
        if key in self._trainers:
            return
        self._trainers.add(key)
        try:
            make_trainer(stage, Path(), [], History())
        except KdlabError:
            raise
        except Exception as error:  # Lightning raises errors of any type
            raise refused("hardware or trainer", "lightning.Trainer", settings, error) from error

    def network(self, stage: Stage) -> Network:
        """The stage's network with its initial weights, after a forward pass on a sample of the stage's data."""
        if stage.start:
            return self._changed_network(stage.start)
        return self._checked_network(stage, stage.setting, stage.network, initial_network)

    def _changed_network(self, start: Start) -> Network:
        """What a stage starts with, but from weights that are not trained: the shapes are the same."""
        key = fingerprint({"start": start.settings})
        if key not in self._networks:
            network, example = copy.deepcopy(self.network(start.stage)), one_sample(self.data(start.stage)).inputs
            change_network(network, start, example)
            self._networks[key] = network
        return self._networks[key]

    def peer(self, stage: Stage) -> Network:
        """The same for the network of the stage's `peer`; call it only for a stage that has one."""
        return self._checked_network(stage, "model.teacher", stage.peer or {}, initial_peer)

    def data(self, stage: Stage) -> LightningDataModule:
        """The stage's data, set up."""
        key = fingerprint({name: value for name, value in stage.data.items() if name != "seed"})
        if key not in self._data:
            self._data[key] = make_data(stage.data)
            self._data[key].setup("fit")
        return self._data[key]

    def _checked_network(
        self, stage: Stage, setting: str, settings: Mapping[str, Any], make: Callable[[Stage], Network]
    ) -> Network:
        key = fingerprint({"network": settings, "channels_last": stage.hardware.get("channels_last")})
        if key not in self._networks:
            network = make(stage)
            _check_forward(setting, settings, network, one_sample(self.data(stage)).inputs)
            self._networks[key] = network
        return self._networks[key]


def _check_ranks(stage: Stage, built: _Built) -> None:
    """Checks that several ranks can share the data, before the ranks start."""
    if stage.epochs and (count := ranks(stage)) > 1:
        check_ranks(built.data(stage), count)


def _check_network(stage: Stage, built: _Built) -> None:
    """Builds the network with its weights, and runs the terms on features of its and its teachers' shapes."""
    network, method = built.network(stage), make_method(stage)
    _check_terms(stage, method)
    if stage.peer:
        built.peer(stage)
    if stage.epochs:
        try_terms(method, _context(stage, method, network, built))


def _check_forward(setting: str, settings: Mapping[str, Any], network: Network, example: Inputs) -> None:
    try:
        probe(network, {}, example)
    except KdlabError as error:
        message = re.sub(r"(?<![\w.])(?=(kwargs|image_size)\b)", f"{setting}.", str(error))
        raise BadInput(message if message.startswith(setting) else f"{setting}: {message}") from error
    except Exception as error:  # networks raise errors of any type
        raise BadInput(
            f"{setting}: {settings['name']} cannot take {_described(example)}, a sample of the data: "
            f"{first_line(error).rstrip('.')}. Choose another network, or set {setting}.kwargs, or "
            f"{setting}.image_size=… to resize the images for it."
        ) from error


def _described(example: Inputs) -> str:
    if isinstance(example, Tensor):
        return f"a tensor of {'x'.join(map(str, example.shape[1:]))}"
    return ", ".join(f"{name} of {'x'.join(map(str, tensor.shape[1:]))}" for name, tensor in example.items())


def _context(stage: Stage, method: Distiller, network: Network, built: _Built) -> BuildContext:
    """The build context of the terms, after a check of every tap; terms on logits only get one nominal teacher."""
    if not method.needs_probe:
        return BuildContext({}, [{}], int(stage.network["num_classes"]))
    teachers: list[Load] = [partial(built.network, teacher) for teacher in stage.teacher_stages]
    teachers += [partial(built.peer, stage)] if stage.peer else []
    _check_roles(stage.setting, stage.network, network, method.roles)
    for (setting, settings), load in zip(stage.teacher_networks, teachers, strict=True):
        _check_roles(setting, settings, load(), method.teacher_roles)
    return build_context(method, network, stage, teachers, built.data(stage))


def _check_terms(stage: Stage, method: Distiller) -> None:
    for epoch in range(stage.epochs):
        if not any(term.weight_at(epoch) for term in method.settings):
            raise BadInput(
                f"loss.terms: in every epoch some term must count, and none does in epoch {epoch} (from 0) of "
                f"{stage.epochs}. Change from_epoch or until_epoch of one."
            )


def _check_roles(setting: str, settings: Mapping[str, Any], network: Network, roles: Iterable[str]) -> None:
    taps = settings.get("taps") or {}
    for role in roles:
        if role not in taps:
            raise BadInput(
                f"{setting}.taps.{role} is missing: loss= reads the tap {role!r}, and {settings['name']} has "
                f"{', '.join(taps) or 'none'}. Name one of its modules, such as {', '.join(_modules(network.module))}: "
                f"{setting}.taps.{role}=…"
            )
    Taps(network.module, {role: taps[role] for role in roles}).remove()


def _modules(module: nn.Module) -> list[str]:
    """Module paths of a network's larger parts, in order: its children, and the children of plain sequences."""
    paths: list[str] = []
    for name, child in module.named_children():
        inner = child.named_children() if isinstance(child, nn.Sequential | nn.ModuleList) else ()
        paths += [name, *(f"{name}.{part}" for part, _ in inner)]
    return [path for path in paths if not isinstance(module.get_submodule(path), nn.ModuleList)][:SHOWN]
