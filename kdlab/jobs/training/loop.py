"""Trains one stage, from its last checkpoint or from the start."""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from lightning.pytorch import Callback

from kdlab.data.module import Addressed
from kdlab.data.user_module import share_out
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
        report: is told of every step, every row of the metric history (see `KeepLast`) and every batch of the
            evaluation. What it raises ends the work; the same call goes on from there.
        callbacks: that watch and change nothing.

    Returns:
        Its figures; None on ranks but the first.
    """
    with cpu_threads(stage.hardware.get("threads")), closing(make_method(stage)) as method:
        data, network = make_data(stage.data), initial_network(stage)
        share_out(data, stage.seed)
        keep = KeepLast(folder / "last.ckpt", History(), report)
        loads = [partial(teacher_network, stage, path) for path in teachers]
        prepare(method, network, stage, loads, specs, data=data if isinstance(data, Addressed) else None)
        trainer = make_trainer(stage, folder, [*callbacks, keep], keep.history)
        if stage.epochs:
            checkpoint = keep.path if keep.path.is_file() else None
            with _ctrl_c_as_python_has_it():
                trainer.fit(method, datamodule=data, ckpt_path=checkpoint, weights_only=True)
        if not trainer.is_global_zero:
            return None
        with torch.compiler.set_stance("force_eager"):
            data.trainer = None  # one process evaluates everything
            return evaluate_and_save(folder, network, data, keep, method)


@contextmanager
def _ctrl_c_as_python_has_it() -> Iterator[None]:
    """Lightning answers it by `sys.exit(1)`, which would read as a failure."""
    try:
        yield
    except SystemExit as stop:
        if isinstance(stop.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from stop
        raise
