"""The last good state of a running stage, on disk at every moment."""

import io
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.checkpoint_io import CheckpointIO
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint

from kdlab.errors import Interrupted
from kdlab.jobs.training.history import History
from kdlab.store.atomic import write_atomically

SECONDS_BETWEEN_SAVES = 60.0
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class AtomicCheckpointIO(CheckpointIO):
    """Writes a checkpoint whole or not at all, and reads tensors and plain values only."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        # torch.save hides the error of a full disk; bytes in memory first let the file system say it.
        content = io.BytesIO()
        torch.save(checkpoint, content)
        write_atomically(Path(path), lambda file: file.write(content.getbuffer()))

    def load_checkpoint(self, path: Any, map_location: Any = "cpu", weights_only: bool | None = True) -> dict[str, Any]:
        return torch.load(path, map_location="cpu", weights_only=True)  # type: ignore[no-any-return]

    def remove_checkpoint(self, path: Any) -> None:
        Path(path).unlink(missing_ok=True)


class KeepLast(Checkpoint):
    """Saves after every epoch, every minute within one, and when the user asks to stop.

    Ctrl-C (or SIGTERM) is answered after the step in flight: the state is saved and `Interrupted` raised. A second
    one stops at once. With several ranks only whole epochs are saved, since ranks would have to agree on the step.

    Args:
        path: of the checkpoint.
        history: the rows so far; they travel in the checkpoint.
    """

    def __init__(self, path: Path, history: History) -> None:
        self.path, self.history = path, history
        self._asked_to_stop = False
        self._started = self._saved = time.monotonic()
        self._seconds_before = 0.0
        self._handlers: dict[int, Any] = {}

    @property
    def seconds(self) -> float:
        """Training time of this stage over all its attempts."""
        return self._seconds_before + time.monotonic() - self._started

    @contextmanager
    def answering_signals(self) -> Iterator[None]:
        """Catches Ctrl-C and SIGTERM around the body; in a thread, where Python allows no handlers, it does nothing."""
        if threading.current_thread() is threading.main_thread():
            self._handlers = {number: signal.signal(number, self._on_signal) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in self._handlers.items():
                signal.signal(number, handler)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._started = self._saved = time.monotonic()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        due = trainer.world_size == 1 and time.monotonic() - self._saved > SECONDS_BETWEEN_SAVES
        stepped = (batch_idx + 1) % trainer.accumulate_grad_batches == 0  # no checkpoint holds gradients
        epoch = trainer.fit_loop.epoch_loop
        last = epoch.batch_progress.is_last_batch or epoch.done  # also by an early stop: the epoch's end is saved next
        if (due or self._asked_to_stop) and stepped and not last:
            self._save(trainer)
            self._stop_if_asked()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        figures = {name: float(value) for name, value in trainer.callback_metrics.items()}
        rate = trainer.optimizers[0].param_groups[0]["lr"]
        row = {"epoch": trainer.current_epoch + 1, "step": trainer.global_step, **figures, "lr": rate}
        self.history.add({**row, "seconds": round(self.seconds, 3)})
        self._save(trainer)
        self._stop_if_asked()

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        checkpoint["should_stop"] = trainer.should_stop

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        trainer.should_stop = checkpoint.get("should_stop", False)  # which a Trainer forgets: it would go on

    def state_dict(self) -> dict[str, Any]:
        return {"seconds": self.seconds, "rows": self.history.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._seconds_before = state_dict["seconds"]
        self.history.restore(state_dict["rows"])

    def _save(self, trainer: Trainer) -> None:
        trainer.save_checkpoint(self.path)
        self._saved = time.monotonic()

    def _stop_if_asked(self) -> None:
        if self._asked_to_stop:
            raise Interrupted("what was reached is saved; the same command continues it")

    def _on_signal(self, number: int, frame: object) -> None:
        if self._asked_to_stop:
            signal.signal(number, self._handlers[number])
            signal.raise_signal(number)
        self._asked_to_stop = True
