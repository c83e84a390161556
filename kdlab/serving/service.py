"""What a server holds: its settings, and, once it is loaded, its models."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from kdlab.errors import BadInput, KdlabError
from kdlab.serving.artifact import Artifact
from kdlab.serving.batcher import Batcher
from kdlab.serving.bodies import Bodies
from kdlab.serving.drift import Drift
from kdlab.serving.images import Images
from kdlab.serving.metrics import Metrics
from kdlab.serving.model import Model, Signature, Speed
from kdlab.serving.predictor import Predictor
from kdlab.serving.settings import ServeSettings

Announce = Callable[[str, str], None]  # the name of a phase of the start, and what came of it


@dataclass
class Service:
    """A server's models, none until `load`.

    Attributes:
        settings: of the server.
        artifact: that is served.
        teacher: of the cascade and the shadow; None without either.
        threshold: of the cascade; None without one.
        metrics: of the process.
        signature: what the artifact takes and gives.
        images: decodes image files; None for a model that takes something else.
        predictor: answers requests; None while it is not ready.
        bodies: reads those of requests.
        stopping: ends the warm-up.
    """

    settings: ServeSettings
    artifact: Artifact
    teacher: Artifact | None = None
    threshold: float | None = None
    metrics: Metrics = field(default_factory=Metrics)
    signature: Signature | None = None
    images: Images | None = None
    predictor: Predictor | None = None
    bodies: Bodies = field(init=False)
    stopping: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        settings = self.settings
        most, pending = int(settings.max_body_mb * 1e6), int(settings.max_pending_mb * 1e6)
        self.bodies = Bodies(most, pending, settings.read_timeout_s)

    @property
    def is_ready(self) -> bool:
        """Whether every batch size was run."""
        return self.predictor is not None

    def load(self, announce: Announce) -> None:
        """Opens the artifacts and runs every batch size; in a thread, while the server says that it is alive.

        Raises:
            BadInput: the artifact, or the teacher, does not fit.
            JobFailed: the artifact's engine fails; a teacher whose engine fails is left out.
        """
        settings, model = self.settings, Model(self.artifact, self.settings.threads)
        self.signature = signature = model.signature
        self.images = Images.of(self.artifact, signature, settings.crop_fraction, settings.max_megapixels)
        student, speed = self._warmed_up(model)
        fastest = f"{speed.samples_per_second:.0f} samples/s at {speed.batch}, the best of 1 to {settings.max_batch}"
        announce("warm-up", f"{self.artifact.name} in {self.artifact.engine}: {fastest}")
        teacher = self._loaded_teacher(signature, announce)
        if self.stopping.is_set():
            return
        self.metrics.describe("student", self.artifact)
        self.metrics.capacity.set(speed.samples_per_second)
        if self.threshold is not None:
            self.metrics.threshold.set(self.threshold)
        drift = Drift(settings.shadow, settings.window, self._agreement_at_export()) if settings.shadow else None
        options = {"teacher": teacher, "threshold": self.threshold, "drift": drift}
        self.predictor = Predictor(student, settings.timeout_s, self.metrics, **options)  # type: ignore[arg-type]
        self.metrics.ready.set(1)

    def refresh(self) -> None:
        """Sets the metrics that are read at a moment."""
        if self.predictor:
            drift = self.predictor.drift
            self.metrics.refresh(self.predictor.student.waiting, drift.summary() if drift else None)

    def close(self) -> None:
        """Runs what is queued, and ends the threads."""
        self.stopping.set()
        if self.predictor:
            self.predictor.close()

    def _warmed_up(self, model: Model, observe: Any = None) -> tuple[Batcher, Speed]:
        speed = model.warm_up(self.settings.max_batch, self.stopping.is_set)
        batcher = Batcher(model, self.settings.max_batch, self.settings.queue, observe or self.metrics.called)
        batcher.samples_per_second = speed.samples_per_second
        return batcher, speed

    def _loaded_teacher(self, signature: Signature, announce: Announce) -> Batcher | None:
        if self.teacher is None:
            return None
        try:
            model = Model(self.teacher, self.settings.threads)
            check_teacher(model.signature, signature, self.teacher.name)
            batcher, speed = self._warmed_up(model, lambda samples, seconds, waits: None)
        except BadInput:
            raise
        except KdlabError as error:
            announce("teacher", f"left out, the student answers everything: {error}")
            return None
        announce(
            "teacher", f"{self.teacher.name} in {self.teacher.engine}: {speed.samples_per_second:.0f} samples/s at best"
        )
        self.metrics.describe("teacher", self.teacher)
        return batcher

    def _agreement_at_export(self) -> float | None:
        """Of the artifact with its teacher on the test set, where that is the teacher here."""
        share = self.artifact.proof.get("agreement_with_teacher")
        teachers = list(self.artifact.teachers)
        return share / 100 if self.teacher and share is not None and teachers == [self.teacher.stage] else None


def check_teacher(teacher: Signature, student: Signature, name: str) -> None:
    """Checks that a teacher takes what the student takes, and has its labels.

    Raises:
        BadInput: naming what differs.
    """
    for what in ("datatype", "shape", "labels"):
        theirs, ours = getattr(teacher, what), getattr(student, what)
        if theirs != ours:
            short = [f"{str(one)[:60]}" for one in (theirs, ours)]
            raise BadInput(
                f"serve.teacher: the {what} of {name} must be the student's, {short[1]}; got {short[0]}. Name the "
                "export of a network that was trained on the same data."
            )
