"""Assigns stages to GPUs: at most `hardware.jobs_per_gpu` stages train on each at a time.

A slot is a lock in the store: every command and every worker with the same store competes for the same slots. As for
the lock of a stage, the operating system releases it when its owner ends, even by SIGKILL.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from filelock import FileLock, Timeout

from kdlab.jobs.training.hardware import accelerator

if TYPE_CHECKING:
    from kdlab.jobs.training.stage import Stage

POLL_SECONDS = 0.2


@contextmanager
def on_free_gpu(stage: "Stage", store: Path, on_wait: Callable[[], None]) -> Iterator["Stage"]:
    """The stage with `devices` set to a GPU with a free slot; unchanged if it needs no GPU or `jobs_per_gpu` is null.

    Args:
        stage: a stage that this process has locked.
        store: the folder of the store.
        on_wait: called once when every slot is taken.
    """
    jobs = stage.hardware.get("jobs_per_gpu")
    if not jobs or not stage.epochs or accelerator(stage) != "cuda":
        yield stage
        return
    with claimed_slot(store, _names(), jobs, on_wait) as gpu:
        yield replace(stage, trainer={**stage.trainer, "devices": [gpu]})


@contextmanager
def claimed_slot(folder: Path, gpus: Sequence[str], jobs: int, on_wait: Callable[[], None]) -> Iterator[int]:
    """Claims a free slot; the index in `gpus` of its GPU, the one with most free slots first.

    Args:
        folder: of the locks.
        gpus: their names, the same in every process that sees the GPU.
        jobs: number of slots of each.
        on_wait: called once when every slot is taken.
    """
    if (claimed := _claim(folder, gpus, jobs)) is None:
        on_wait()
        while (claimed := _claim(folder, gpus, jobs)) is None:
            time.sleep(POLL_SECONDS)
    gpu, lock = claimed
    try:
        yield gpu
    finally:
        lock.release()


def _claim(folder: Path, gpus: Sequence[str], jobs: int) -> tuple[int, FileLock] | None:
    for slot in range(jobs):
        for gpu, name in enumerate(gpus):
            lock = FileLock(folder / f"gpu-{name}-{slot}.lock")
            try:
                lock.acquire(blocking=False)
            except Timeout:
                continue
            return gpu, lock
    return None


def _names() -> list[str]:
    """UUIDs of the GPUs: `cuda:0` may be a different GPU in each process."""
    return [str(torch.cuda.get_device_properties(gpu).uuid) for gpu in range(torch.cuda.device_count())]
