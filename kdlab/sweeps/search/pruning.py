"""Stops the student of a bad trial early: it is told each epoch, and speaks up between two of them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from lightning.pytorch import Callback, LightningModule, Trainer

from kdlab.errors import StoppedEarly
from kdlab.jobs.training.history import Row
from kdlab.jobs.training.stage import Stage
from kdlab.sweeps.search.sweeper import OptunaSweeper


class Judge(Callback):
    """Reports one stage's epochs to its trial, and ends the stage when the trial does worse than others did.

    It ends it at the start of an epoch, when the one before is in the checkpoint; a stage that has trained its last
    epoch is never stopped. It reads nothing of the training and changes nothing in it. Other processes' ranks do not
    hear it: a stage of several ranks is trained to its end.

    Args:
        stage: the one that is judged.
        folder: the sweep's.
        number: of the trial, which is the number of the cell.
        pruning: `hydra.sweeper.pruning`.
    """

    def __init__(self, stage: Stage, folder: Path, number: int, pruning: Mapping[str, Any]) -> None:
        from kdlab.sweeps.search.journal import open_study
        from kdlab.sweeps.search.study import open_trial, pruner_of

        self.stage = stage
        self._trial = open_trial(open_study(folder, pruner_of(pruning)), number)
        self._verdict: str | None = None

    def hear(self, row: Row) -> None:
        """One row of the stage's history, also of one that is resumed."""
        from kdlab.sweeps.search.study import OBJECTIVE, report

        report(self._trial, row)
        if self._verdict is None and self._trial.should_prune():
            reached = f"{OBJECTIVE} {row[OBJECTIVE]:.2f} % after epoch {row['epoch']:.0f} of {self.stage.epochs}"
            self._verdict = f"{reached}: its best is below the median of the finished trials at that epoch"

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._verdict:
            raise StoppedEarly(self._verdict)


def judge_of(student: Stage) -> Judge | None:
    """Who judges the student of this process's cell; None where no search wants to stop it."""
    settings = HydraConfig.get()
    if settings.mode != RunMode.MULTIRUN or settings.sweeper._target_ != OptunaSweeper.TARGET:
        return None
    pruning = dict(settings.sweeper.pruning)
    return Judge(student, Path(settings.sweep.dir), int(settings.job.num), pruning) if pruning["enabled"] else None
