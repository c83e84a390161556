"""The machine that runs the benchmark."""

import platform

import torch
from omegaconf import DictConfig

from kdlab.inference.machine import processor
from kdlab.teachers.precision import teacher_precision


def machine(hardware: DictConfig) -> dict[str, str | int]:
    """Its properties: processor, versions, and the threads and precisions of the config's `hardware`."""
    gpu = {"gpu": torch.cuda.get_device_name()} if torch.cuda.is_available() else {}
    return {
        "cpu": processor(),
        **gpu,
        "threads": hardware.threads,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "precision": hardware.precision,
        "teacher_precision": teacher_precision(hardware.teacher_precision, "cuda" if gpu else "cpu"),
    }
