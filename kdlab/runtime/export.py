"""Exports a finished stage: writes its artifacts, proves them, measures those that pass, and recommends one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kdlab.inference.summary import speedups
from kdlab.jobs.events import Listener, to_all
from kdlab.jobs.export.artifact import ArtifactJob
from kdlab.jobs.export.finished import FinishedStage
from kdlab.jobs.export.int8 import OnnxInt8
from kdlab.jobs.export.latency import Latency
from kdlab.jobs.export.proof import Proof, ReferenceCheck, StudentLogits
from kdlab.jobs.export.sensitivity import Sensitivity
from kdlab.jobs.export.settings import ExportSettings
from kdlab.jobs.export.verdicts import check_failures, choice, refusals
from kdlab.jobs.job import Job
from kdlab.runtime.executor import execute
from kdlab.runtime.export_summary import is_complete
from kdlab.runtime.isolation import isolated
from kdlab.runtime.result import environment
from kdlab.store.fingerprint import fingerprint
from kdlab.store.store import Store

NOT_MEASURED: Mapping[str, Any] = {"rows": [], "summaries": [], "machine": None}


@dataclass(frozen=True)
class Export:
    """An export that is done.

    Attributes:
        content: the fields of its `result.json`.
        jobs: those that wrote artifacts.
        store: where these are.
    """

    content: Mapping[str, Any]
    jobs: Sequence[ArtifactJob]
    store: Store

    @property
    def fingerprint(self) -> str:
        """Changes with any artifact."""
        return export_fingerprint(self.jobs)

    @property
    def is_complete(self) -> bool:
        """Whether no artifact is refused and, of those that were measured, one meets the budgets."""
        return is_complete(self.content)


def export_fingerprint(jobs: Sequence[ArtifactJob]) -> str:
    """Names the folder of an export: changes with any artifact, not with limits or measurements."""
    return fingerprint({"export": [job.fingerprint for job in jobs]})


def run_export(student: FinishedStage, settings: ExportSettings, store: Store, listeners: Sequence[Listener]) -> Export:
    """Runs the jobs of an export that the store does not have.

    Args:
        student: the network to export.
        settings: the config group `export`.
        store: the one that holds the student.
        listeners: each is called with every event.

    Raises:
        BadInput: a setting does not fit.
        JobFailed: an exporter or a quantiser refuses the network.
    """
    emit = to_all(listeners)
    with isolated():
        proved = prove(student, settings, store, emit)
        layers = [Sensitivity(job) for job in proved.jobs if isinstance(job, OnnxInt8) and job.name in proved.refused]
        latency = [Latency(student, proved.accepted, settings.measurement)] if proved.accepted else []
        reused = {**proved.reused, **execute([*layers, *latency], store, emit)}
        every: list[Job] = [*proved.jobs, *proved.verdicts, *proved.checks, *layers, *latency]
        content = _content(settings, store, proved.verdicts, proved.refused, every)
        stages = [{"name": job.name, "fingerprint": job.fingerprint, "reused": reused[job.name]} for job in every]
    return Export({**content, "stages": stages, "environment": environment()}, proved.jobs, store)


@dataclass(frozen=True)
class Proved:
    """Artifacts that are written and proved, but not measured.

    Attributes:
        jobs: that wrote them.
        verdicts: their proofs, with the reasons against the artifact in that engine.
        checks: by the reference implementation.
        refused: the reasons against each refused artifact.
        reused: whether each job was finished before, by its name.
    """

    jobs: Sequence[ArtifactJob]
    verdicts: Mapping[Proof, Sequence[str]]
    checks: Sequence[ReferenceCheck]
    refused: Mapping[str, Sequence[str]]
    reused: Mapping[str, bool]

    @property
    def accepted(self) -> list[tuple[ArtifactJob, str]]:
        """Artifacts that pass, in the engines in which they do, without those whose latency is not measured."""
        accepted = (
            (one, one.artifact_job) for one, reasons in self.verdicts.items() if not reasons and one.is_measured
        )
        return [(job, proof.engine) for proof, job in accepted if job.name not in self.refused]


def prove(student: FinishedStage, settings: ExportSettings, store: Store, emit: Listener) -> Proved:
    """Writes the artifacts of a network and proves them; for `run_export`, and where several networks are compared."""
    jobs = settings.jobs(student)
    reused = execute([*jobs, StudentLogits(student)], store, emit)
    proofs = [proof for job in jobs for proof in settings.proofs(job)]
    checks = [check for job in jobs for check in settings.checks(job)]
    reused |= execute([*proofs, *checks], store, emit)
    verdicts = {proof: _refusals(proof, settings, store) for proof in proofs}
    return Proved(jobs, verdicts, checks, _refused(verdicts, checks, settings, store), reused)


def _refusals(proof: Proof, settings: ExportSettings, store: Store) -> list[str]:
    return refusals(store.result(proof), proof.artifact_job.precision, settings, proof.student.task)


def _refused(
    verdicts: Mapping[Proof, Sequence[str]], checks: Sequence[ReferenceCheck], settings: ExportSettings, store: Store
) -> dict[str, list[str]]:
    """The reasons against each refused artifact: of its first engine or of the check; another may just not run it."""
    reasons: dict[str, list[str]] = {}
    for proof, found in verdicts.items():
        reasons.setdefault(proof.artifact_job.name, list(found))
    for check in checks:
        job = check.proof.artifact_job
        reasons[job.name] = reasons[job.name] or check_failures(store.result(check), job.precision, settings)
    return {name: found for name, found in reasons.items() if found}


def _content(
    settings: ExportSettings,
    store: Store,
    verdicts: Mapping[Proof, Sequence[str]],
    refused: Mapping[str, Sequence[str]],
    jobs: Sequence[Job],
) -> dict[str, Any]:
    artifacts = [job for job in jobs if isinstance(job, ArtifactJob)]
    student = artifacts[0].student
    written = [{**store.result(job), "precision": job.precision, "made_by": job.made_by} for job in artifacts]
    pairs = [{**store.result(proof), "refused_for": list(reasons)} for proof, reasons in verdicts.items()]
    measured = next((store.result(job) for job in jobs if isinstance(job, Latency)), NOT_MEASURED)
    return {
        "status": "finished",
        "task": student.task.as_dict(),
        "student": _network(student),
        "teachers": [_network(teacher) for teacher, _ in student.teachers],
        "artifacts": written,
        "pairs": pairs,
        "checks": [store.result(job) for job in jobs if isinstance(job, ReferenceCheck)],
        "refused": dict(refused),
        "layers": {job.quantised.name: store.result(job)["layers"] for job in jobs if isinstance(job, Sensitivity)},
        "machine": measured["machine"],
        "latency": measured["summaries"],
        "speedups": speedups(measured["rows"]),
        "deciding": settings.measurement.deciding,
        **choice(written, pairs, measured, settings, student.task),
    }


def _network(stage: FinishedStage) -> dict[str, Any]:
    kept = ("params", "flops", "size_bytes", stage.task.outcome)
    return {"network": stage.network, "stage": stage.fingerprint, **{name: stage.figures.get(name) for name in kept}}
