"""The machine on which artifacts are measured."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

CPU_INFO = Path("/proc/cpuinfo")
COUNTERS = Path("/sys/class/powercap")
PACKAGES = ("numpy", "onnxruntime", "openvino", "torch", "onnx")
FEATURES = (
    *("sse4_2", "avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "avx_vnni", "amx_int8", "amx_bf16"),
    *("asimd", "asimddp", "i8mm", "bf16", "sve", "sve2"),
)
"""Instructions that decide how fast INT8 and float32 are, of x86 and of Arm."""


def machine() -> dict[str, Any]:
    """Its processor, the instructions that matter, its versions, and whether it can measure energy."""
    counter, reason = energy_counter()
    return {
        "cpu": _field("model name") or platform.processor() or platform.machine(),
        "cores": usable_cores(),
        "features": cpu_features(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: found for name in PACKAGES if (found := installed(name))},
        "energy": None if counter else reason,
    }


def usable_cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cpu_features() -> list[str]:
    """Those of `FEATURES` that the processor has; empty where the system does not list them."""
    flags = (_field("flags") or _field("Features") or "").split()
    return [name for name in FEATURES if name in flags]


def energy_counter() -> tuple[Path | None, str]:
    """The file that counts the microjoules of the processor; otherwise None, and the reason."""
    files = sorted(COUNTERS.glob("*/energy_uj")) if COUNTERS.is_dir() else []
    if not files:
        return None, "this machine has no energy counter in /sys/class/powercap"
    if not os.access(files[0], os.R_OK):
        return None, f"{files[0]} can be read by its owner only"
    return files[0], ""


def _field(name: str) -> str:
    lines = CPU_INFO.read_text().splitlines() if CPU_INFO.is_file() else []
    return next((line.partition(":")[2].strip() for line in lines if line.partition(":")[0].strip() == name), "")


def installed(package: str) -> str | None:
    """The version of a package; None where it is absent."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None
