"""Times a training step of one pair in each way."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import nn

import kdlab
from kdlab.benchmarking.case import EVERY, WARM, Case, Job, bare_settings, filling_job, job
from kdlab.benchmarking.crew import Turn, Worker, crew, in_turns
from kdlab.benchmarking.run import FOLDER
from kdlab.config.compose import compose_config
from kdlab.jobs.events import ignore
from kdlab.jobs.plan import Plan
from kdlab.jobs.stages import network_settings
from kdlab.jobs.training.hardware import cpu_threads
from kdlab.jobs.training.parts import make_data
from kdlab.models.build import build_network
from kdlab.runtime.executor import execute
from kdlab.store.store import Store

WARM_UP = 1  # turns before the first that counts
FIRST = 1  # step that ends the start-up


@dataclass(frozen=True)
class Timing:
    """One way to train.

    Attributes:
        seconds: of a step, one value a repeat.
        memory_bytes: the most that it held.
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


def measure(case: Case, folder: Path, repeats: int, steps: int, ways: Sequence[str] = EVERY) -> Timings:
    """Trains in each of the ways, in turns.

    The warm cache is filled before with what its training visits. All of a training's steps are in one epoch where
    the data have enough samples.

    Args:
        case: what is trained.
        folder: an empty one for everything written.
        repeats: turns of each way.
        steps: timed ones of a turn; one more before them is not timed.
        ways: of `EVERY`.
    """
    plan = prepare(case, folder)
    jobs = {way: job(way, case, folder, plan.student) for way in ways}
    if WARM in ways:
        fill(filling_job(case, folder), folder, total_steps(repeats, steps))
    with crew(jobs, folder) as workers:
        in_turns(workers, WARM_UP, steps)
        turns = in_turns(workers, repeats, steps)
        return {way: timing(workers[way].start_seconds, turns[way], steps) for way in ways}


def total_steps(repeats: int, steps: int) -> int:
    """How many steps a training does in all its turns."""
    return FIRST + (WARM_UP + repeats) * (1 + steps)


def fill(told: Job, folder: Path, steps: int) -> None:
    """Does so many steps of a job, so that its cache has what they visit."""
    worker = Worker(told, folder / "fill.log")
    try:
        worker.turn(steps - FIRST, untimed=0)
    finally:
        worker.end()


def timing(start_seconds: float, turns: Sequence[Turn], steps: int) -> Timing:
    """What turns of so many timed steps say of one way."""
    return Timing(tuple(turn.seconds / steps for turn in turns), turns[-1].memory_bytes, start_seconds)


def prepare(case: Case, folder: Path) -> Plan:
    """Leaves a teacher in `folder`: its checkpoint, and its stage in the store.

    Returns:
        The plan of the run with a live teacher.
    """
    folder.mkdir(parents=True, exist_ok=True)
    config = compose_config(case.lines(folder, "teacher"), FOLDER)
    settings = {**network_settings(config.model.teacher), "num_classes": case.classes, "checkpoint": None}
    _write_teacher(settings, config, folder / "teacher.pt")
    plan = kdlab.plan(config)
    with cpu_threads(case.threads):
        execute([teacher for teacher, _ in plan.teachers], Store(config.paths.store), ignore)
    return plan


def _write_teacher(settings: Mapping[str, Any], config: Any, path: Path) -> None:
    """Random weights, with the batch statistics of some images: a teacher whose answers are of an ordinary size."""
    data = make_data(config.data)
    data.setup("fit")
    module = build_network(**bare_settings(settings), setting="model.teacher")
    for layer in module.modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            layer.momentum = 1.0
    with torch.no_grad():
        module.train()(next(iter(data.train_dataloader())).inputs.float() / 255)
    torch.save(module.state_dict(), path)
