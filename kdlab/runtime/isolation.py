"""A run leaves its process as it found it, and has it for itself."""

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from kdlab.errors import BadInput

_running = threading.RLock()  # which its own thread may take again


@contextmanager
def undisturbed() -> Iterator[None]:
    """Around a run: torch's generators and thread count are the whole process's, so one run at a time has them.

    Afterwards every global generator and the number of CPU threads are what they were.

    Raises:
        BadInput: another thread of this process is running one.
    """
    if not _running.acquire(blocking=False):
        raise BadInput(
            "kdlab.run: another thread of this process is running a plan, and both would draw from torch's one "
            "generator and set its one number of threads. Wait for its end, or start a process for each run."
        )
    gpus = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else []  # type: ignore[no-untyped-call]
    threads, python, legacy = torch.get_num_threads(), random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(gpus):
            yield
    finally:
        torch.set_num_threads(threads)
        random.setstate(python)
        np.random.set_state(legacy)
        _running.release()
