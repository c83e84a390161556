"""The values of `hardware=` and `trainer.*` on this machine, once `auto` is resolved."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

from kdlab.teachers.precision import teacher_precision

if TYPE_CHECKING:
    from kdlab.jobs.training.stage import Stage


def accelerator(stage: "Stage") -> str:
    """`cuda` or `cpu`, with `auto` resolved; any other accelerator unchanged."""
    requested = str(stage.trainer.get("accelerator", stage.hardware["accelerator"]))
    if requested in ("auto", "gpu", "cuda"):
        return "cuda" if torch.cuda.is_available() else "cpu"
    return requested


def ranks(stage: "Stage") -> int:
    """Number of processes that train the stage together."""
    devices = stage.trainer.get("devices", stage.hardware["devices"])
    if isinstance(devices, int) and devices > 0:
        return devices
    if isinstance(devices, list):
        return len(devices)
    return max(torch.cuda.device_count(), 1) if accelerator(stage) == "cuda" else 1


def thread_count(stage: "Stage") -> int:
    """Number of CPU threads of each of its processes."""
    return int(stage.hardware.get("threads") or torch.get_num_threads())


def precision_of_teachers(stage: "Stage") -> str:
    """Precision of its frozen teachers, such as `float32`, with `auto` resolved."""
    return teacher_precision(stage.hardware.get("teacher_precision", "auto"), device_of_teachers(stage))


def device_of_teachers(stage: "Stage") -> str:
    """The type of the device that its frozen teachers compute on: `cuda` or `cpu`."""
    own = stage.hardware.get("teacher_device")
    return torch.device(own).type if own else accelerator(stage)


@contextmanager
def cpu_threads(count: int | None) -> Iterator[None]:
    """A context with that many CPU threads; None leaves the number unchanged."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
