"""One training in a process, so that start-up and memory are its own; see `kdlab.benchmarking.workers`.

Each loop imports what it needs itself: the plain loop does not pay for kdlab's imports.
"""

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

import torch

from kdlab.benchmarking.rounds import Rounds
from kdlab.errors import StoppedEarly

Job = Mapping[str, Any]


def main() -> None:
    """The process: requests come over stdin, replies go to stdout. Whatever else is printed goes to stderr."""
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    work(sys.stdin, replies)


def work(requests: TextIO, replies: TextIO) -> None:
    """Reads a job, one line of JSON, and trains in rounds until the requests end.

    A job has `loop` (a name of `LOOPS`), `threads`, and what its loop reads.
    """
    job = json.loads(requests.readline())
    torch.set_num_threads(job["threads"])
    try:
        LOOPS[job["loop"]](job, Rounds(requests, replies))
    except StoppedEarly:
        return


def plain(job: Job, rounds: Rounds) -> None:
    """A tutorial's loop; reads `data`, `num_workers`, `student`, `teacher` (or null), `optimizer`."""
    from kdlab.benchmarking.noise import noise
    from kdlab.benchmarking.plain import plain_loader, plain_loop
    from kdlab.models.build import build_network

    data = job["data"]
    images, labels = noise(data["samples"], data["classes"], data["image_size"])
    options = {name: data[name] for name in ("batch_size", "mean", "std", "padding")}
    loader = plain_loader(images, labels, **options, num_workers=job["num_workers"])
    student = build_network(**job["student"])
    teacher = build_network(**job["teacher"]) if job["teacher"] else None
    settings = {name: value for name, value in job["optimizer"].items() if name != "_partial_"}
    optimizer = getattr(torch.optim, settings.pop("_target_").rpartition(".")[2])(student.parameters(), **settings)
    _follow(plain_loop(student, teacher, loader, optimizer, _device()), rounds)


def bare(job: Job, rounds: Rounds) -> None:
    """kdlab's tensors without Lightning; reads `stage`."""
    from kdlab.benchmarking.bare import bare_loop
    from kdlab.jobs.training.preparation import initial_network
    from kdlab.jobs.training.stage import Stage

    stage = Stage(**job["stage"])
    _follow(bare_loop(stage, initial_network(stage), _device()), rounds)


def kdlab(job: Job, rounds: Rounds) -> None:
    """The student of a run; reads `overrides` and `cache`, a folder."""
    from kdlab.benchmarking.run import RoundsCallback, train_student

    train_student(job["overrides"], Path(job["cache"]), [RoundsCallback(rounds)])


def cells(job: Job, rounds: Rounds) -> None:
    """Whole runs, one after the other, each a step; reads `cells` (the overrides of each) and `cache`."""
    from kdlab.benchmarking.run import train_student

    rounds.step_done()
    for overrides in job["cells"]:
        train_student(overrides, Path(job["cache"]))
        rounds.step_done()


LOOPS: Mapping[str, Callable[[Job, Rounds], None]] = {"plain": plain, "bare": bare, "kdlab": kdlab, "cells": cells}


def _follow(steps: Iterator[None], rounds: Rounds) -> None:
    for _ in steps:
        rounds.step_done()


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


if __name__ == "__main__":
    main()
