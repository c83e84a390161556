"""The trainings that are measured, each in a process; one of them works at a time."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kdlab.errors import TrainingFailed

SETTLING_SECONDS = 0.2  # in which the DataLoader workers of the previous training have filled their queues


@dataclass(frozen=True)
class Round:
    """What the timed steps of a round took.

    Attributes:
        seconds: of all of them.
        memory_bytes: the peak of the process until then.
    """

    seconds: float
    memory_bytes: int


class Worker:
    """A training in a process of its own that has done its first step.

    Args:
        job: as `kdlab.benchmarking.worker` reads it.
        log: the file for what it prints.

    Raises:
        TrainingFailed: the process ended; with its last line.
    """

    def __init__(self, job: Mapping[str, Any], log: Path) -> None:
        self._log = log
        started = time.perf_counter()
        self._process = self._start()
        self._send(job)
        self.first = self._receive()
        self.start_seconds = time.perf_counter() - started

    def run_round(self, timed: int, untimed: int = 1) -> Round:
        """Runs `untimed` steps, then `timed` ones.

        Raises:
            TrainingFailed: the process ended.
        """
        self._send({"timed": timed, "untimed": untimed})
        return self._receive()

    def end(self) -> None:
        """Ends the requests, and waits for the process to exit."""
        assert self._process.stdin and self._process.stdout
        with suppress(BrokenPipeError):  # it ended by itself, and something was left to send
            self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def _start(self) -> "subprocess.Popen[str]":
        with self._log.open("w") as errors:
            return subprocess.Popen(
                [sys.executable, "-m", "kdlab.benchmarking.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )

    def _send(self, request: Mapping[str, Any]) -> None:
        assert self._process.stdin
        try:
            print(json.dumps(request), file=self._process.stdin, flush=True)
        except BrokenPipeError:
            raise self._failed() from None

    def _receive(self) -> Round:
        assert self._process.stdout
        reply = self._process.stdout.readline()
        if not reply:
            raise self._failed()
        return Round(**json.loads(reply))

    def _failed(self) -> TrainingFailed:
        lines = self._log.read_text(errors="replace").strip().splitlines()
        why = "".join(lines[-1:]).partition("kdlab.errors.")[2].partition(": ")[2] or "".join(lines[-1:])
        return TrainingFailed(f"{self._log.stem} ended: {why or 'it printed nothing'}")


@contextmanager
def running(jobs: Mapping[str, Mapping[str, Any]], folder: Path) -> Iterator[dict[str, Worker]]:
    """Workers by name, started one after the other; they end with the body.

    Args:
        jobs: by name.
        folder: for what they print.
    """
    with ExitStack() as ends:
        workers = {}
        for name, job in jobs.items():
            workers[name] = Worker(job, folder / f"{name}.log")
            ends.callback(workers[name].end)
        yield workers


def in_rounds(workers: Mapping[str, Worker], repeats: int, steps: int) -> dict[str, list[Round]]:
    """Each worker's rounds; a repeat is one round of every worker, and begins with another one each time.

    Args:
        workers: by name.
        repeats: rounds of each worker.
        steps: timed ones of a round.
    """
    names = list(workers)
    rounds: dict[str, list[Round]] = {name: [] for name in names}
    for repeat in range(repeats):
        first = repeat % len(names)
        for name in [*names[first:], *names[:first]]:
            time.sleep(SETTLING_SECONDS)
            rounds[name].append(workers[name].run_round(steps))
    return rounds
