"""From inputs to logits: by the student, by the teacher where the student is unsure, and by both for a share."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kdlab.errors import JobFailed
from kdlab.serving.batcher import Batcher
from kdlab.serving.cascade import confidence
from kdlab.serving.drift import Drift
from kdlab.serving.metrics import Metrics
from kdlab.serving.model import Rows
from kdlab.serving.refusals import Refused

MOST_SHADOWS = 16  # requests that wait for the teacher off the critical path
ABSENT = "absent"


@dataclass(frozen=True)
class Prediction:
    """What a request gets.

    Attributes:
        logits: `(samples, classes)`.
        by_teacher: the samples whose logits are the teacher's.
        failure: why the teacher did not predict what was deferred to it; empty where it did.
    """

    logits: Rows
    by_teacher: NDArray[np.bool_]
    failure: str = ""


class Predictor:
    """Answers requests with the student, and with the teacher what the student defers.

    Args:
        student: its engine.
        timeout_s: that a request may wait for either.
        metrics: counts what is deferred and what fails.
        teacher: its engine; None where there is none, or where it could not be loaded.
        threshold: the student's probability below which it defers; None for no cascade.
        drift: which requests are shadowed, and what that finds; None for no shadow.
    """

    def __init__(
        self,
        student: Batcher,
        timeout_s: float,
        metrics: Metrics,
        *,
        teacher: Batcher | None = None,
        threshold: float | None = None,
        drift: Drift | None = None,
    ) -> None:
        self.student, self.teacher, self.threshold, self.drift = student, teacher, threshold, drift
        self._timeout_s, self._metrics = timeout_s, metrics
        self._shadows: set[asyncio.Task[None]] = set()

    async def predict(self, rows: Rows) -> Prediction:
        """Predicts samples `(samples, …)`.

        Raises:
            Refused: there is no room or no time for them.
            JobFailed: the student's engine fails.
        """
        logits = await self.student.logits(rows, self._timeout_s)
        predicted = await self._cascade(rows, logits)
        if self.drift and self.drift.takes_next():
            self._shadow(rows, logits, predicted)
        return predicted

    def describe(self, predicted: Prediction) -> Mapping[str, Any]:
        """What a response says about who predicted; nothing without a cascade."""
        if self.threshold is None:
            return {}
        about: dict[str, Any] = {"deferred": int(predicted.by_teacher.sum())}
        return {**about, "teacher_failure": predicted.failure} if predicted.failure else about

    def close(self) -> None:
        """Runs what is queued, and ends the threads."""
        for task in self._shadows:
            task.cancel()
        for batcher in filter(None, (self.student, self.teacher)):
            batcher.close()

    async def _cascade(self, rows: Rows, logits: Rows) -> Prediction:
        if self.threshold is None:
            return Prediction(logits, np.zeros(len(rows), bool))
        unsure = confidence(logits) < np.float32(self.threshold)
        if not unsure.any():
            return Prediction(logits, unsure)
        self._metrics.deferred.inc(int(unsure.sum()))
        try:
            if self.teacher is None:
                raise Refused(503, ABSENT, "the teacher could not be loaded")
            theirs = await self.teacher.logits(rows[unsure], self._timeout_s)
        except (Refused, JobFailed) as error:
            reason = error.reason if isinstance(error, Refused) else "failed"
            self._metrics.teacher_failures.labels(reason).inc()
            return Prediction(logits, np.zeros(len(rows), bool), reason)
        both = logits.copy()
        both[unsure] = theirs
        return Prediction(both, unsure)

    def _shadow(self, rows: Rows, logits: Rows, predicted: Prediction) -> None:
        """Compares both on a request, after it is answered and only where there is room."""
        assert self.drift is not None
        if self.teacher is None or len(self._shadows) >= MOST_SHADOWS:
            self.drift.skipped += 1
            return
        if predicted.by_teacher.all():
            self.drift.record((logits.argmax(-1) == predicted.logits.argmax(-1)).tolist())
            return
        task = asyncio.get_running_loop().create_task(self._compare(rows, logits.argmax(-1)))
        self._shadows.add(task)
        task.add_done_callback(self._shadows.discard)

    async def _compare(self, rows: Rows, labels: NDArray[np.integer]) -> None:
        assert self.drift is not None and self.teacher is not None
        try:
            theirs = await self.teacher.logits(rows, self._timeout_s)
        except (Refused, JobFailed):
            self.drift.skipped += 1
        else:
            self.drift.record((labels == theirs.argmax(-1)).tolist())
