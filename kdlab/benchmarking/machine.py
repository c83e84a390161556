"""What was measured on."""

import platform
from pathlib import Path

import torch
from omegaconf import OmegaConf

from kdlab.benchmarking.case import Case
from kdlab.benchmarking.run import FOLDER
from kdlab.config import compose_config

CPU_INFO = Path("/proc/cpuinfo")


def machine(case: Case) -> dict[str, str | int]:
    """Processor, threads and versions; and what of the case's config decides about the teacher's arithmetic."""
    hardware = compose_config(case.lines(Path(), "", ""), FOLDER).hardware
    gpu = {"gpu": torch.cuda.get_device_name()} if torch.cuda.is_available() else {}
    return {
        "cpu": _cpu(),
        **gpu,
        "threads": case.threads,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "precision": hardware.precision,
        "teacher_precision": OmegaConf.select(hardware, "teacher_precision", default="float32"),
    }


def _cpu() -> str:
    lines = CPU_INFO.read_text().splitlines() if CPU_INFO.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
