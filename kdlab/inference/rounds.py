"""Measures artifacts in rounds: every variant once in each, in another order, each in a fresh process."""

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .machine import energy_counter

PROCESS = f"{__package__}.process"
ROOT = Path(__file__).resolve().parents[__package__.count(".") + 1]  # from which this package is imported
THREAD_SETTINGS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
ONE_SAMPLE = (50, 300)  # calls at batch 1: warm-up, and timed
LEAST = (5, 20)


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
    inputs: Mapping[str, str | None],
    done: Sequence[Row] = (),
    report: Callable[[Row], None] = lambda row: None,
) -> list[Row]:
    """Measures every variant in every round.

    Args:
        variants: each of another `key`.
        rounds: number of processes of each variant.
        inputs: `inputs`, a file of raw inputs, and `bare_inputs`, one of prepared ones or None.
        done: rows of an interrupted measurement, which are not measured again.
        report: is called with each new row.

    Returns:
        All rows; that of a process which failed has `error` in place of figures.
    """
    rows = list(done)
    known = {(row["round"], *key_of(row)) for row in rows}
    for number, variant in _order(variants, rounds):
        if (number, *variant.key) not in known:
            row = {"round": number, **dict(zip(KEY, variant.key, strict=True)), **_run(variant, inputs)}
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
    warmup, timed = (max(most // batch, least) for most, least in zip(ONE_SAMPLE, LEAST, strict=True))
    return warmup, timed


def _order(variants: Sequence[Variant], rounds: int) -> Iterator[tuple[int, Variant]]:
    for number in range(rounds):
        shuffled = list(variants)
        random.Random(number).shuffle(shuffled)
        yield from ((number, variant) for variant in shuffled)


def _run(variant: Variant, inputs: Mapping[str, str | None]) -> dict[str, Any]:
    warmup, timed = calls(variant.batch)
    counter, _ = energy_counter()
    job = {**asdict(variant), **inputs, "warmup": warmup, "calls": timed, "energy": str(counter) if counter else None}
    threads = dict.fromkeys(THREAD_SETTINGS, str(variant.threads))
    started = time.time()
    process = subprocess.run(
        [sys.executable, "-m", PROCESS],
        input=json.dumps({**job, "started": started}),
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **threads, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])},
    )
    if process.returncode:
        lines = process.stderr.strip().splitlines()
        return {"error": lines[-1] if lines else f"ended with exit code {process.returncode}"}
    figures: dict[str, Any] = json.loads(process.stdout)
    return figures
