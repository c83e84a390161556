"""Processors and threads, as torch and its libraries see them in this process."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kdlab.diagnosis.packages import INSTALL
from kdlab.diagnosis.property import Property
from kdlab.errors import first_line
from kdlab.reporting.render.magnitude import scaled

VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
DRIVER = Path("/proc/driver/nvidia/version")  # of an NVIDIA GPU, on Linux


def devices() -> list[Property]:
    """CPU cores, CUDA GPUs and Apple's."""
    from joblib import cpu_count

    usable, every = cpu_count(), os.cpu_count() or 1
    cores = Property("CPU", f"{usable} cores", f"of the machine's {every}" if usable < every else "all of the machine")
    torch, error = imported_torch()
    if torch is None:
        fix = f"{INSTALL} --force-reinstall torch torchvision"
        return [cores, Property("torch", "cannot be imported", error, f"torch cannot be imported ({error}): {fix}")]
    mps = "yes" if torch.backends.mps.is_available() else "none"
    return [cores, *(_gpus(torch) or [Property("CUDA", "none", _why_none(torch.version.cuda))]), Property("MPS", mps)]


def threads(chosen: int | None) -> list[Property]:
    """The number of threads of each library, and the variables that set it.

    Args:
        chosen: the setting `hardware.threads`.
    """
    torch, _ = imported_torch()
    properties = [Property("hardware.threads", str(chosen or "null"), "of a run; null: as many as torch has")]
    if torch is not None:
        between = f"and {torch.get_num_interop_threads()} between operations"
        properties.append(Property("torch", str(torch.get_num_threads()), between))
    properties += [Property(name, os.environ.get(name, "not set")) for name in VARIABLES]
    return [*properties, *_pools()]


def imported_torch() -> tuple[Any, str]:
    """torch, or None and why it cannot be imported: one of its libraries may be absent."""
    try:
        import torch
    except (ImportError, OSError) as error:
        return None, first_line(error)
    return torch, ""


def _gpus(torch: Any) -> list[Property]:
    found = []
    for number in range(torch.cuda.device_count()):
        gpu = torch.cuda.get_device_properties(number)
        about = f"{scaled(gpu.total_memory)}B, compute capability {gpu.major}.{gpu.minor}"
        found.append(Property(f"CUDA {number}", gpu.name, about))
    return found


def _why_none(built_for: str | None) -> str:
    if built_for:
        return f"torch is built for CUDA {built_for}"
    return "but there is one: this torch is built without CUDA" if DRIVER.is_file() else "torch is built without CUDA"


def _pools() -> Iterator[Property]:
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return
    for pool in threadpool_info():
        library = Path(pool["filepath"]).name
        yield Property(pool["internal_api"], str(pool["num_threads"]), f"{library} {pool['version'] or ''}".strip())
