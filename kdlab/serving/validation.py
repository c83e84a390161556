"""What artifacts predict on a split of the data, as jobs of the store: the only part of serving that needs torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kdlab.data.batch import Batch
from kdlab.data.user_module import has_validation
from kdlab.errors import BadInput
from kdlab.inference.machine import installed, usable_cores
from kdlab.jobs.events import Listener
from kdlab.jobs.export.finished import ExportJob, FinishedStage
from kdlab.jobs.export.proof import BATCH
from kdlab.jobs.export.samples import test_set, training_set
from kdlab.jobs.job import Figures, Job
from kdlab.models.saved import load_predictions, save_predictions
from kdlab.runtime.executor import execute
from kdlab.serving.artifact import Artifact
from kdlab.serving.model import Model
from kdlab.store.fingerprint import fingerprint
from kdlab.store.store import Store
from kdlab.store.versions import versions

Split = Literal["val", "test"]
Arrays = tuple[NDArray[np.float32], NDArray[np.int64]]  # logits `(samples, classes)` and labels `(samples,)`


@dataclass(frozen=True, eq=False)
class ArtifactLogits(ExportJob):
    """Runs an artifact on a split of the data of a stage.

    Args:
        artifact: of a network that takes these data.
        data: the stage whose data they are.
        split: `val` or `test`.
    """

    artifact_file: Artifact
    data: FinishedStage
    split: Split
    kind: ClassVar[str] = "predictions"

    @property
    def name(self) -> str:  # type: ignore[override]
        """Such as `resnet20-int8.onnx in openvino on val`."""
        return f"{self.artifact_file.name} in {self.artifact_file.engine} on {self.split}"

    @property
    def fingerprint(self) -> str:
        """Changes with the artifact's files, the engine and its version, and the data."""
        engine = {self.artifact_file.engine: installed(self.artifact_file.engine)}
        own = {"sha256": dict(self.artifact_file.sha256), "engine": engine, "split": self.split}
        needs, parts = [need.fingerprint for need in self.needs], versions(["export", "evaluation"])
        return fingerprint({"logits of artifact": own, "needs": needs, "versions": parts})

    @property
    def needs(self) -> Sequence[Job]:
        """The stage, for its data."""
        return (self.data,)

    @property
    def settings(self) -> Mapping[str, Any]:
        """Artifact, engine and split."""
        return {"artifact": self.artifact_file.name, "engine": self.artifact_file.engine, "split": self.split}

    def run(self, folder: Path, inputs: Sequence[Path], emit: Listener) -> Figures:
        """Predicts every sample, in order."""
        model = Model(self.artifact_file, usable_cores())
        logits: list[Tensor] = []
        targets: list[Tensor] = []
        for raw in _loader(self.data.config["data"], self.split):
            batch = Batch.of(raw)
            assert isinstance(batch.inputs, Tensor)
            logits += [torch.from_numpy(model(part.numpy())) for part in torch.split(batch.inputs, BATCH)]
            targets.append(batch.targets)
        save_predictions(folder, torch.cat(logits), torch.cat(targets))
        return {"samples": sum(map(len, targets))}


def _loader(settings: Mapping[str, Any], split: Split) -> Any:
    if split == "test":
        return test_set(settings).test_dataloader()
    data = training_set(settings)
    if not has_validation(data) or getattr(data, "val_size", 1) == 0:
        raise BadInput(
            "A cascade learns its threshold on validation samples, and the run held none out. Train with "
            "data.val_fraction=0.1, or set the threshold of a server yourself: serve.cascade.threshold=0.9"
        )
    return data.val_dataloader()


def predictions(artifact: Artifact, stage: Path, split: Split) -> Arrays:
    """Logits of an artifact, and labels, on a split of the data of a stage; from the store where it has them.

    Args:
        artifact: to run.
        stage: its folder in the store.
        split: `val` or `test`.
    """
    job, store = ArtifactLogits(artifact, FinishedStage.at(stage), split), Store(stage.parent)
    execute([job], store, lambda event: None)
    logits, labels = load_predictions(store.folder(job))
    return logits.numpy(), labels.numpy()
