"""Times a training step of one pair in each variant."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import nn

import kdlab
from kdlab.benchmarking.case import VARIANTS, WARM, Case, Job, bare_settings, filling_job, job
from kdlab.benchmarking.run import FOLDER
from kdlab.benchmarking.workers import Round, Worker, in_rounds, running
from kdlab.config.compose import compose_config
from kdlab.jobs.events import ignore
from kdlab.jobs.plan import Plan
from kdlab.jobs.stages import network_settings
from kdlab.jobs.training.hardware import cpu_threads
from kdlab.jobs.training.parts import make_data
from kdlab.models.build import build_network
from kdlab.runtime.executor import execute
from kdlab.store.store import Store

WARM_UP = 1  # rounds before the first that counts
FIRST = 1  # step that ends the start-up


@dataclass(frozen=True)
class Timing:
    """What one variant takes.

    Attributes:
        seconds: of a step, one value for each repeat.
        memory_bytes: its peak.
        start_seconds: from the start of the process to the end of the first step.
    """

    seconds: tuple[float, ...]
    memory_bytes: int
    start_seconds: float

    @property
    def median(self) -> float:
        """Seconds of a step."""
        return median(self.seconds)


Timings = dict[str, Timing]
"""By variant."""


def measure(case: Case, folder: Path, repeats: int, steps: int, variants: Sequence[str] = VARIANTS) -> Timings:
    """Trains each of the variants, in rounds.

    The warm cache is filled beforehand with what its training reads. All steps of a training are in one epoch where
    the data have enough samples.

    Args:
        case: what is trained.
        folder: an empty one for everything written.
        repeats: rounds of each variant.
        steps: timed ones of a round; one more before them is not timed.
        variants: of `VARIANTS`.
    """
    plan = prepare(case, folder)
    jobs = {variant: job(variant, case, folder, plan.student) for variant in variants}
    if WARM in variants:
        fill(filling_job(case, folder), folder, total_steps(repeats, steps))
    with running(jobs, folder) as workers:
        in_rounds(workers, WARM_UP, steps)
        rounds = in_rounds(workers, repeats, steps)
        return {name: timing(workers[name].start_seconds, rounds[name], steps) for name in variants}


def total_steps(repeats: int, steps: int) -> int:
    """How many steps a training does in all its rounds."""
    return FIRST + (WARM_UP + repeats) * (1 + steps)


def fill(filling: Job, folder: Path, steps: int) -> None:
    """Runs so many steps of a job, which fill its cache."""
    worker = Worker(filling, folder / "fill.log")
    try:
        worker.run_round(steps - FIRST, untimed=0)
    finally:
        worker.end()


def timing(start_seconds: float, rounds: Sequence[Round], steps: int) -> Timing:
    """The timing of one variant, from rounds of `steps` timed steps each."""
    return Timing(tuple(one.seconds / steps for one in rounds), rounds[-1].memory_bytes, start_seconds)


def prepare(case: Case, folder: Path) -> Plan:
    """Writes a teacher to `folder`: its checkpoint, and its stage in the store.

    Returns:
        The plan of the run with a live teacher.
    """
    folder.mkdir(parents=True, exist_ok=True)
    config = compose_config(case.run_overrides(folder, "teacher"), FOLDER)
    settings = {**network_settings(config.model.teacher), "num_classes": case.classes, "checkpoint": None}
    _write_teacher(settings, config, folder / "teacher.pt")
    plan = kdlab.plan(config)
    with cpu_threads(case.threads):
        execute([teacher for teacher, _ in plan.teachers], Store(config.paths.store), ignore)
    return plan


def _write_teacher(settings: Mapping[str, Any], config: Any, path: Path) -> None:
    """Random weights, with the batch statistics of some images, so that logits are of an ordinary size."""
    data = make_data(config.data)
    data.setup("fit")
    module = build_network(**bare_settings(settings), setting="model.teacher")
    for layer in module.modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            layer.momentum = 1.0
    with torch.no_grad():
        module.train()(next(iter(data.train_dataloader())).inputs.float() / 255)
    torch.save(module.state_dict(), path)
