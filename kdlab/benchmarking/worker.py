"""One training as a process of its own, so that start-up and memory are its own too; see `kdlab.benchmarking.crew`.

Each way to train imports what it needs itself: a plain loop pays for nothing of kdlab's.
"""

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

import torch

from kdlab.benchmarking.turns import Turns
from kdlab.errors import StoppedEarly

Job = Mapping[str, Any]


def main() -> None:
    """The process: takes turns over stdin and stdout. Whatever else is printed goes where errors go."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    work(sys.stdin, answers)


def work(asks: TextIO, answers: TextIO) -> None:
    """Reads a job, one line of JSON, and trains in turns until nobody asks for more.

    A job has `loop` (a name of `LOOPS`), `threads`, and what its loop reads.
    """
    job = json.loads(asks.readline())
    torch.set_num_threads(job["threads"])
    try:
        LOOPS[job["loop"]](job, Turns(asks, answers))
    except StoppedEarly:
        return


def plain(job: Job, turns: Turns) -> None:
    """A tutorial's loop; reads `data`, `workers` (that load), `student`, `teacher` (or null), `optimizer`."""
    from kdlab.benchmarking.noise import noise
    from kdlab.benchmarking.plain import plain_loader, plain_loop
    from kdlab.models.build import build_network

    data = job["data"]
    images, labels = noise(data["samples"], data["classes"], data["image_size"])
    shown = {name: data[name] for name in ("batch_size", "mean", "std", "padding")}
    loader = plain_loader(images, labels, **shown, num_workers=job["workers"])
    student = build_network(**job["student"])
    teacher = build_network(**job["teacher"]) if job["teacher"] else None
    settings = {name: value for name, value in job["optimizer"].items() if name != "_partial_"}
    optimizer = getattr(torch.optim, settings.pop("_target_").rpartition(".")[2])(student.parameters(), **settings)
    _follow(plain_loop(student, teacher, loader, optimizer, _device()), turns)


def bare(job: Job, turns: Turns) -> None:
    """kdlab's tensors without Lightning; reads `stage`."""
    from kdlab.benchmarking.bare import bare_loop
    from kdlab.jobs.training.preparation import initial_network
    from kdlab.jobs.training.stage import Stage

    stage = Stage(**job["stage"])
    _follow(bare_loop(stage, initial_network(stage), _device()), turns)


def kdlab(job: Job, turns: Turns) -> None:
    """The student of a run; reads `overrides` and `cache`, a folder."""
    from kdlab.benchmarking.run import TakesTurns, learn

    learn(job["overrides"], Path(job["cache"]), [TakesTurns(turns)])


def cells(job: Job, turns: Turns) -> None:
    """Whole runs, one after the other, each a step; reads `cells`, the overrides of each, and `cache`."""
    from kdlab.benchmarking.run import learn

    turns.step_done()
    for overrides in job["cells"]:
        learn(overrides, Path(job["cache"]))
        turns.step_done()


LOOPS: Mapping[str, Callable[[Job, Turns], None]] = {"plain": plain, "bare": bare, "kdlab": kdlab, "cells": cells}


def _follow(steps: Iterator[None], turns: Turns) -> None:
    for _ in steps:
        turns.step_done()


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


if __name__ == "__main__":
    main()
