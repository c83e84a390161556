"""Trains one stage, from its last checkpoint or from the start."""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from lightning.pytorch import Callback

from kdlab.data.module import Addressed
from kdlab.data.user_module import shard_loader
from kdlab.jobs.training.checkpointing import KeepLast, Report, no_report
from kdlab.jobs.training.evaluation import evaluate_and_save
from kdlab.jobs.training.hardware import cpu_threads
from kdlab.jobs.training.history import History
from kdlab.jobs.training.parts import make_data, make_method
from kdlab.jobs.training.preparation import initial_network, prepare, teacher_network
from kdlab.jobs.training.start import starting_network
from kdlab.jobs.training.trainer import make_trainer
from kdlab.methods.keep_best import kept_epoch
from kdlab.models.masks import sparsity
from kdlab.teachers.cache.spec import CacheSpec

if TYPE_CHECKING:
    from kdlab.jobs.training.stage import Stage


def train(
    stage: "Stage",
    folder: Path,
    inputs: Sequence[Path] = (),
    specs: Sequence[CacheSpec] = (),
    *,
    report: Report = no_report,
    callbacks: Sequence[Callback] = (),
) -> dict[str, Any] | None:
    """Trains a stage and writes its network, predictions and history to `folder`.

    On a CPU, at the same thread count, the result is the same bit for bit, however often training was interrupted.

    Args:
        stage: what to train.
        folder: its folder in the store.
        inputs: the folders of `stage.needs`, in order: of its teachers, and of the stage that it starts from.
        specs: the teachers' cache specs, in order; without any their outputs are computed at every step.
        report: is called for every step, every row of the metric history (see `KeepLast`) and every batch of the
            evaluation. An error that it raises ends the work; the same call continues from there.
        callbacks: further callbacks that only observe.

    Returns:
        Its figures; None on all ranks but the first.
    """
    with cpu_threads(stage.hardware.get("threads")), closing(make_method(stage)) as method:
        data, teachers = make_data(stage.data), inputs[: len(stage.teachers)]
        network = starting_network(stage, inputs[-1]) if stage.start else initial_network(stage)
        shard_loader(data, stage.seed)
        keep = KeepLast(folder / "last.ckpt", History(), report)
        loads = [partial(teacher_network, stage, path) for path in teachers]
        prepare(method, network, stage, loads, specs, data=data if isinstance(data, Addressed) else None)
        trainer = make_trainer(stage, folder, [*callbacks, keep], keep.history)
        if stage.epochs:
            checkpoint = keep.path if keep.path.is_file() else None
            with _raising_keyboard_interrupt():
                trainer.fit(method, datamodule=data, ckpt_path=checkpoint, weights_only=True)
            if not keep.has_ended:  # a Trainer that finds no epoch left calls no hook
                for callback in trainer.callbacks:  # type: ignore[attr-defined]
                    callback.on_train_end(trainer, method)
        if not trainer.is_global_zero:
            return None
        with torch.compiler.set_stance("force_eager"):
            data.trainer = None  # one process evaluates everything
            figures = evaluate_and_save(folder, network, data, keep, method)
            if stage.start and stage.start.kind == "pruning":
                figures["sparsity"] = sparsity(network.module)
            if kept := kept_epoch(trainer):
                figures["kept_epoch"] = kept
            return figures


@contextmanager
def _raising_keyboard_interrupt() -> Iterator[None]:
    """On Ctrl-C Lightning calls `sys.exit(1)`, as for a failure; this raises `KeyboardInterrupt` instead."""
    try:
        yield
    except SystemExit as stop:
        if isinstance(stop.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from stop
        raise
