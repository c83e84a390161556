"""Isolates a run: global state is restored after it, and one run at a time uses the process."""

import os
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from kdlab.errors import BadInput

WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"  # with a fixed size cuBLAS is deterministic
_running = threading.RLock()  # reentrant in its own thread


@contextmanager
def isolated() -> Iterator[None]:
    """A context for a run. Torch's generators and thread count belong to the whole process: one run at a time has them.

    Afterwards every global generator, the number of CPU threads, and the settings that `trainer.deterministic` and
    `trainer.benchmark` change are restored.

    Raises:
        BadInput: another thread of this process is inside a run.
    """
    if not _running.acquire(blocking=False):
        raise BadInput(
            "kdlab.run: another thread of this process is running a plan, and both would draw from torch's one "
            "generator and set its one number of threads. Wait for its end, or start a process for each run."
        )
    gpus = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else []  # type: ignore[no-untyped-call]
    threads, python, legacy = torch.get_num_threads(), random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(gpus), _restored_algorithms():
            yield
    finally:
        torch.set_num_threads(threads)
        random.setstate(python)
        np.random.set_state(legacy)
        _running.release()


@contextmanager
def _restored_algorithms() -> Iterator[None]:
    """Restores torch's global settings of determinism and benchmarking, which a Trainer changes."""
    deterministic = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    benchmark, workspace = torch.backends.cudnn.benchmark, os.environ.get(WORKSPACE)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)
        torch.backends.cudnn.benchmark = benchmark
        os.environ.pop(WORKSPACE, None)
        if workspace is not None:
            os.environ[WORKSPACE] = workspace
