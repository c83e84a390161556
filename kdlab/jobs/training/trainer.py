"""Builds the Trainer of a stage."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.strategies import DDPStrategy, Strategy

from kdlab.jobs.training.checkpointing import AtomicCheckpointIO
from kdlab.jobs.training.history import History
from kdlab.settings.targets import build

if TYPE_CHECKING:
    from kdlab.jobs.training.stage import Stage


def make_trainer(stage: "Stage", folder: Path, callbacks: Sequence[Callback], history: History) -> Trainer:
    """A Trainer with kdlab's checkpoints and history; `trainer.*` wins over `hardware=`."""
    hardware = {name: stage.hardware[name] for name in ("accelerator", "devices", "strategy", "precision")}
    options = {**hardware, **stage.trainer}
    chosen = [build(settings, f"callbacks.{name}") for name, settings in stage.callbacks.items()]
    environment = [LightningEnvironment()] if "LOCAL_RANK" in os.environ else []
    return Trainer(
        max_epochs=stage.epochs,
        logger=history,
        callbacks=[*chosen, *callbacks],
        plugins=[AtomicCheckpointIO(), *environment],
        enable_checkpointing=True,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        default_root_dir=folder,
        **{"log_every_n_steps": 1, **options, "strategy": _strategy(options, _has_windows(stage.loss))},
    )


def _strategy(options: Mapping[str, Any], find_unused: bool) -> Strategy | str:
    if options["strategy"] != "ddp":
        return str(options["strategy"])
    on_gpu = options["accelerator"] in ("gpu", "cuda") or (
        options["accelerator"] == "auto" and torch.cuda.is_available()
    )
    backend = "nccl" if on_gpu else "gloo"
    return DDPStrategy(process_group_backend=backend, find_unused_parameters=find_unused)


def _has_windows(loss: Mapping[str, Any]) -> bool:
    """Whether some term is inactive in some epochs, so that its parameters get no gradient there."""
    return any(
        term and (term.get("from_epoch") or term.get("until_epoch")) for term in (loss.get("terms") or {}).values()
    )
