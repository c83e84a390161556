"""What the jobs that write artifacts have in common."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from kdlab.jobs.export.finished import ExportJob, FinishedStage
from kdlab.jobs.job import Artifact, Figures, Job
from kdlab.settings.version import VERSION
from kdlab.store.fingerprint import file_hash, fingerprint
from kdlab.store.versions import versions

INPUT, OUTPUT = "images", "logits"  # names in every artifact


@dataclass(frozen=True, eq=False)
class ArtifactJob(ExportJob):
    """Writes the student in one format.

    Args:
        student: the finished stage whose network it is.
    """

    student: FinishedStage
    kind: ClassVar[str] = "export"
    precision: ClassVar[str]  # `float32` or `int8`
    suffix: ClassVar[str]  # of its file, after the name of the network
    engines: ClassVar[Sequence[str]]  # that can run it, see `kdlab.inference.engines`
    made_by: ClassVar[str]  # the library that writes it

    @property
    def name(self) -> str:  # type: ignore[override]
        """The name of its file, such as `resnet20-int8.onnx`."""
        return f"{self.student.network}{self.suffix}"

    @property
    def fingerprint(self) -> str:
        """Changes with what it needs and with its own settings."""
        needs = [need.fingerprint for need in self.needs]
        return fingerprint({"export": self.suffix, "needs": needs, **self.own, "versions": versions(["export"])})

    @property
    def own(self) -> Mapping[str, Any]:
        """Its own settings, as plain values."""
        return {}

    @property
    def needs(self) -> Sequence[Job]:
        """The student."""
        return (self.student,)

    @property
    def settings(self) -> Mapping[str, Any]:
        """Its format, its own settings and the student's fingerprint."""
        return {"artifact": self.name, "student": self.student.fingerprint, **self.own}

    def file(self, folder: Path) -> Path:
        """The artifact in the job's folder."""
        return folder / self.name

    def files(self, folder: Path) -> Sequence[Path]:
        """All files of the artifact: `file`, and those that belong to it."""
        return (self.file(folder),)

    def figures(self, folder: Path) -> Figures:
        """Its size and hash."""
        files = self.files(folder)
        return {
            "artifact": self.name,
            "size_bytes": sum(file.stat().st_size for file in files),
            "sha256": {file.name: file_hash(file) for file in files},
        }

    def outcome(self, figures: Figures, reused: bool) -> str:
        """Such as `exported   1.09 MB`."""
        return f"{'reused' if reused else 'exported':<9} {figures['size_bytes'] / 1e6:.2f} MB"

    def artifact(self, folder: Path) -> Artifact:
        """Its files."""
        return Artifact("export", self.name, tuple(self.files(folder)), dict(self.own))


def metadata(student: FinishedStage, labels: Sequence[str], **more: Any) -> dict[str, str]:
    """What every artifact says about itself, without a path: labels in order, and where it comes from."""
    config = student.config
    about = {
        "kdlab": VERSION,
        "network": student.network,
        "teachers": [teacher.network for teacher, _ in student.teachers],
        "data": config["data"]["_target_"].rpartition(".")[2],
        "loss": config["loss"].get("_target_", "").rpartition(".")[2],
        "epochs": config["epochs"],
        "seed": config["seed"],
        "stage": student.fingerprint,
        "input": f"{INPUT}: raw pixels, 0 to 255; scaling and normalisation are inside",
        "labels": list(labels),
        **more,
    }
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in about.items()}
