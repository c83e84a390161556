"""GPUs shared out among stages: on each, no more of them train at a time than `hardware.jobs_per_gpu` says.

A slot is a lock in the store: every command and every worker with the same store competes for the same slots. Like the
lock of a stage it is the operating system's, and ends with its owner, however that ends.
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
def placed(stage: "Stage", store: Path, on_wait: Callable[[], None]) -> Iterator["Stage"]:
    """The stage on a GPU that has room for it; as it is where it needs none, or `jobs_per_gpu` is null.

    Args:
        stage: to be trained by this process alone.
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
    """The place in `gpus` of one that has room; the emptiest first.

    Args:
        folder: of the locks.
        gpus: a name each, the same for every process that sees the GPU.
        jobs: how many share one.
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
    """By serial number: what `cuda:0` is, each process may see differently."""
    return [str(torch.cuda.get_device_properties(gpu).uuid) for gpu in range(torch.cuda.device_count())]
