"""What `hardware=` and `trainer.*` come to on this machine."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

from kdlab.teachers.precision import teacher_precision

if TYPE_CHECKING:
    from kdlab.jobs.training.stage import Stage


def accelerator(stage: "Stage") -> str:
    """`cuda` or `cpu` (or what else was asked for), once `auto` is decided."""
    wanted = str(stage.trainer.get("accelerator", stage.hardware["accelerator"]))
    if wanted in ("auto", "gpu", "cuda"):
        return "cuda" if torch.cuda.is_available() else "cpu"
    return wanted


def ranks(stage: "Stage") -> int:
    """How many processes train the stage together."""
    devices = stage.trainer.get("devices", stage.hardware["devices"])
    if isinstance(devices, int) and devices > 0:
        return devices
    if isinstance(devices, list):
        return len(devices)
    return max(torch.cuda.device_count(), 1) if accelerator(stage) == "cuda" else 1


def thread_count(stage: "Stage") -> int:
    """How many CPU threads each of its processes computes with."""
    return int(stage.hardware.get("threads") or torch.get_num_threads())


def precision_of_teachers(stage: "Stage") -> str:
    """What its frozen teachers compute in, `float32` or `bfloat16`, once `auto` is decided."""
    return teacher_precision(stage.hardware.get("teacher_precision", "auto"), accelerator(stage))


@contextmanager
def cpu_threads(count: int | None) -> Iterator[None]:
    """Runs with that many CPU threads, and restores the number before."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
