"""Artifacts of jobs on Weights & Biases, and the artifacts that a run used as inputs."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdlab.jobs.job import Job
from kdlab.store.fingerprint import SHORT
from kdlab.tracking.wandb import Tracker

if TYPE_CHECKING:
    import wandb

LONGEST = 128  # characters of an artifact's name


def artifact_name(job: Job) -> str | None:
    """The name of a job's artifact, such as `student-resnet8-1a2b3c4d`; None where it has none."""
    artifact = job.artifact(Path())
    return _name(artifact.name, job.fingerprint) if artifact else None


def keep_artifact(tracker: Tracker, job: Job, folder: Path) -> None:
    """Records the artifact of a finished job, if it has one.

    Args:
        tracker: of the job's run.
        job: that finished.
        folder: of the job in the store, where an offline run leaves the files until it is uploaded.
    """
    artifact, name = job.artifact(folder), artifact_name(job)
    if artifact is None or name is None:
        return
    metadata = {"fingerprint": job.fingerprint, **artifact.metadata}
    metadata[job.needs_are] = [artifact_name(need) for need in job.needs]
    aliases = (*artifact.aliases, job.fingerprint)
    tracker.keep(lambda: _artifact(name, artifact.kind, artifact.files, metadata), aliases)


def keep_result(tracker: Tracker, name: str, fingerprint: str, file: Path) -> None:
    """Records a run's `result.json`.

    Args:
        tracker: of the cell's run.
        name: of the cell.
        fingerprint: of its plan.
        file: the result.
    """
    tracker.keep(lambda: _artifact(_name(f"result-{name}", fingerprint), "result", (file,), {}), (fingerprint,))


def use_artifacts(tracker: Tracker, jobs: Iterable[Job]) -> None:
    """Links a run to the artifacts that it used; those of jobs that are not recorded do not exist."""
    for job in jobs:
        if job.is_recorded and (name := artifact_name(job)):
            tracker.use(f"{name}:latest")


def _name(what: str, fingerprint: str) -> str:
    end = f"-{fingerprint[:SHORT]}"
    return re.sub(r"[^\w.-]", "-", what, flags=re.ASCII)[: LONGEST - len(end)] + end


def _artifact(name: str, kind: str, files: Iterable[Path], metadata: dict[str, Any]) -> "wandb.Artifact":
    import wandb

    artifact = wandb.Artifact(name, type=kind, metadata=metadata)
    for file in files:
        artifact.add_file(str(file.resolve()), name=file.name, policy="immutable")  # no copy: it is not written again
    return artifact
