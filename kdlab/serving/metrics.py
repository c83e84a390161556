"""Metrics for Prometheus, of one process or, where there are several, of all of them."""

import os
import struct
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from kdlab.serving.artifact import Artifact

PHASES = ("decode", "queue", "inference", "total")
SECONDS = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)
SAMPLES = (1, 2, 4, 8, 16, 32, 64, 128)
SHARED = "PROMETHEUS_MULTIPROC_DIR"  # read by prometheus_client when it is imported
RATE_SECONDS = 10
ATTEMPTS = 20  # to read the files of all processes


@contextmanager
def shared_between_processes() -> Iterator[Callable[[int], None]]:
    """Processes that are forked within count together; `prometheus_client` must not have been imported.

    Yields:
        What is to be called with the id of each of them that has ended.
    """
    with tempfile.TemporaryDirectory(prefix="kdlab-serve-") as folder:
        os.environ[SHARED] = folder
        from prometheus_client.multiprocess import mark_process_dead

        yield mark_process_dead
        del os.environ[SHARED]


class Metrics:
    """Everything that `/metrics` has, each name with the prefix `kdlab_serve_`."""

    def __init__(self) -> None:
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()

        def made(kind: Any, name: str, text: str, labels: Sequence[str] = (), **more: Any) -> Any:
            mode = {"multiprocess_mode": "livesum"} if kind is Gauge else {}
            return kind(f"kdlab_serve_{name}", text, labels, registry=self.registry, **{**mode, **more})

        phase = made(Histogram, "phase_seconds", "Seconds of a request in each phase.", ["phase"], buckets=SECONDS)
        self.phases = {name: phase.labels(name) for name in PHASES}
        self.batch = made(Histogram, "batch_samples", "Samples of one call of the engine.", buckets=SAMPLES)
        self.queue = made(Gauge, "queue_samples", "Samples that wait for the engine.")
        self.requests = made(Counter, "requests", "Requests by path and status.", ["path", "status"])
        self.samples = made(Counter, "samples", "Samples that were predicted.")
        self.rejected = made(Counter, "rejected", "Requests without a prediction, by reason.", ["reason"])
        self.artifact = made(
            Gauge,
            "artifact_info",
            "What is served, always 1.",
            ["role", "name", "network", "engine", "sha256"],
            multiprocess_mode="livemax",
        )
        self.ready = made(Gauge, "ready", "Processes that are warmed up.")
        self.capacity = made(Gauge, "capacity_samples_per_second", "Of the engine, at its best batch size, at warm-up.")
        self.rate = made(Gauge, "rate_samples_per_second", f"Samples a second, over {RATE_SECONDS} seconds.")
        self.deferred = made(Counter, "deferred", "Samples that the student deferred to the teacher.")
        self.teacher_failures = made(
            Counter, "teacher_failures", "Requests with deferred samples that the student answered.", ["reason"]
        )
        self.threshold = made(
            Gauge, "cascade_threshold", "Probability below which the student defers.", multiprocess_mode="livemax"
        )
        self.shadow = made(
            Gauge,
            "shadow_agreement",
            "Share of shadowed samples that the teacher labels as the student: live, low and high end of its 95 % "
            "interval, and at export.",
            ["figure"],
            multiprocess_mode="livemin",
        )
        self.shadow_samples = made(Gauge, "shadow_samples", "Samples in the window of the shadow.")
        self.is_below = made(
            Gauge,
            "shadow_is_below",
            "1 where the interval of the live agreement lies below the agreement at export.",
            multiprocess_mode="livemax",
        )
        self._recent: deque[tuple[float, int]] = deque()

    def describe(self, role: str, artifact: Artifact) -> None:
        """Says what is served."""
        name = artifact.name
        self.artifact.labels(role, name, artifact.network, artifact.engine, artifact.sha256[name]).set(1)

    def called(self, samples: int, seconds: float, waits: Sequence[float]) -> None:
        """After each call of the engine: its samples, its seconds, and the seconds that each request waited."""
        self.batch.observe(samples)
        self.phases["inference"].observe(seconds)
        for wait in waits:
            self.phases["queue"].observe(wait)
        self.samples.inc(samples)
        self._recent.append((time.monotonic(), samples))

    def refresh(self, waiting: int, drift: dict[str, Any] | None) -> None:
        """Sets what is read at a moment; called about once a second.

        Args:
            waiting: samples in the queue.
            drift: the summary of the shadow, where there is one.
        """
        self.queue.set(waiting)
        while self._recent and self._recent[0][0] < time.monotonic() - RATE_SECONDS:
            self._recent.popleft()
        self.rate.set(sum(samples for _, samples in list(self._recent)) / RATE_SECONDS)
        if drift:
            low, high = drift["interval"]
            figures = {"live": drift["agreement"], "low": low, "high": high, "export": drift["agreement_at_export"]}
            for name, value in figures.items():
                if value is not None:
                    self.shadow.labels(name).set(value)
            self.shadow_samples.set(drift["samples"])
            self.is_below.set(bool(drift["is_below"]))

    def exposition(self) -> tuple[bytes, str]:
        """The body of `/metrics`, and its content type."""
        from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
        from prometheus_client.multiprocess import MultiProcessCollector

        registry = self.registry
        if os.environ.get(SHARED):
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        for _ in range(ATTEMPTS):
            try:
                return generate_latest(registry), CONTENT_TYPE_LATEST
            except struct.error:  # a process that starts has made its file, and not yet given it a length
                time.sleep(0.001)
        return generate_latest(registry), CONTENT_TYPE_LATEST
