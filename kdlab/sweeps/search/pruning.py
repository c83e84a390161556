"""The pruning callback of a search: ends the student of a bad trial before its last epoch."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode

from kdlab.errors import StoppedEarly
from kdlab.jobs.events import Event, Progress
from kdlab.jobs.training.stage import Stage
from kdlab.sweeps.search.sweeper import OptunaSweeper


class Pruning:
    """A listener that reports a stage's epochs to its trial, and ends the stage if the trial is worse than others.

    It ends it after an epoch, whose state is saved; a stage that has trained its last epoch is never ended. It
    does not change the training. A stage of several ranks, which train in other processes, is never ended.

    Args:
        stage: whose epochs are reported.
        folder: the sweep's.
        number: of the trial, which is the number of the cell.
        pruning: `hydra.sweeper.pruning`.
    """

    def __init__(self, stage: Stage, folder: Path, number: int, pruning: Mapping[str, Any]) -> None:
        from kdlab.sweeps.search.journal import open_study
        from kdlab.sweeps.search.study import open_trial, pruner_of

        self.stage = stage
        self._trial = open_trial(open_study(folder, pruner_of(pruning)), number)

    def __call__(self, event: Event) -> None:
        """Reports an epoch, also one of a stage that is resumed.

        Raises:
            StoppedEarly: the trial's best is worse than the median of others at that epoch.
        """
        if not isinstance(event, Progress) or event.job is not self.stage or not event.figures:
            return
        from kdlab.sweeps.search.study import report

        task = self.stage.task
        report(self._trial, dict(event.figures), task.objective)
        if event.figures["epoch"] < self.stage.epochs and self._trial.should_prune():
            epoch = f"epoch {event.figures['epoch']:.0f} of {self.stage.epochs}"
            reached = task.headline.show(event.figures[task.objective])
            side = "below" if task.headline.higher_is_better else "above"
            raise StoppedEarly(
                f"{task.objective} {reached} after {epoch}: its best is {side} the median of the finished trials at "
                "that epoch"
            )


def pruning_callback(student: Stage) -> Pruning | None:
    """The pruning callback of this process's cell; None outside a search and where pruning is off."""
    settings = HydraConfig.get()
    if settings.mode != RunMode.MULTIRUN or settings.sweeper._target_ != OptunaSweeper.TARGET:
        return None
    pruning = dict(settings.sweeper.pruning)
    return Pruning(student, Path(settings.sweep.dir), int(settings.job.num), pruning) if pruning["enabled"] else None
