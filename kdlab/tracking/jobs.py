"""A W&B run for each job that runs: its history, its figures and its artifact."""

from contextlib import ExitStack

from kdlab.jobs.events import Event, Failed, Finished, Progress, Started
from kdlab.jobs.job import Job
from kdlab.tracking.artifacts import keep_artifact, use_artifacts
from kdlab.tracking.wandb import Tracker, WandbSettings, wandb_run


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
            case Failed(error=error):
                self._end(error)

    def _begin(self, job: Job) -> None:
        identity = {"name": job.label, "fingerprint": job.fingerprint, "job_type": job.kind}
        self._tracker = self._open.enter_context(wandb_run(self._settings, **identity, config=job.settings))
        use_artifacts(self._tracker, job.needs)

    def _end(self, error: BaseException | None) -> None:
        """Closes the run with the exit code of the error that ended the job."""
        ended, self._open, self._tracker = self._open, ExitStack(), Tracker()
        ended.__exit__(type(error) if error else None, error, error.__traceback__ if error else None)
