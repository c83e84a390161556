"""The machine that runs the benchmark."""

import platform
from pathlib import Path

import torch
from omegaconf import DictConfig

from kdlab.teachers.precision import teacher_precision

CPU_INFO = Path("/proc/cpuinfo")


def machine(hardware: DictConfig) -> dict[str, str | int]:
    """Its properties: processor, versions, and the threads and precisions of the config's `hardware`."""
    gpu = {"gpu": torch.cuda.get_device_name()} if torch.cuda.is_available() else {}
    return {
        "cpu": _cpu(),
        **gpu,
        "threads": hardware.threads,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "precision": hardware.precision,
        "teacher_precision": teacher_precision(hardware.teacher_precision, "cuda" if gpu else "cpu"),
    }


def _cpu() -> str:
    lines = CPU_INFO.read_text().splitlines() if CPU_INFO.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
