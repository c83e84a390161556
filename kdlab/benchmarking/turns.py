"""A training that takes turns: it stops between two steps until it is asked for more, and says how long they took."""

import json
import sys
import time
from pathlib import Path
from typing import TextIO

import torch

from kdlab.errors import StoppedEarly

STATUS = Path("/proc/self/status")
KIB = 1024


class Turns:
    """Talks with the process that measures, in lines of JSON.

    A turn is asked for as `{"untimed": 1, "timed": 5}` and answered, after so many steps, with the seconds of the timed
    ones and the memory so far. The very first step is answered without being asked for: it ends the start-up.

    Args:
        asks: where turns are asked for; its end ends the training.
        answers: where they are answered.
    """

    def __init__(self, asks: TextIO, answers: TextIO) -> None:
        self._asks, self._answers = asks, answers
        self._untimed, self._timed = 0, 1
        self._started = time.perf_counter()

    def step_done(self) -> None:
        """To be called after each step.

        Raises:
            StoppedEarly: nobody asks any more.
        """
        if self._untimed:
            self._untimed -= 1
            if not self._untimed:
                self._begin()
            return
        self._timed -= 1
        if not self._timed:
            self._answer()
            self._wait()

    def _begin(self) -> None:
        _settle()
        self._started = time.perf_counter()

    def _answer(self) -> None:
        _settle()
        said = {"seconds": time.perf_counter() - self._started, "memory_bytes": peak_memory()}
        print(json.dumps(said), file=self._answers, flush=True)

    def _wait(self) -> None:
        asked = self._asks.readline()
        if not asked:
            raise StoppedEarly("nobody asks for more steps")
        self._untimed, self._timed = (json.loads(asked)[name] for name in ("untimed", "timed"))
        if not self._untimed:
            self._begin()


def peak_memory() -> int:
    """The most memory so far in bytes: of the GPU where one is in use, otherwise of this process (resident)."""
    if _has_gpu():
        return torch.cuda.max_memory_allocated()
    if STATUS.is_file():  # unlike getrusage, free of what the parent process held when it forked
        (line,) = (line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * KIB
    import resource  # not on Windows

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * KIB


def _settle() -> None:
    if _has_gpu():
        torch.cuda.synchronize()


def _has_gpu() -> bool:
    return torch.cuda.is_available() and bool(torch.cuda.is_initialized())  # type: ignore[no-untyped-call]
