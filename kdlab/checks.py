"""What can be known to be wrong before the first stage trains."""

import inspect
from collections.abc import Iterable

import torch
from lightning.pytorch import Trainer

from kdlab.errors import BadInput
from kdlab.stage import Stage, initial_network, make_method
from kdlab.targets import check_arguments, check_known

OWN_TRAINER_KEYS = {
    "max_epochs": "epochs",
    "logger": "logger",
    "callbacks": "callbacks",
    "default_root_dir": "paths.outputs",
    "enable_checkpointing": None,
    "plugins": None,
    "use_distributed_sampler": None,
}


def check_stages(stages: Iterable[Stage]) -> None:
    """Binds every `_target_`, builds every network with its weights, and finds every tap.

    Raises:
        BadInput: the first thing that does not fit.
    """
    for stage in stages:
        check_arguments(stage.optimizer, "optimizer")
        check_arguments(stage.scheduler, "scheduler")
        for name, settings in stage.callbacks.items():
            check_arguments(settings, f"callbacks.{name}")
        _check_trainer(stage)
        _check_taps(stage)
        initial_network(stage)


def _check_trainer(stage: Stage) -> None:
    for key, instead in OWN_TRAINER_KEYS.items():
        if key in stage.trainer:
            hint = f"Set {instead}=… instead." if instead else "Leave it out: kdlab needs its own."
            raise BadInput(f"trainer.{key} belongs to kdlab, got {stage.trainer[key]!r}. {hint}")
    check_known("trainer", stage.trainer, inspect.signature(Trainer).parameters)
    wanted = stage.trainer.get("accelerator", stage.hardware["accelerator"])
    if wanted in ("gpu", "cuda") and not torch.cuda.is_available():
        raise BadInput(f"hardware=gpu needs a CUDA GPU, and torch sees none; got accelerator {wanted!r}. Use hardware=cpu.")


def _check_taps(stage: Stage) -> None:
    for role in make_method(stage).roles:
        sides = {"student": stage, **{"teacher": teacher for teacher, _ in stage.teachers}}
        for side, owner in sides.items():
            if role not in owner.network.get("taps", {}):
                raise BadInput(
                    f"model.{side}.taps.{role} is missing: loss= reads the tap {role!r}, and {owner.network['name']} "
                    f"has {sorted(owner.network.get('taps', {})) or 'none'}. Name a module: model.{side}.taps.{role}=…"
                )
