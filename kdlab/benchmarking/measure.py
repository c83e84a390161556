"""What is measured of a pair of networks: the same training, written and run in several ways."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import torch
from rich.console import Console
from torch import nn

from kdlab.benchmarking.crew import Turn, Worker, crew, in_turns
from kdlab.benchmarking.run import FOLDER
from kdlab.config import compose_config
from kdlab.execute import Watch, obtain
from kdlab.models.build import build_network
from kdlab.plan import Plan, make_plan
from kdlab.screen import Screen
from kdlab.stage import make_data, threads
from kdlab.stages import network_settings
from kdlab.store import Store

PLAIN, PLAIN_ALONE, BARE = "plain loop", "plain, alone", "bare, alone"
ALONE, LIVE, COLD, WARM = "kdlab, alone", "kdlab, live", "kdlab, cold", "kdlab, warm"
"""`alone`: the student without its teacher."""
EVERY = (PLAIN, PLAIN_ALONE, BARE, ALONE, LIVE, COLD, WARM)
OVERRIDES: Mapping[str, tuple[str, ...]] = {
    ALONE: ("loss=ce",),
    LIVE: ("cache.enabled=false",),
    COLD: ("cache.enabled=true",),
    WARM: ("cache.enabled=true",),
}
"""What the ways of kdlab's own differ in."""

BARE_NETWORK = ("source", "name", "num_classes", "kwargs", "checkpoint")
LOADERS = 2  # processes that load for a plain loop, as in PyTorch's tutorials
WARM_UP = 1  # turns before the first that counts
FIRST = 1  # step that ends the start-up


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

    def lines(self, folder: Path, *more: str) -> list[str]:
        """The overrides of a run whose outputs and caches are in a folder."""
        sizes = {name: getattr(self, name) for name in ("image_size", "batch_size", "classes", "samples")}
        places = [f"paths.outputs='{folder}'", f"paths.store='{folder.parent / 'store'}'"]
        data = ["data=noise", *(f"data.{name}={value}" for name, value in sizes.items())]
        checkpoint = f"model.teacher.checkpoint='{folder.parent / 'teacher.pt'}'"
        given = [f"hardware.threads={self.threads}", checkpoint, *more, *self.overrides]
        return [f"model={self.pair}", "baseline=false", *data, *places, *given]


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
    jobs = {way: _job(way, case, folder, plan) for way in ways}
    if WARM in ways:
        fill(jobs[WARM], folder, total_steps(repeats, steps))
    with crew(jobs, folder) as workers:
        in_turns(workers, WARM_UP, steps)
        turns = in_turns(workers, repeats, steps)
        return {way: timing(workers[way].start_seconds, turns[way], steps) for way in ways}


def total_steps(repeats: int, steps: int) -> int:
    """How many steps a training does in all its turns."""
    return FIRST + (WARM_UP + repeats) * (1 + steps)


def fill(job: Mapping[str, Any], folder: Path, steps: int) -> None:
    """Does the steps of a job once in another process, so that a cache has what they visit."""
    worker = Worker(job, folder / "fill.log")
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
    config = compose_config(case.lines(folder / "live"), FOLDER)
    settings = {**network_settings(config.model.teacher), "num_classes": case.classes, "checkpoint": None}
    _write_teacher(settings, config, folder / "teacher.pt")
    plan = make_plan(config)
    with threads(case.threads):
        for teacher, _ in plan.teachers:
            obtain(teacher, Store.at(config.paths.store), Watch(Screen(Console(file=io.StringIO()))))
    return plan


def _write_teacher(settings: Mapping[str, Any], config: Any, path: Path) -> None:
    """Random weights, with the batch statistics of some images: a teacher whose answers are of an ordinary size."""
    data = make_data(config.data)
    data.setup("fit")
    module = build_network(**_bare(settings), setting="model.teacher")
    for layer in module.modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            layer.momentum = 1.0
    with torch.no_grad():
        module.train()(next(iter(data.train_dataloader())).inputs.float() / 255)
    torch.save(module.state_dict(), path)


def _job(way: str, case: Case, folder: Path, plan: Plan) -> dict[str, Any]:
    """As `kdlab.benchmarking.worker` reads it."""
    if way in OVERRIDES:
        return {"loop": "kdlab", "threads": case.threads, "overrides": case.lines(folder / slug(way), *OVERRIDES[way])}
    stage = plan.student
    if way == BARE:
        return {"loop": "bare", "threads": case.threads, "stage": asdict(replace(stage, teachers=()))}
    return {
        "loop": "plain",
        "threads": case.threads,
        "data": dict(stage.data),
        "workers": LOADERS,
        "student": _bare(stage.network),
        "teacher": _bare(stage.teachers[0][0].network) if way == PLAIN else None,
        "optimizer": {name: value for name, value in stage.optimizer.items() if name not in ("_target_", "_partial_")},
    }


def slug(way: str) -> str:
    """A way's name for files."""
    return way.replace(",", "").replace(" ", "-")


def _bare(network: Mapping[str, Any]) -> dict[str, Any]:
    return {name: network[name] for name in BARE_NETWORK}
