"""A W&B run for each job: its history, its figures and its artifact. Reused jobs are uploaded from the store."""

from contextlib import ExitStack
from pathlib import Path

from kdlab.jobs.events import Event, Failed, Finished, Progress, Started
from kdlab.jobs.job import Figures, Job
from kdlab.jobs.training.history import read_history
from kdlab.store.store import Store
from kdlab.tracking.artifacts import keep_artifact, use_artifacts
from kdlab.tracking.wandb import Tracker, WandbSettings, is_uploaded, wandb_run

HISTORY = "metrics.csv"


class JobRuns:
    """A listener that records jobs.

    Args:
        settings: of their W&B runs.
    """

    def __init__(self, settings: WandbSettings) -> None:
        self._settings = settings
        self._open = ExitStack()
        self._tracker = Tracker()

    def __call__(self, event: Event) -> None:
        """Opens a run when a job starts, and closes it as the job ends."""
        match event:
            case Started(job) if job.is_recorded:
                self._begin(job)
            case Progress(figures=figures, done=done) if figures:
                self._tracker.log(figures, int(figures.get("step", done)))
            case Finished(job, folder, figures, reused=False):
                self._tracker.summarise(figures)
                keep_artifact(self._tracker, job, folder)
                self._end(None)
            case Finished(job, folder, figures, reused=True) if job.is_recorded:
                self._upload(job, folder, figures)
            case Failed(error=error):
                self._end(error)

    def _begin(self, job: Job) -> None:
        identity = {"name": job.label, "fingerprint": job.fingerprint, "job_type": job.kind}
        config = {**job.settings, "fingerprint": job.fingerprint}
        self._tracker = self._open.enter_context(wandb_run(self._settings, **identity, config=config))
        use_artifacts(self._tracker, job.needs)

    def _upload(self, job: Job, folder: Path, figures: Figures) -> None:
        """Records a job that an earlier run finished, where W&B does not have it; one process at a time does."""
        if is_uploaded(self._settings, job.fingerprint):
            return
        with Store(folder.parent).claimed(job, lambda owner: None):
            if is_uploaded(self._settings, job.fingerprint):
                return
            self._begin(job)
            for row in read_history(folder / HISTORY) if (folder / HISTORY).is_file() else ():
                self._tracker.log(row, int(row["step"]))
            self._tracker.summarise(figures)
            keep_artifact(self._tracker, job, folder)
            self._end(None)

    def _end(self, error: BaseException | None) -> None:
        """Closes the run with the exit code of the error that ended the job."""
        ended, self._open, self._tracker = self._open, ExitStack(), Tracker()
        ended.__exit__(type(error) if error else None, error, error.__traceback__ if error else None)
