"""The job that measures the artifacts of several networks together, so that their ratios are of the same rounds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kdlab.jobs.export.artifact import ArtifactJob
from kdlab.jobs.export.finished import FinishedStage
from kdlab.jobs.export.latency import Latency
from kdlab.jobs.job import Job
from kdlab.store.fingerprint import SHORT


@dataclass(frozen=True, eq=False)
class JointLatency(Latency):
    """Measures one network in eager PyTorch, and artifacts of any networks with the same inputs.

    Args:
        student: the network that is measured in PyTorch, whose test images all take: the teacher of a comparison.
        pairs: artifacts of any networks, with an engine each.
        measurement: how.
    """

    @property
    def name(self) -> str:  # type: ignore[override]
        """`latency of all`."""
        return "latency of all"

    @property
    def networks(self) -> Sequence[FinishedStage]:
        """The teacher alone: students in PyTorch are slower than in any engine."""
        return [self.student]

    @property
    def settings(self) -> Mapping[str, Any]:
        """What is measured, and how."""
        named = [[self.named(job), engine] for job, engine in self.pairs]
        return {**super().settings, "pairs": named}

    def named(self, job: Job) -> str:
        """Such as `1a2b3c4d resnet20.onnx`: networks of one name may differ in their training."""
        return variant_name(job)

    def bare(self, folder: Path) -> None:
        """None: networks may prepare their inputs differently."""
        return None


def variant_name(job: Job) -> str:
    """The name of a network or an artifact among those of several stages."""
    stage = job.student if isinstance(job, ArtifactJob) else job
    own = job.network if isinstance(job, FinishedStage) else job.name
    return f"{stage.fingerprint[:SHORT]} {own}"
