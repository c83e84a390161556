"""Checkpoints of a running stage: a complete last state is on disk at every moment."""

import io
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, cast

import torch
from lightning.fabric.plugins.io.checkpoint_io import CheckpointIO
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint

from kdlab.errors import Interrupted, StoppedEarly
from kdlab.jobs.training.history import History, Row
from kdlab.methods.base import Distiller
from kdlab.store.atomic import write_atomically

SECONDS_BETWEEN_SAVES = 60.0
Report = Callable[[int, int | None, Row], None]  # batches done, their total if known, a row of the history or {}


def no_report(done: int, total: int | None, row: Row) -> None:
    """A `Report` that does nothing."""


class AtomicCheckpointIO(CheckpointIO):
    """Writes checkpoints atomically, and loads only tensors and plain values."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        # torch.save to a file hides the error of a full disk; writing bytes from memory raises it.
        content = io.BytesIO()
        torch.save(checkpoint, content)
        write_atomically(Path(path), lambda file: file.write(content.getbuffer()))

    def load_checkpoint(self, path: Any, map_location: Any = "cpu", weights_only: bool | None = True) -> dict[str, Any]:
        return torch.load(path, map_location="cpu", weights_only=True)  # type: ignore[no-any-return]

    def remove_checkpoint(self, path: Any) -> None:
        Path(path).unlink(missing_ok=True)


class KeepLast(Checkpoint):
    """Saves after every epoch, every minute within an epoch, and before training is stopped; reports every step.

    If `report` raises `Interrupted` or `StoppedEarly`, the error is raised again after the state is saved. With several
    ranks only whole epochs are saved, since ranks would have to agree on the step.

    Args:
        path: of the checkpoint.
        history: the rows so far; checkpoints contain them.
        report: is called for every step, every row of the history, also rows of earlier attempts, and every batch of
            the evaluation.

    Attributes:
        has_ended: whether the Trainer called the hooks of the end of training.
    """

    def __init__(self, path: Path, history: History, report: Report = no_report) -> None:
        self.path, self.history = path, history
        self._report = report
        self._stop: Interrupted | StoppedEarly | None = None
        self._started = self._saved = time.monotonic()
        self._seconds_before, self._done = 0.0, 0
        self.has_ended = False

    @property
    def seconds(self) -> float:
        """Training time of this stage over all its attempts."""
        return self._seconds_before + time.monotonic() - self._started

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._started = self._saved = time.monotonic()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._report_step(trainer)
        self._raise_if_stopped()  # nothing is lost: the loaded state is on disk

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        due = trainer.world_size == 1 and time.monotonic() - self._saved > SECONDS_BETWEEN_SAVES
        stepped = (batch_idx + 1) % trainer.accumulate_grad_batches == 0  # no checkpoint holds gradients
        epoch = trainer.fit_loop.epoch_loop
        last = epoch.batch_progress.is_last_batch or epoch.done  # also by early stopping: the epoch's end is saved next
        self._report_step(trainer)
        if (due or self._stop) and stepped and not last:
            self._save(trainer)
            self._raise_if_stopped()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        figures = {name: float(value) for name, value in trainer.callback_metrics.items()}
        rate = trainer.optimizers[0].param_groups[0]["lr"]
        samples = trainer.world_size * cast(Distiller, pl_module).progress.samples
        counts = {"epoch": trainer.current_epoch + 1, "step": trainer.global_step, "samples": samples}
        row = {**counts, **figures, "lr": rate}
        self._report_step(trainer, self.history.add({**row, "seconds": round(self.seconds, 3)}))
        self._save(trainer)
        self._raise_if_stopped()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.has_ended = True

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        checkpoint["should_stop"] = trainer.should_stop

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        trainer.should_stop = checkpoint.get("should_stop", False)  # a Trainer does not restore it, and would go on

    def reporting(self, batches: Iterable[Any]) -> Iterator[Any]:
        """Yields batches of an evaluation; errors of `report` are raised at once, since there is nothing to save."""
        for batch in batches:
            self._report(self._done, None, {})
            yield batch

    def state_dict(self) -> dict[str, Any]:
        return {"seconds": self.seconds, "rows": self.history.rows, "done": self._done}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._seconds_before, self._done = state_dict["seconds"], state_dict["done"]
        self.history.rows = list(state_dict["rows"])
        for row in self.history.rows:
            self._call_report(int(row["step"]), None, row)

    def _save(self, trainer: Trainer) -> None:
        trainer.save_checkpoint(self.path, weights_only=False)
        self._saved = time.monotonic()

    def _report_step(self, trainer: Trainer, row: Row | None = None) -> None:
        """Reports the number of batches, over all epochs."""
        self._done = trainer.fit_loop.epoch_loop.total_batch_idx + 1
        self._call_report(self._done, int(trainer.num_training_batches) * (trainer.max_epochs or 1), row or {})

    def _call_report(self, done: int, total: int | None, row: Row) -> None:
        """Calls `report`; an error that stops the training is kept until the state is saved."""
        try:
            self._report(done, total, row)
        except (Interrupted, StoppedEarly) as error:
            self._stop = self._stop or error

    def _raise_if_stopped(self) -> None:
        if self._stop:
            raise self._stop
