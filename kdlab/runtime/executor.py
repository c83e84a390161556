"""Runs jobs: reuses finished ones from the store, resumes interrupted ones, runs the others."""

from collections.abc import Iterable

from kdlab.errors import JobFailed
from kdlab.jobs.events import Failed, Finished, Listener, Started, Waiting
from kdlab.jobs.job import Job
from kdlab.store.store import Store


def execute(jobs: Iterable[Job], store: Store, emit: Listener) -> dict[str, bool]:
    """Finishes every job, in order; each comes after the jobs that it needs.

    Returns:
        Whether each job was finished before, by its name.
    """
    return {job.name: run_or_reuse(job, store, emit) for job in jobs}


def run_or_reuse(job: Job, store: Store, emit: Listener) -> bool:
    """Finishes one job; waits for another process that is running it.

    Args:
        job: its `needs` are finished.
        store: receives its results.
        emit: is called with every event.

    Returns:
        Whether the job was finished before.
    """
    if not store.finished(job):
        with store.claimed(job, lambda owner: emit(Waiting(job, f"is being run by {owner}; waiting for it"))):
            if not store.finished(job):
                _run(job, store, emit)
                return False
    emit(Finished(job, store.folder(job), store.result(job), reused=True))
    return True


def _run(job: Job, store: Store, emit: Listener) -> None:
    folder = store.folder(job)
    store.describe(job, job.settings)
    try:
        emit(Started(job, folder))
        store.finish(job, job.run(folder, [store.folder(need) for need in job.needs], emit))
    except JobFailed as error:
        emit(Failed(job, error))
        raise type(error)(f"{job.kind.capitalize()} {job.name}: {error}") from error  # a run has several jobs
    except BaseException as error:
        emit(Failed(job, error))
        raise
    emit(Finished(job, folder, store.result(job), reused=False))
