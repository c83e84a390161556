"""Runs a plan: checks it, runs its jobs, and returns the result."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kdlab.jobs.checks.stages import check_stages
from kdlab.jobs.events import Listener, to_all
from kdlab.jobs.job import Job
from kdlab.jobs.plan import Plan
from kdlab.runtime.executor import execute
from kdlab.runtime.isolation import isolated
from kdlab.runtime.result import finished_result, jobs_result
from kdlab.store.store import Store


@dataclass(frozen=True)
class Result:
    """The result of a run.

    Attributes:
        content: the fields of `result.json`; `result["gain"]` reads one.
        folders: of the finished jobs in the store, by their names and by their roles in the plan.
    """

    content: Mapping[str, Any]
    folders: Mapping[str, Path]

    def __getitem__(self, field: str) -> Any:
        return self.content[field]

    @property
    def student(self) -> Path:
        """The folder of the student, which `kdlab.load` takes."""
        return self.folders["student"]

    @property
    def teacher(self) -> Path | None:
        """The folder of the first teacher."""
        return self.folders.get("teacher")

    @property
    def baseline(self) -> Path | None:
        """The folder of the student that was trained without a teacher."""
        return self.folders.get("baseline")


def check(plan: Plan | Sequence[Job], store: Store) -> None:
    """Checks a plan before anything runs; stages in the store passed these checks before they trained.

    Raises:
        BadInput: a setting does not fit, or another run is under way in this process.
    """
    if isinstance(plan, Plan):
        with isolated():
            check_stages(plan.stages, store.finished)


def run_jobs(plan: Plan | Sequence[Job], store: Store, listeners: Sequence[Listener] = ()) -> Result:
    """Finishes every job of a plan.

    Args:
        plan: of `make_plan`, or any jobs, each after those that it needs; see `check`.
        store: where their results are.
        listeners: each is called with every event, in this order.

    Raises:
        BadInput: settings contradict each other, or another run is under way in this process.
        TrainingFailed: a job could not go on.
        Interrupted, StoppedEarly: a listener ended the run.
    """
    emit = to_all(listeners)
    with isolated():
        if not isinstance(plan, Plan):
            reused = execute(plan, store, emit)
            return Result(jobs_result(plan, store, reused), {job.name: store.folder(job) for job in plan})
        reused = execute(plan.stages, store, emit)
        folders = {name: store.folder(stage) for name, stage in plan.by_name().items()}
        return Result(finished_result(plan, store, reused), folders)
