"""The machine on which artifacts are measured."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

CPU_INFO = Path("/proc/cpuinfo")
BOARD = Path("/proc/device-tree/model")
COUNTERS = Path("/sys/class/powercap")
PACKAGES = ("numpy", "onnxruntime", "openvino", "executorch", "torch", "onnx")
ALL = "all"  # as a number of threads: the cores that this process may use
FEATURES = (
    *("sse4_2", "avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "avx_vnni", "amx_int8", "amx_bf16"),
    *("asimd", "asimddp", "i8mm", "bf16", "sve", "sve2"),
)
"""Instructions that decide how fast INT8 and float32 are, of x86 and of Arm."""


def machine() -> dict[str, Any]:
    """Its processor, the instructions that matter, its versions, and whether it can measure energy."""
    counters, reason = energy_counters()
    return {
        "cpu": processor(),
        "cores": usable_cores(),
        "features": cpu_features(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: found for name in PACKAGES if (found := installed(name))},
        "energy": None if counters else reason,
    }


def processor() -> str:
    """The name of the processor, or of the board that has it."""
    return _field("model name") or _board() or platform.processor() or platform.machine()


def usable_cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def thread_counts(asked: Sequence[int | str]) -> list[int]:
    """Numbers of threads, each once and in order, with `all` as the cores that this process may use."""
    return list(dict.fromkeys(usable_cores() if one == ALL else int(one) for one in asked))


def cpu_features() -> list[str]:
    """Those of `FEATURES` that the processor has; empty where the system does not list them."""
    flags = (_field("flags") or _field("Features") or "").split()
    return [name for name in FEATURES if name in flags]


def energy_counters() -> tuple[list[Path], str]:
    """The files that count the microjoules of each processor; otherwise none, and the reason."""
    files = sorted(COUNTERS.glob("intel-rapl:*/energy_uj")) if COUNTERS.is_dir() else []
    files = [file for file in files if file.parent.name.count(":") == 1]  # another colon: a part of a processor
    if not files:
        return [], f"this machine has no energy counter in {COUNTERS}"
    if locked := [file for file in files if not os.access(file, os.R_OK)]:
        return [], f"{locked[0]} can be read by its owner only"
    return files, ""


def microjoules(counters: Sequence[str]) -> dict[str, int]:
    """What each counter says now."""
    return {counter: int(Path(counter).read_text()) for counter in counters}


def joules(before: Mapping[str, int], after: Mapping[str, int]) -> float:
    """The joules between two readings of `microjoules`, of all counters; each may have begun again at 0 once."""
    limits = {counter: int(Path(counter).with_name("max_energy_range_uj").read_text()) for counter in before}
    return sum((after[counter] - first) % limits[counter] for counter, first in before.items()) / 1e6


def _board() -> str:
    """Such as `Raspberry Pi 4 Model B Rev 1.4`: the processors of most boards have no name."""
    return BOARD.read_text(errors="replace").strip("\0\n ") if BOARD.is_file() else ""


def _field(name: str) -> str:
    lines = CPU_INFO.read_text().splitlines() if CPU_INFO.is_file() else []
    return next((line.partition(":")[2].strip() for line in lines if line.partition(":")[0].strip() == name), "")


def installed(package: str) -> str | None:
    """The version of a package; None where it is absent."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None
