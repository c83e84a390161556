"""Measures artifacts in rounds: every variant once in each, in another order, each in a fresh process."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .machine import energy_counters

PROCESS = f"{__package__}.process"
ROOT = Path(__file__).resolve().parents[__package__.count(".") + 1]  # from which this package is imported
THREAD_SETTINGS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
ONE_SAMPLE = (50, 300)  # calls at batch 1: warm-up, and timed
LEAST = (5, 20)
ATTEMPTS = 2  # to start a process that a signal ends, such as that of a system out of memory


@dataclass(frozen=True)
class Variant:
    """What is measured in a process.

    Attributes:
        name: of the artifact.
        artifact: its file.
        engine: a name of `ENGINES`.
        batch: samples of a call.
        threads: of a call.
        bare: the network without its preprocessing, for the same engine; None where there is none.
    """

    name: str
    artifact: str
    engine: str
    batch: int
    threads: int
    bare: str | None = None

    @property
    def key(self) -> tuple[str, str, int, int]:
        """Its name, engine, batch and threads, by which its rows are found."""
        return self.name, self.engine, self.batch, self.threads


Row = dict[str, Any]  # the figures of one process, with `round` and the key of its variant


def measure(
    variants: Sequence[Variant],
    rounds: int,
    inputs: Mapping[str, Any],
    done: Sequence[Row] = (),
    report: Callable[[Row], None] = lambda row: None,
) -> list[Row]:
    """Measures every variant in every round.

    Args:
        variants: each of another `key`.
        rounds: number of processes of each variant.
        inputs: `inputs`, a file of raw inputs, `bare_inputs`, one of prepared ones or None, and `labels` or none, see
            `kdlab.inference.process`.
        done: rows of an interrupted measurement, which are not measured again.
        report: is called with each new row.

    Returns:
        All rows; that of a process which failed has `error` in place of figures.
    """
    rows = list(done)
    known = {(row["round"], *key_of(row)) for row in rows}
    for number, variant in _order(variants, rounds):
        if (number, *variant.key) not in known:
            row = {"round": number, **{field: getattr(variant, field) for field in KEY}, **_run(variant, inputs)}
            rows.append(row)
            report(row)
    return rows


KEY = ("name", "engine", "batch", "threads")


def key_of(row: Mapping[str, Any]) -> tuple[str, str, int, int]:
    """The key of the variant that a row belongs to."""
    name, engine, batch, threads = (row[field] for field in KEY)
    return name, engine, batch, threads


def calls(batch: int) -> tuple[int, int]:
    """Calls that warm up, and calls that are timed: fewer of larger batches."""
    return max(ONE_SAMPLE[0] // batch, LEAST[0]), max(ONE_SAMPLE[1] // batch, LEAST[1])


def _order(variants: Sequence[Variant], rounds: int) -> Iterator[tuple[int, Variant]]:
    for number in range(rounds):
        shuffled = list(variants)
        random.Random(number).shuffle(shuffled)
        yield from ((number, variant) for variant in shuffled)


def _run(variant: Variant, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The figures of one process, or its `error`."""
    warmup, timed = calls(variant.batch)
    counters = [str(counter) for counter in energy_counters()[0]]
    job = {**asdict(variant), **inputs, "warmup": warmup, "calls": timed, "energy": counters}
    for _ in range(ATTEMPTS):
        process = _start(job)
        if process.returncode >= 0:
            break
    if process.returncode:
        return {"error": _failure(process)}
    figures: dict[str, Any] = json.loads(process.stdout)
    return figures


def _start(job: Mapping[str, Any]) -> subprocess.CompletedProcess[str]:
    threads = dict.fromkeys(THREAD_SETTINGS, str(job["threads"]))
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.run(
        [sys.executable, "-m", PROCESS],
        input=json.dumps({**job, "started": time.monotonic()}),
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
        env={**os.environ, **threads, "PYTHONPATH": path},
    )


def _failure(process: subprocess.CompletedProcess[str]) -> str:
    if process.returncode < 0:
        return f"the process was killed by {signal.Signals(-process.returncode).name}"
    lines = process.stderr.strip().splitlines()
    return lines[-1] if lines else f"the process ended with exit code {process.returncode}"
