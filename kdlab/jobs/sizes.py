"""How a run measures the sizes of its networks: by parameters, by FLOPs or by latency, on a sample of its data.

A latency is measured once for each network and machine and kept in the store, so that a plan which depends on it
stays the same when it is made again.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from omegaconf import DictConfig

from kdlab.inference.machine import processor, usable_cores
from kdlab.jobs.stages import check_choice, plain
from kdlab.jobs.training.parts import make_data
from kdlab.jobs.training.preparation import one_sample
from kdlab.models.scaling import PARAMETERS, Measure, flops_measure, latency_measure
from kdlab.store.atomic import check_writable, write_text_atomically
from kdlab.store.fingerprint import fingerprint

BY = ("parameters", "flops", "latency")
LATENCIES = "latencies"  # folder of the store
OF_NETWORK = ("source", "name", "kwargs", "mean", "std", "image_size")  # settings that a latency depends on


def measure_of(cfg: DictConfig, by: str, setting: str = "plan.by") -> Measure:
    """How the sizes of networks on the run's data are measured.

    Args:
        cfg: config of the run.
        by: one of `BY`.
        setting: that has it, for messages.

    Raises:
        BadInput: no such measure, or a store that cannot be written.
    """
    check_choice(setting, by, BY)
    if by == "parameters":
        return PARAMETERS
    inputs = _sample(json.dumps(plain(cfg.data), sort_keys=True))
    if by == "flops":
        return flops_measure(inputs)
    folder, measure = Path(cfg.paths.store) / LATENCIES, latency_measure(inputs)
    check_writable(folder, "paths.store")
    return replace(measure, size=_KeptLatency(measure, folder, _shapes(inputs)))


@cache
def _sample(data: str) -> Any:
    """The inputs of one training sample, as a batch of one; read once in a process."""
    module = make_data(json.loads(data))
    module.setup("fit")
    return one_sample(module).inputs


def _shapes(inputs: Any) -> Any:
    if isinstance(inputs, Mapping):
        return {name: _shapes(value) for name, value in inputs.items()}
    return [list(inputs.shape), str(inputs.dtype)]


@dataclass(frozen=True)
class _KeptLatency:
    """The latency of a network on this machine as a folder has it; otherwise it is measured, one at a time."""

    measure: Measure
    folder: Path
    inputs: Any  # their shapes

    def __call__(self, settings: Mapping[str, Any], num_classes: int, setting: str) -> float:
        network = {name: settings.get(name) for name in OF_NETWORK}
        machine = {"cpu": processor(), "cores": usable_cores(), "torch": torch.__version__}
        about = {"network": network, "num_classes": num_classes, "inputs": self.inputs, "machine": machine}
        file = self.folder / f"{fingerprint(about)}.json"
        with FileLock(self.folder / "measuring.lock"):
            if not file.is_file():
                latency = self.measure.size(settings, num_classes, setting)
                write_text_atomically(file, json.dumps({**about, "latency_ms": latency}, indent=2) + "\n")
            return float(json.loads(file.read_text())["latency_ms"])
