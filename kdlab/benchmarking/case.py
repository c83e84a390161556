"""What is trained, the ways to train it, and what each is told."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from kdlab.jobs.training.stage import Stage

PLAIN, PLAIN_ALONE, BARE = "plain loop", "plain, alone", "bare, alone"
ALONE, LIVE, COLD, WARM = "kdlab, alone", "kdlab, live", "kdlab, cold", "kdlab, warm"
"""`alone`: the student without its teacher."""
EVERY = (PLAIN, PLAIN_ALONE, BARE, ALONE, LIVE, COLD, WARM)

LABELS_ONLY = "loss=ce"
OVERRIDES: Mapping[str, tuple[str, ...]] = {
    ALONE: (LABELS_ONLY,),
    LIVE: ("cache.enabled=false",),
    COLD: ("cache.enabled=true",),
    WARM: ("cache.enabled=true",),
}
"""What the ways of kdlab's own differ in."""

LOADERS = 2  # processes that load for a plain loop, as in PyTorch's tutorials
BARE_NETWORK = ("source", "name", "num_classes", "kwargs", "checkpoint")
Job = dict[str, Any]
"""As `kdlab.benchmarking.worker` reads it."""


@dataclass(frozen=True)
class Case:
    """What is trained.

    Attributes:
        pair: an option of `model`.
        image_size: side in pixels.
        batch_size: of a step.
        classes: of the data.
        samples: of the training set.
        threads: of the CPU.
        overrides: further ones, of every way of kdlab's own.
    """

    pair: str
    image_size: int = 32
    batch_size: int = 64
    classes: int = 100
    samples: int = 4096
    threads: int = 1
    overrides: tuple[str, ...] = ()

    def lines(self, home: Path, run: str, *more: str) -> list[str]:
        """The overrides of a run.

        Args:
            home: the folder with `teacher.pt` and the store; runs are in it too.
            run: the name of its folder.
            more: further overrides, which win over the case's.
        """
        sizes = {name: getattr(self, name) for name in ("image_size", "batch_size", "classes", "samples")}
        data = ["data=noise", *(f"data.{name}={value}" for name, value in sizes.items())]
        paths = [f"paths.outputs='{home / run}'", f"paths.store='{home / 'store'}'"]
        teacher = f"model.teacher.checkpoint='{home / 'teacher.pt'}'"
        own = [line for line in self.overrides if LABELS_ONLY not in more or not line.startswith("loss")]
        given = [f"model={self.pair}", "baseline=false", f"hardware.threads={self.threads}", teacher]
        return [*given, *data, *paths, *own, *more]


def job(way: str, case: Case, home: Path, student: Stage) -> Job:
    """What a way to train is told.

    Args:
        way: of `EVERY`.
        case: what is trained.
        home: where kdlab's runs are.
        student: as kdlab would train it with a live teacher.
    """
    if way in OVERRIDES:
        return kdlab_job(case, home, way, slug(way))
    if way == BARE:
        return {"loop": "bare", "threads": case.threads, "stage": asdict(replace(student, teachers=()))}
    return {
        "loop": "plain",
        "threads": case.threads,
        "data": dict(student.data),
        "workers": LOADERS,
        "student": bare_settings(student.network),
        "teacher": bare_settings(student.teachers[0][0].network) if way == PLAIN else None,
        "optimizer": dict(student.optimizer),
    }


def filling_job(case: Case, home: Path) -> Job:
    """What fills the cache of the warm way: its training, as a run of another name."""
    return kdlab_job(case, home, WARM, "fill")


def kdlab_job(case: Case, home: Path, way: str, run: str) -> Job:
    """A way of kdlab's own, as a run of this name; each way has a cache of its own."""
    lines = case.lines(home, run, *OVERRIDES[way])
    return {"loop": "kdlab", "threads": case.threads, "overrides": lines, "cache": str(home / f"{slug(way)}-cache")}


def cells_job(way: str, case: Case, home: Path, overrides: Sequence[str], count: int) -> Job:
    """Runs of one epoch that differ in temperature, where they have one, and share a cache."""
    own = [() if LABELS_ONLY in overrides else (f"loss.temperature={number + 1}",) for number in range(count)]
    cells = [
        case.lines(home, f"{slug(way)}-{number}", "epochs=1", *overrides, *lines) for number, lines in enumerate(own)
    ]
    return {"loop": "cells", "threads": case.threads, "cells": cells, "cache": str(home / f"{slug(way)}-cache")}


def slug(way: str) -> str:
    """A way's name for files."""
    return way.replace(",", "").replace(" ", "-")


def bare_settings(network: Mapping[str, Any]) -> dict[str, Any]:
    """What of a network's settings makes its bare module."""
    return {name: network[name] for name in BARE_NETWORK}
