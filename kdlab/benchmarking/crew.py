"""The trainings that are measured, each a process; one of them works at a time."""

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

SETTLING_SECONDS = 0.2  # in which the loading processes of the one before have filled their queues


@dataclass(frozen=True)
class Turn:
    """What some steps took.

    Attributes:
        seconds: of all of them.
        memory_bytes: the most that the process had until then.
    """

    seconds: float
    memory_bytes: int


class Worker:
    """A training in a process of its own that has done its first step.

    Args:
        job: as `kdlab.benchmarking.worker` reads it.
        log: where it prints.

    Raises:
        TrainingFailed: it ended; with its last line.
    """

    def __init__(self, job: Mapping[str, Any], log: Path) -> None:
        self._log = log
        started = time.perf_counter()
        self._process = self._started()
        self._say(job)
        self.first = self._heard()
        self.start_seconds = time.perf_counter() - started

    def turn(self, timed: int, untimed: int = 1) -> Turn:
        """Has it do some steps, and those before them that are not timed.

        Raises:
            TrainingFailed: it ended.
        """
        self._say({"timed": timed, "untimed": untimed})
        return self._heard()

    def end(self) -> None:
        """Lets it end."""
        assert self._process.stdin and self._process.stdout
        with suppress(BrokenPipeError):  # it ended by itself, and something was left to be said
            self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def _started(self) -> "subprocess.Popen[str]":
        with self._log.open("w") as errors:
            return subprocess.Popen(
                [sys.executable, "-m", "kdlab.benchmarking.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )

    def _say(self, line: Mapping[str, Any]) -> None:
        assert self._process.stdin
        try:
            print(json.dumps(line), file=self._process.stdin, flush=True)
        except BrokenPipeError:
            raise self._failed() from None

    def _heard(self) -> Turn:
        assert self._process.stdout
        answer = self._process.stdout.readline()
        if not answer:
            raise self._failed()
        return Turn(**json.loads(answer))

    def _failed(self) -> TrainingFailed:
        said = self._log.read_text(errors="replace").strip().splitlines()
        why = "".join(said[-1:]).partition("kdlab.errors.")[2].partition(": ")[2] or "".join(said[-1:])
        return TrainingFailed(f"{self._log.stem} ended: {why or 'it said nothing'}")


@contextmanager
def crew(jobs: Mapping[str, Mapping[str, Any]], folder: Path) -> Iterator[dict[str, Worker]]:
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


def in_turns(workers: Mapping[str, Worker], repeats: int, steps: int) -> dict[str, list[Turn]]:
    """Each worker's turns; a round goes through all of them, and begins with another one each time.

    Args:
        workers: by name.
        repeats: rounds.
        steps: timed ones of a turn.
    """
    names = list(workers)
    found: dict[str, list[Turn]] = {name: [] for name in names}
    for number in range(repeats):
        first = number % len(names)
        for name in [*names[first:], *names[:first]]:
            time.sleep(SETTLING_SECONDS)
            found[name].append(workers[name].turn(steps))
    return found
