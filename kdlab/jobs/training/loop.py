"""Trains one stage, from its last checkpoint or from the start."""

from collections.abc import Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from lightning.pytorch import Callback

from kdlab.jobs.training.checkpointing import KeepLast, Report, unreported
from kdlab.jobs.training.evaluation import evaluate_and_save
from kdlab.jobs.training.hardware import cpu_threads
from kdlab.jobs.training.history import History
from kdlab.jobs.training.parts import make_data, make_method
from kdlab.jobs.training.preparation import initial_network, prepare, teacher_network
from kdlab.jobs.training.trainer import make_trainer
from kdlab.teachers.cache.spec import CacheSpec

if TYPE_CHECKING:
    from kdlab.jobs.training.stage import Stage


def train(
    stage: "Stage",
    folder: Path,
    teachers: Sequence[Path] = (),
    specs: Sequence[CacheSpec] = (),
    *,
    report: Report = unreported,
    callbacks: Sequence[Callback] = (),
) -> dict[str, Any] | None:
    """Trains a stage and leaves its network, predictions and history in `folder`.

    The same stage at the same thread count on a CPU ends with the same bits, however often it was interrupted.

    Args:
        stage: what to train.
        folder: its place in the store.
        teachers: the folders of `stage.teachers`, in order.
        specs: of their cached outputs, in order; without any they are computed at every step.
        report: is told of every step and every row of the metric history; see `KeepLast`.
        callbacks: that watch and change nothing.

    Returns:
        Its figures; None on ranks but the first.
    """
    with cpu_threads(stage.hardware.get("threads")), closing(make_method(stage)) as method:
        data, network = make_data(stage.data), initial_network(stage)
        keep = KeepLast(folder / "last.ckpt", History(), report)
        prepare(method, network, stage, [partial(teacher_network, stage, path) for path in teachers], specs)
        trainer = make_trainer(stage, folder, [*callbacks, keep], keep.history)
        if stage.epochs:
            checkpoint = keep.path if keep.path.is_file() else None
            trainer.fit(method, datamodule=data, ckpt_path=checkpoint, weights_only=True)
        if not trainer.is_global_zero:
            return None
        with torch.compiler.set_stance("force_eager"):
            return evaluate_and_save(stage, folder, network, keep, method)
