"""Training in rounds: it pauses between two steps until the next round is requested, and replies with its seconds."""

import json
import sys
import time
from pathlib import Path
from typing import TextIO

import torch

from kdlab.errors import StoppedEarly

STATUS = Path("/proc/self/status")
KIB = 1024


class Rounds:
    """The training's side of the exchange with the process that measures, in lines of JSON.

    The request `{"untimed": 1, "timed": 5}` starts a round of so many steps. The reply, after them, has the seconds of
    the timed ones and the peak memory so far. The very first step gets a reply without a request: it ends the start-up.

    Args:
        requests: one a line; at its end the training stops.
        replies: one line for each round.
    """

    def __init__(self, requests: TextIO, replies: TextIO) -> None:
        self._requests, self._replies = requests, replies
        self._untimed, self._timed = 0, 1
        self._started = time.perf_counter()

    def step_done(self) -> None:
        """To be called after each step.

        Raises:
            StoppedEarly: there are no more requests.
        """
        if self._untimed:
            self._untimed -= 1
            if not self._untimed:
                self._begin()
            return
        self._timed -= 1
        if not self._timed:
            self._reply()
            self._wait()

    def _begin(self) -> None:
        _synchronize()
        self._started = time.perf_counter()

    def _reply(self) -> None:
        _synchronize()
        reply = {"seconds": time.perf_counter() - self._started, "memory_bytes": peak_memory()}
        print(json.dumps(reply), file=self._replies, flush=True)

    def _wait(self) -> None:
        request = self._requests.readline()
        if not request:
            raise StoppedEarly("no further steps are requested")
        self._untimed, self._timed = (json.loads(request)[name] for name in ("untimed", "timed"))
        if not self._untimed:
            self._begin()


def peak_memory() -> int:
    """The most memory so far in bytes: of the GPU where one is in use, otherwise of this process (resident)."""
    if _has_gpu():
        return torch.cuda.max_memory_allocated()
    if STATUS.is_file():  # unlike getrusage, without what the parent process held when it forked
        (line,) = (line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * KIB
    import resource  # not on Windows

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * KIB


def _synchronize() -> None:
    if _has_gpu():
        torch.cuda.synchronize()


def _has_gpu() -> bool:
    return torch.cuda.is_available() and bool(torch.cuda.is_initialized())  # type: ignore[no-untyped-call]
