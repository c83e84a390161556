"""Compares networks: exports what is not exported yet, and measures all artifacts of all in the same rounds."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from kdlab.errors import JobFailed, TrainingFailed
from kdlab.jobs.events import Listener, to_all
from kdlab.jobs.export.artifact import ArtifactJob
from kdlab.jobs.export.finished import FinishedStage
from kdlab.jobs.export.joint_latency import JointLatency, variant_name
from kdlab.jobs.export.proof import Proof
from kdlab.jobs.export.settings import ExportSettings
from kdlab.runtime.executor import execute
from kdlab.runtime.export import Proved, prove
from kdlab.runtime.isolation import isolated
from kdlab.runtime.result import environment
from kdlab.store.fingerprint import fingerprint
from kdlab.store.store import Store

RUN_IN_ENGINES = ("onnx", "onnx_int8", "openvino_int8", "executorch")  # artifacts; others take what PyTorch takes
COSTS = ("params", "flops", "size_bytes", "epochs")


@dataclass(frozen=True)
class Contender:
    """A network that is compared.

    Attributes:
        label: such as `resnet20 (response)`.
        stages: that differ by seed alone, by seed.
    """

    label: str
    stages: tuple[FinishedStage, ...]


@dataclass(frozen=True)
class Contest:
    """Networks that may be compared: of the same data, test set and teacher.

    Attributes:
        teacher: that all are compared with.
        others: in the order in which they were named.
        remarks: in what they are not equal.
    """

    teacher: Contender
    others: tuple[Contender, ...]
    remarks: tuple[str, ...] = ()

    @property
    def contenders(self) -> tuple[Contender, ...]:
        """The teacher first."""
        return (self.teacher, *self.others)


def run_comparison(
    contest: Contest,
    settings: ExportSettings,
    listeners: Sequence[Listener],
    announce: Callable[[str], None] = lambda label: None,
) -> dict[str, Any]:
    """Runs the jobs that the stores do not have.

    Args:
        contest: what is compared.
        settings: of the exports and of the measurement.
        listeners: each is called with every event.
        announce: is called with the label of a network before its export.

    Returns:
        Figures as they were found, see `docs/compare.md`: `fingerprint`, `task`, `networks` with their `files`,
        `latency`, `rounds`, `machine`, `deciding`, `measure`, `environment`.

    Raises:
        BadInput: a setting does not fit.
    """
    emit = to_all(listeners)
    settings = replace(settings, artifacts=[name for name in settings.artifacts if name in RUN_IN_ENGINES])
    with isolated():
        exports: dict[FinishedStage, Proved | str] = {}
        for contender in contest.contenders:
            announce(contender.label)
            exports |= {stage: _proved(stage, settings, emit) for stage in contender.stages}
        announce("all together")
        joint = JointLatency(contest.teacher.stages[0], list(_timed(contest, exports)), settings.measurement)
        store = _Stores(joint.student.folder.parent)
        execute([joint], store, emit)
    return {
        "fingerprint": fingerprint(
            {"networks": [one.fingerprint for one in exports], "files": list(settings.artifacts)}
        ),
        "task": joint.student.task.as_dict(),
        "networks": [_network(one, one is contest.teacher, exports, settings) for one in contest.contenders],
        **_measured(store.result(joint)),
        "deciding": settings.measurement.deciding,
        "measure": asdict(settings.measurement),
        "environment": environment(),
    }


def _proved(stage: FinishedStage, settings: ExportSettings, emit: Listener) -> Proved | str:
    """Its export; the reason where an exporter or a quantiser refuses the network, which is a finding."""
    try:
        return prove(stage, settings, Store(stage.folder.parent), emit)
    except TrainingFailed:
        raise
    except JobFailed as error:
        return str(error)


class _Stores(Store):
    """A store that finds networks and their artifacts where these are, which may be several stores."""

    def folder(self, job: Any) -> Path:
        """Beside the network that the job belongs to."""
        stage = job.student if isinstance(job, ArtifactJob) else job
        return stage.folder.parent / job.fingerprint if isinstance(stage, FinishedStage) else super().folder(job)


def _timed(contest: Contest, exports: Mapping[FinishedStage, Proved | str]) -> Iterator[tuple[ArtifactJob, str]]:
    """Of each network its first seed: the artifacts that pass, with their engines."""
    for contender in contest.contenders:
        found = exports[contender.stages[0]]
        if isinstance(found, Proved):
            yield from found.accepted


def _measured(figures: Mapping[str, Any]) -> dict[str, Any]:
    return {"machine": figures["machine"], "latency": figures["summaries"], "rounds": figures["rows"]}


def _network(
    contender: Contender, is_teacher: bool, exports: Mapping[FinishedStage, Proved | str], settings: ExportSettings
) -> dict[str, Any]:
    first, outcome = contender.stages[0], contender.stages[0].task.outcome
    seeds = [
        {
            "seed": stage.config["seed"],
            "stage": stage.fingerprint,
            "teachers": [teacher.fingerprint for teacher, _ in stage.teachers],
            **{name: stage.figures.get(name) for name in (*COSTS, outcome)},
        }
        for stage in contender.stages
    ]
    return {
        "label": contender.label,
        "network": first.network,
        "is_teacher": is_teacher,
        "timed_as": variant_name(first),
        "seeds": seeds,
        "files": [_file(proof, contender, exports, settings) for proof in _proofs(first, settings)],
    }


def _proofs(stage: FinishedStage, settings: ExportSettings) -> list[Proof]:
    return [proof for job in settings.jobs(stage) for proof in settings.proofs(job)]


def _file(
    first: Proof, contender: Contender, exports: Mapping[FinishedStage, Proved | str], settings: ExportSettings
) -> dict[str, Any]:
    """An artifact in an engine, with its figures by seed."""
    return {
        "file": first.artifact_job.name,
        "engine": first.engine,
        "precision": first.artifact_job.precision,
        "timed_as": variant_name(first.artifact_job),
        "seeds": [_of_seed(first, stage, exports[stage]) for stage in contender.stages],
    }


def _of_seed(first: Proof, stage: FinishedStage, export: Proved | str) -> dict[str, Any]:
    if isinstance(export, str):
        return {"seed": stage.config["seed"], "refused": [export]}
    kind = type(first.artifact_job), first.engine
    proof = next(one for one in export.verdicts if (type(one.artifact_job), one.engine) == kind)
    job, store = proof.artifact_job, Store(stage.folder.parent)
    figures = {name: store.result(proof).get(name) for name in (stage.task.outcome, "agreement")}
    reasons = export.verdicts[proof] or export.refused.get(job.name, [])
    size = store.result(job)["size_bytes"]
    return {"seed": stage.config["seed"], "size_bytes": size, "refused": list(reasons), **figures}
