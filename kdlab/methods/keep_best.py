"""The callback that keeps the weights of the best epoch on validation in place of the last."""

from typing import Any, cast

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, WeightAveraging
from torch import Tensor

from kdlab.errors import BadInput
from kdlab.methods.base import Distiller


class KeepBest(Callback):
    """Ends training with the student's weights after the epoch that was best on validation; of equal ones the first.

    Args:
        monitor: a validation metric of the history, such as `val/accuracy`.
        mode: `max` where a higher value is better, otherwise `min`.

    Raises:
        BadInput: as training begins: there are no validation samples, or no such metric; or weights are averaged.
    """

    def __init__(self, monitor: str = "val/accuracy", mode: str = "max") -> None:
        if mode not in ("max", "min"):
            raise BadInput(f"callbacks.keep_best.mode must be max or min, got {mode!r}. For accuracy: max.")
        self.monitor, self.mode = monitor, mode
        self.epoch: int | None = None  # counted from 1
        self._value = 0.0
        self._weights: dict[str, Tensor] = {}

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if getattr(trainer.datamodule, "val_size", 1) == 0:  # type: ignore[attr-defined]
            raise BadInput(
                "callbacks=keep_best chooses an epoch on validation, and data.val_fraction=0 holds nothing out. Set "
                "data.val_fraction=0.1, or leave it out: the test set must not choose."
            )
        if any(isinstance(callback, WeightAveraging) for callback in trainer.callbacks):  # type: ignore[attr-defined]
            raise BadInput("callbacks=keep_best and averaged weights exclude each other. Choose one of them.")

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self.monitor not in trainer.callback_metrics:
            raise BadInput(
                f"callbacks.keep_best.monitor must be one of {', '.join(sorted(trainer.callback_metrics))}, got "
                f"{self.monitor}."
            )
        value = float(trainer.callback_metrics[self.monitor])
        if self.epoch is None or (value > self._value if self.mode == "max" else value < self._value):
            self.epoch, self._value = trainer.current_epoch + 1, value
            student = cast(Distiller, pl_module).student
            self._weights = {name: tensor.detach().cpu().clone() for name, tensor in student.state_dict().items()}

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        cast(Distiller, pl_module).student.load_state_dict(self._weights)

    def state_dict(self) -> dict[str, Any]:
        return {"epoch": self.epoch, "value": self._value, "weights": self._weights}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.epoch, self._value, self._weights = (state_dict[name] for name in ("epoch", "value", "weights"))


def kept_epoch(trainer: Trainer) -> int | None:
    """The epoch whose weights were kept, counted from 1; None where they are those of the last."""
    callbacks = trainer.callbacks  # type: ignore[attr-defined]
    return next((callback.epoch for callback in callbacks if isinstance(callback, KeepBest)), None)
