"""What is trained, the variants of training it, and the job that each gives its worker."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from kdlab.jobs.training.stage import Stage

PLAIN, PLAIN_STUDENT, BARE = "plain loop", "plain, student only", "bare, student only"
STUDENT, LIVE, COLD, WARM = "kdlab, student only", "kdlab, live", "kdlab, cold", "kdlab, warm"
"""`student only`: without a teacher."""
VARIANTS = (PLAIN, PLAIN_STUDENT, BARE, STUDENT, LIVE, COLD, WARM)

LABELS_ONLY = "loss=ce"
OVERRIDES: Mapping[str, tuple[str, ...]] = {
    STUDENT: (LABELS_ONLY,),
    LIVE: ("cache.enabled=false",),
    COLD: ("cache.enabled=true",),
    WARM: ("cache.enabled=true",),
}
"""What kdlab's variants differ in."""

NUM_WORKERS = 2  # of the plain loop's DataLoader, as in PyTorch's tutorials
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
        overrides: further ones, of each of kdlab's variants.
    """

    pair: str
    image_size: int = 32
    batch_size: int = 64
    classes: int = 100
    samples: int = 4096
    threads: int = 1
    overrides: tuple[str, ...] = ()

    def run_overrides(self, folder: Path, run: str, *more: str) -> list[str]:
        """The overrides of a run.

        Args:
            folder: has `teacher.pt`, the store, and the folders of runs.
            run: the name of its folder.
            more: further overrides, which win over the case's.
        """
        sizes = {name: getattr(self, name) for name in ("image_size", "batch_size", "classes", "samples")}
        data = ["data=noise", *(f"data.{name}={value}" for name, value in sizes.items())]
        paths = [f"paths.outputs='{folder / run}'", f"paths.store='{folder / 'store'}'"]
        teacher = f"model.teacher.checkpoint='{folder / 'teacher.pt'}'"
        own = [line for line in self.overrides if LABELS_ONLY not in more or not line.startswith("loss")]
        given = [f"model={self.pair}", "baseline=false", f"hardware.threads={self.threads}", teacher]
        return [*given, *data, *paths, *own, *more]


def job(variant: str, case: Case, folder: Path, student: Stage) -> Job:
    """The job of a variant's worker.

    Args:
        variant: of `VARIANTS`.
        case: what is trained.
        folder: has kdlab's runs.
        student: as kdlab would train it with a live teacher.
    """
    if variant in OVERRIDES:
        return kdlab_job(case, folder, variant, slug(variant))
    if variant == BARE:
        return {"loop": "bare", "threads": case.threads, "stage": asdict(replace(student, teachers=()))}
    return {
        "loop": "plain",
        "threads": case.threads,
        "data": dict(student.data),
        "num_workers": NUM_WORKERS,
        "student": bare_settings(student.network),
        "teacher": bare_settings(student.teachers[0][0].network) if variant == PLAIN else None,
        "optimizer": dict(student.optimizer),
    }


def filling_job(case: Case, folder: Path) -> Job:
    """The job that fills the cache of the warm variant: the same training, as a run of another name."""
    return kdlab_job(case, folder, WARM, "fill")


def kdlab_job(case: Case, folder: Path, variant: str, run: str) -> Job:
    """The job of one of kdlab's variants, as a run of this name; each variant has a cache of its own."""
    overrides = case.run_overrides(folder, run, *OVERRIDES[variant])
    cache = str(folder / f"{slug(variant)}-cache")
    return {"loop": "kdlab", "threads": case.threads, "overrides": overrides, "cache": cache}


def cells_job(variant: str, case: Case, folder: Path, overrides: Sequence[str], count: int) -> Job:
    """A job of runs of one epoch that differ in temperature, where they have one, and share a cache."""
    own = [() if LABELS_ONLY in overrides else (f"loss.temperature={number + 1}",) for number in range(count)]
    cells = [
        case.run_overrides(folder, f"{slug(variant)}-{number}", "epochs=1", *overrides, *lines)
        for number, lines in enumerate(own)
    ]
    return {"loop": "cells", "threads": case.threads, "cells": cells, "cache": str(folder / f"{slug(variant)}-cache")}


def slug(variant: str) -> str:
    """A variant's name for files."""
    return variant.replace(",", "").replace(" ", "-")


def bare_settings(network: Mapping[str, Any]) -> dict[str, Any]:
    """Those of a network's settings that build its module."""
    return {name: network[name] for name in BARE_NETWORK}
