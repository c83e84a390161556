"""Proofs: what an artifact predicts on the whole test set, beside the student and its teachers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from kdlab.data.batch import Batch
from kdlab.errors import JobFailed, first_line
from kdlab.inference.engines import ENGINES, Run
from kdlab.inference.machine import installed
from kdlab.jobs.events import Listener, Progress
from kdlab.jobs.export.artifact import INPUT, ArtifactJob
from kdlab.jobs.export.finished import ExportJob, FinishedStage
from kdlab.jobs.export.samples import test_set
from kdlab.jobs.job import Figures, Job
from kdlab.models.saved import load_network, load_predictions, save_predictions
from kdlab.store.atomic import write_atomically
from kdlab.store.fingerprint import fingerprint
from kdlab.store.versions import versions
from kdlab.tasks.base import task_of
from kdlab.tasks.metrics import agreement
from kdlab.tasks.predictions import averaged_probabilities, predict

BATCH = 128
OTHER_BATCHES = {1: 8, 3: 9}  # batch sizes that are tried too, on how many samples
REFERENCE = "onnx"  # the engine that is slow and independent of all others
REFERENCE_SAMPLES = 64
FIRST = "first.npy"  # logits of the first samples, for the check by the reference


@dataclass(frozen=True, eq=False)
class StudentLogits(ExportJob):
    """The student's own logits on the test set: in float32, by torch on the CPU, as artifacts are compared with.

    Args:
        student: the finished stage.
    """

    student: FinishedStage
    kind: ClassVar[str] = "export"

    @property
    def name(self) -> str:  # type: ignore[override]
        """Such as `resnet20 in torch`."""
        return f"{self.student.network} in torch"

    @property
    def fingerprint(self) -> str:
        """Changes with the student."""
        return fingerprint({"logits of": self.student.fingerprint, "versions": versions(["evaluation", "networks"])})

    @property
    def needs(self) -> Sequence[Job]:
        """The student."""
        return (self.student,)

    @property
    def settings(self) -> Mapping[str, Any]:
        """The student."""
        return {"student": self.student.fingerprint}

    def run(self, folder: Path, inputs: Sequence[Path], emit: Listener) -> Figures:
        """Evaluates it."""
        data = test_set(self.student.config["data"])
        task = task_of(data)
        logits, labels = predict(load_network(inputs[0]), data.test_dataloader(), torch.device("cpu"), task)
        save_predictions(folder, logits, labels)
        return {f"test/{name}": value for name, value in task.figures(logits, labels).items()}

    def outcome(self, figures: Figures, reused: bool) -> str:
        """Such as `evaluated 91.73 % test accuracy`."""
        task = self.student.task
        verb, value = "reused" if reused else "evaluated", task.headline.show(figures[task.outcome])
        return f"{verb:<9} {value} test {task.headline.label}"


@dataclass(frozen=True, eq=False)
class Proof(ExportJob):
    """Runs one artifact in one engine on the whole test set, and compares its logits with the student's.

    Args:
        artifact: the job that writes it.
        engine: see `kdlab.inference.engines`.
    """

    artifact_job: ArtifactJob
    engine: str
    kind: ClassVar[str] = "proof"

    @property
    def is_measured(self) -> bool:
        """Whether its latency is: a program of torch takes what the eager network takes, which is measured."""
        return self.engine != "torch"

    @property
    def student(self) -> FinishedStage:
        """Whose network it is."""
        return self.artifact_job.student

    @property
    def name(self) -> str:  # type: ignore[override]
        """Such as `resnet20-int8.onnx in onnxruntime`."""
        return f"{self.artifact_job.name} in {self.engine}"

    @property
    def fingerprint(self) -> str:
        """Changes with the artifact, the engine and its version."""
        engine = {self.engine: installed(self.engine)}
        needs = [need.fingerprint for need in self.needs]
        return fingerprint({"proof of": needs, "engine": engine, "versions": versions(["export", "evaluation"])})

    @property
    def needs(self) -> Sequence[Job]:
        """The artifact, the student's logits, and the teachers."""
        teachers = [teacher for teacher, _ in self.student.teachers]
        return (self.artifact_job, StudentLogits(self.student), *teachers)

    @property
    def settings(self) -> Mapping[str, Any]:
        """Artifact and engine."""
        return {"artifact": self.artifact_job.name, "engine": self.engine, "needs": [n.fingerprint for n in self.needs]}

    def run(self, folder: Path, inputs: Sequence[Path], emit: Listener) -> Figures:
        """Compares; an engine that cannot run the artifact is a result too, as `error`."""
        about = {"artifact": self.artifact_job.name, "engine": self.engine}
        try:
            return {**about, **self._compared(folder, inputs, emit)}
        except JobFailed as error:
            return {**about, "samples": 0, "error": str(error)}

    def _compared(self, folder: Path, inputs: Sequence[Path], emit: Listener) -> dict[str, Any]:
        data = test_set(self.student.config["data"])
        task, (student, labels) = task_of(data), load_predictions(inputs[1])
        total, engine = len(labels), opened(self.engine, self.artifact_job.file(inputs[0]))

        def done(samples: int) -> None:
            emit(Progress(self, samples, total, text=f"{samples} of {total} samples"))

        logits = predicted(engine, data, BATCH, total, done)
        tries = [(predicted(engine, data, size, some), some) for size, some in OTHER_BATCHES.items()]
        first = logits[:REFERENCE_SAMPLES].numpy()
        write_atomically(folder / FIRST, lambda file: np.save(file, first))
        found, expected = task.figures(logits, labels), task.figures(student, labels)
        headline, compared = task.description.headline, task.compare(logits, student)
        differences = [logits - student, *(one - student[: len(one)] for one, _ in tries)]
        return {
            "samples": total,
            **{f"test/{name}": value for name, value in found.items()},
            "drop": headline.gain(expected[headline.name], found[headline.name]),
            "agreement": compared["agreement"],
            "kl_to_student": compared["kl_to_teacher"],
            "largest_difference": max(_largest(one) for one in differences),
            "largest_logit": _largest(student),
            **self._with_teacher(logits, inputs[2:]),
        }

    def outcome(self, figures: Figures, reused: bool) -> str:
        """Such as `proved    91.70 % test accuracy, agreement 99.21 %`."""
        verb, task = "reused" if reused else "proved", self.student.task
        if "error" in figures:
            return f"{verb:<9} {figures['error']}"
        value = task.headline.show(figures[task.outcome])
        return f"{verb:<9} {value} test {task.headline.label}, agrees with the student on {figures['agreement']:.2f} %"

    def _with_teacher(self, logits: Tensor, folders: Sequence[Path]) -> dict[str, float]:
        if not folders:
            return {}
        weights = torch.tensor([weight for _, weight in self.student.teachers], dtype=torch.float64)
        every = torch.stack([load_predictions(folder)[0].double() for folder in folders])
        return {"agreement_with_teacher": agreement(logits, averaged_probabilities(every, weights / weights.sum()))}


@dataclass(frozen=True, eq=False)
class ReferenceCheck(ExportJob):
    """Runs the first test samples through the reference implementation of ONNX too, where there is no second engine.

    Args:
        proof: of the artifact in its engine.
    """

    proof: Proof
    kind: ClassVar[str] = "proof"

    @property
    def name(self) -> str:  # type: ignore[override]
        """Such as `resnet20-int8.onnx in onnx`."""
        return f"{self.proof.artifact_job.name} in {REFERENCE}"

    @property
    def fingerprint(self) -> str:
        """Changes with the proof and the reference's version."""
        return fingerprint({"check of": self.proof.fingerprint, "onnx": installed(REFERENCE)})

    @property
    def needs(self) -> Sequence[Job]:
        """The artifact, the student's logits, and the proof."""
        return (*self.proof.needs[:2], self.proof)

    @property
    def settings(self) -> Mapping[str, Any]:
        """The artifact."""
        return {"artifact": self.proof.artifact_job.name, "proof": self.proof.fingerprint}

    def run(self, folder: Path, inputs: Sequence[Path], emit: Listener) -> Figures:
        """Compares both engines; `error` where the engine or the reference cannot run the artifact."""
        about = {"artifact": self.proof.artifact_job.name, "engine": REFERENCE, "beside": self.proof.engine}
        if not (inputs[2] / FIRST).is_file():
            return {**about, "samples": 0, "error": f"{self.proof.engine} cannot run it"}
        student, first = load_predictions(inputs[1])[0], torch.from_numpy(np.load(inputs[2] / FIRST))
        data = test_set(self.proof.student.config["data"])
        try:
            engine = opened(REFERENCE, self.proof.artifact_job.file(inputs[0]))
            logits = predicted(engine, data, BATCH, len(first))
        except JobFailed as error:
            return {**about, "samples": 0, "error": str(error)}
        return {
            **about,
            "samples": len(first),
            "agreement": agreement(logits, first),
            "largest_difference": _largest(logits - first),
            "largest_of_artifact": _largest(first - student[: len(first)]),
            "largest_logit": _largest(first),
        }

    def outcome(self, figures: Figures, reused: bool) -> str:
        """Such as `checked   agrees with onnxruntime on 100.00 % of 64 samples`."""
        verb = "reused" if reused else "checked"
        if "error" in figures:
            return f"{verb:<9} {figures['error']}"
        return (
            f"{verb:<9} agrees with {figures['beside']} on {figures['agreement']:.2f} % of {figures['samples']} samples"
        )


def opened(engine: str, file: Path) -> Run:
    """An artifact in an engine, with torch's number of threads.

    Raises:
        JobFailed: the engine refuses it.
    """
    try:
        return ENGINES[engine](str(file), torch.get_num_threads(), None)
    except Exception as error:  # of the engine
        raise JobFailed(f"{engine} cannot open {file.name}: {first_line(error)[:300]}") from error


def predicted(run: Run, data: Any, size: int, total: int, done: Callable[[int], None] = lambda samples: None) -> Tensor:
    """Logits of the first `total` test samples, in batches of `size`.

    Raises:
        JobFailed: the engine fails.
    """
    logits: list[Tensor] = []
    for raw in data.test_dataloader():
        inputs = Batch.of(raw).inputs
        assert isinstance(inputs, Tensor)
        for batch in torch.split(inputs[: total - sum(map(len, logits))], size):
            try:
                logits.append(torch.from_numpy(run({INPUT: batch.numpy()})))
            except Exception as error:  # of the engine
                raise JobFailed(f"the engine fails at a batch of {len(batch)}: {first_line(error)[:300]}") from error
            done(sum(map(len, logits)))
        if sum(map(len, logits)) >= total:
            break
    return torch.cat(logits)


def _largest(values: Tensor) -> float:
    return float(values.abs().max())
