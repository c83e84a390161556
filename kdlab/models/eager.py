"""A finished stage as PyTorch runs it: the engine that artifacts are measured against."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from kdlab.models.saved import load_network


def open_eager(path: str, threads: int) -> Callable[[Mapping[str, Any]], Any]:
    """The network in float32 with its preprocessing, as an engine of `kdlab.inference.engines`.

    Args:
        path: the folder of the stage.
        threads: of the whole process.
    """
    torch.set_num_threads(threads)
    network = load_network(Path(path))

    def run(inputs: Mapping[str, Any]) -> Any:
        with torch.inference_mode():
            return network(*(torch.from_numpy(array) for array in inputs.values())).numpy()

    return run
