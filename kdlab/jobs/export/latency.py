"""The job that measures artifacts on this machine, in rounds of fresh processes."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from kdlab.data.batch import Batch
from kdlab.errors import BadInput
from kdlab.inference.machine import ALL, machine, thread_counts
from kdlab.inference.rounds import Row, Variant, measure
from kdlab.inference.row_log import RowLog
from kdlab.inference.summary import summaries
from kdlab.jobs.events import Listener, Progress
from kdlab.jobs.export.artifact import INPUT, ArtifactJob
from kdlab.jobs.export.finished import ExportJob, FinishedStage
from kdlab.jobs.export.onnx_file import BARE, PREPARED
from kdlab.jobs.export.samples import test_set
from kdlab.jobs.job import Figures, Job
from kdlab.models.saved import load_network
from kdlab.settings.numbers import is_whole
from kdlab.store.atomic import write_atomically
from kdlab.store.fingerprint import fingerprint
from kdlab.store.versions import versions

EAGER = "pytorch"
ROWS = "rounds.jsonl"
MOST = 128  # samples that are kept as inputs


@dataclass(frozen=True)
class Measurement:
    """How often, at what batch sizes and with how many threads artifacts are measured.

    Attributes:
        batches: samples of a call.
        threads: of a call; `all` are those that this process may use.
        rounds: fresh processes of each variant.

    Raises:
        BadInput: values that are no whole numbers of at least 1.
    """

    batches: Sequence[int] = (1, 32)
    threads: Sequence[int | str] = (1,)
    rounds: int = 5

    def __post_init__(self) -> None:
        wrong = [f"measure.batches={one}" for one in self.batches if not is_whole(one, 1)]
        wrong += [f"measure.threads={one}" for one in self.threads if one != ALL and not is_whole(one, 1)]
        wrong += [] if is_whole(self.rounds, 1) else [f"measure.rounds={self.rounds}"]
        if wrong or not self.batches or not self.threads:
            raise BadInput(
                f"export.measure takes whole numbers of 1 or more, got {', '.join(wrong) or 'an empty list'}. "
                "For example: export.measure.batches=[1,32] export.measure.threads=[1,all] export.measure.rounds=5"
            )

    @property
    def thread_counts(self) -> list[int]:
        """As numbers, each once, in their order."""
        return thread_counts(self.threads)

    @property
    def deciding(self) -> dict[str, int]:
        """The `batch` and `threads` at which artifacts are compared: the first of both."""
        return {"batch": self.batches[0], "threads": self.thread_counts[0]}


@dataclass(frozen=True, eq=False)
class Latency(ExportJob):
    """Measures the student and its first teacher in eager PyTorch, and each artifact in each of its engines.

    Args:
        student: the finished stage.
        pairs: artifacts with an engine each.
        measurement: how.
    """

    student: FinishedStage
    pairs: Sequence[tuple[ArtifactJob, str]]
    measurement: Measurement
    kind: ClassVar[str] = "measurement"

    @property
    def name(self) -> str:  # type: ignore[override]
        """`latency`."""
        return "latency"

    @property
    def fingerprint(self) -> str:
        """Changes with the artifacts, with how they are measured, and with the machine."""
        pairs = [[job.fingerprint, engine] for job, engine in self.pairs]
        own = {"pairs": pairs, **asdict(self.measurement), "threads": self.measurement.thread_counts}
        needs = [need.fingerprint for need in self.needs]
        return fingerprint(
            {"latency": own, "needs": needs, "machine": machine(), "versions": versions(["measurement"])}
        )

    @property
    def networks(self) -> Sequence[FinishedStage]:
        """Those that are measured in PyTorch: the student, unless it only imitates INT8, and its first teacher."""
        student = [] if self.student.change == "quantised" else [self.student]
        return [*student, *(teacher for teacher, _ in self.student.teachers[:1])]

    @property
    def needs(self) -> Sequence[Job]:
        """Networks, then artifacts."""
        return [*self.networks, *(job for job, _ in self.pairs)]

    @property
    def settings(self) -> Mapping[str, Any]:
        """What is measured, and how."""
        return {"pairs": [[job.name, engine] for job, engine in self.pairs], **asdict(self.measurement)}

    def run(self, folder: Path, inputs: Sequence[Path], emit: Listener) -> Figures:
        """Measures, and continues where an interrupted measurement stopped."""
        log, variants = RowLog(folder / ROWS), self._variants(inputs)
        done, total = len(log.rows), len(variants) * self.measurement.rounds

        def report(row: Row) -> None:
            nonlocal done
            done += 1
            log.add(row)
            emit(Progress(self, done, total, text=f"process {done} of {total}: {row['name']} at {row['batch']}"))

        rows = measure(variants, self.measurement.rounds, self._inputs(folder), log.rows, report)
        return {"machine": machine(), "rows": rows, "summaries": summaries(rows)}

    def _variants(self, inputs: Sequence[Path]) -> list[Variant]:
        eager = [(self.named(one), str(path), EAGER, None) for one, path in zip(self.networks, inputs, strict=False)]
        folders = inputs[len(self.networks) :]
        made = [
            (self.named(job), str(job.file(path)), engine, self.bare(path))
            for (job, engine), path in zip(self.pairs, folders, strict=True)
        ]
        return [
            Variant(name, artifact, engine, batch, threads, bare)
            for name, artifact, engine, bare in (*eager, *made)
            for batch in self.measurement.batches
            for threads in self.measurement.thread_counts
        ]

    def named(self, job: Job) -> str:
        """The name of a network or an artifact among the variants."""
        return job.label

    def bare(self, folder: Path) -> str | None:
        """The file of an artifact's network without its preprocessing; None where it is not measured."""
        return str(folder / BARE) if (folder / BARE).is_file() else None

    def _inputs(self, folder: Path) -> dict[str, str]:
        """Writes test images: raw ones, and those that the bare network takes."""
        for name, array in input_arrays(self.student, MOST).items():
            write_atomically(folder / f"{name}.npz", lambda file, one={name: array}: np.savez(file, **one))  # type: ignore[misc]
        return {"inputs": str(folder / f"{INPUT}.npz"), "bare_inputs": str(folder / f"{PREPARED}.npz")}


def input_arrays(student: FinishedStage, most: int) -> "dict[str, np.ndarray[Any, Any]]":
    """The first test images of a stage by the name of the input that takes them: raw, and prepared for the network."""
    network, images = load_network(student.folder), first_images(student, most)
    with torch.no_grad():
        return {INPUT: images.numpy(), PREPARED: network.prepare(images).numpy()}


def first_images(stage: FinishedStage, most: int) -> torch.Tensor:
    """The first test images of a stage: `(images, channels, height, width)`, raw."""
    images = Batch.of(next(iter(test_set(stage.config["data"]).test_dataloader()))).inputs
    assert isinstance(images, torch.Tensor)
    return images[:most]
