"""Measures a bundle on the device that it was carried to: `python measure.py [--out results.json]`.

A bundle has `job.json`, with `student` (its network and the fingerprint of its stage), `classes`, `batches`, `threads`,
`rounds`, `inputs` and `bare_inputs` (files of arrays; the second may be null), `labels` (what the student predicts for
the inputs), `artifacts` (each a `name`, an `engine`, a `precision`, a `file`, its `files`, and `bare`, a file or null)
and `sha256` (of every file that these name).

`results.json` has `format` (1), `kdlab` (the version that packed the bundle), `student`, `batches`, `threads` as asked
for (1 and `all`), `rounds`, `machine` (see `kdlab.inference.machine`), `sha256` (of each artifact's files), `exact`
(the name of the float32 artifact), `rows`, `summaries` and `speedups` (see `kdlab.inference.summary`; in seconds,
bytes, joules), `agreement` (of each artifact in each engine, per cent of the inputs that get the student's label on
this machine) and `skipped` (artifacts whose engine is not installed, with the reason). Read back, it is
`devices/<name>.json` in the folder of the export, with `name` besides.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from .machine import machine, thread_counts
from .rounds import Row, Variant, measure
from .row_log import RowLog
from .summary import speedups, summaries
from .text import hash_lines, label, latency_table, machine_lines

FORMAT = 1
JOB, RESULTS = "job.json", "results.json"
SUSPICIOUS = 90.0  # per cent of the student's labels; rounding alone changes fewer
Job = Mapping[str, Any]


class BundleError(Exception):
    """What keeps a bundle from being measured, and the fix."""


def main(folder: Path, arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit code: 0 all measured, 1 something failed, 2 nothing could be measured.

    Args:
        folder: of the unpacked bundle.
        arguments: of the command line, by default the process's own.
    """
    parser = argparse.ArgumentParser("measure.py", description="Measures the artifacts of this bundle on this machine.")
    parser.add_argument("--out", default=RESULTS, metavar="FILE", help=f"where the results go (default: {RESULTS})")
    out = Path(parser.parse_args(arguments).out).absolute()
    try:
        results = measured(folder, out)
    except BundleError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped: the same command continues where this one stopped", file=sys.stderr)
        return 130
    show(results)
    print(f"\nwritten: {out}")
    return 1 if any("error" in row for row in results["rows"]) else 0


def measured(folder: Path, out: Path) -> dict[str, Any]:
    """Checks the files of a bundle, measures its artifacts, and writes the results.

    Args:
        folder: of the bundle, which becomes the working directory: paths in jobs and errors are relative.
        out: absolute.

    Raises:
        BundleError: a file is damaged, no engine is installed, or the results cannot be written.
    """
    os.chdir(folder)
    job = _checked(json.loads(Path(JOB).read_text(encoding="utf-8")))
    variants, skipped = _variants(job)
    log = _log(out)
    inputs = {name: job[name] for name in ("inputs", "bare_inputs", "labels")}
    rows = measure(variants, job["rounds"], inputs, log.rows, _Report(log, len(variants) * job["rounds"]))
    results = {**_about(job), "machine": machine(), **_found(rows), "skipped": skipped}
    out.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    log.file.unlink()
    return results


def _about(job: Job) -> dict[str, Any]:
    """What the results repeat of the job."""
    kept = {name: job[name] for name in ("kdlab", "student", "batches", "threads", "rounds")}
    hashes: dict[str, dict[str, str]] = {}
    for one in job["artifacts"]:
        hashes[one["name"]] = {Path(file).name: job["sha256"][file] for file in one["files"]}
    exact = next((one["name"] for one in job["artifacts"] if one["precision"] == "float32"), "")
    return {"format": FORMAT, **kept, "sha256": hashes, "exact": exact}


def _found(rows: Sequence[Row]) -> dict[str, Any]:
    largest: dict[str, Row] = {}
    for row in sorted((row for row in rows if "agreement" in row), key=lambda row: int(row["batch"])):
        largest[label(row)] = row
    agreement = {name: row["agreement"] for name, row in largest.items()}
    return {"rows": list(rows), "summaries": summaries(rows), "speedups": speedups(rows), "agreement": agreement}


def _checked(job: dict[str, Any]) -> Job:
    if find_spec("numpy") is None:
        raise BundleError("numpy is not installed. Install it: pip install numpy onnxruntime")
    for file, expected in job["sha256"].items():
        if not Path(file).is_file():
            raise BundleError(f"{file} is missing. Unpack the bundle again.")
        if hashlib.sha256(Path(file).read_bytes()).hexdigest() != expected:
            raise BundleError(f"{file} is not the file that was packed: its SHA-256 differs. Unpack the bundle again.")
    return job


def _variants(job: Job) -> tuple[list[Variant], list[dict[str, str]]]:
    """What is measured, and what is not, with the reason."""
    absent = {one["engine"] for one in job["artifacts"] if find_spec(one["engine"]) is None}
    chosen = [one for one in job["artifacts"] if one["engine"] not in absent]
    if not chosen:
        raise BundleError(f"none of the engines {', '.join(sorted(absent))} is installed: pip install onnxruntime")
    skipped = [
        {"name": one["name"], "engine": one["engine"], "reason": f"{one['engine']} is not installed"}
        for one in job["artifacts"]
        if one["engine"] in absent
    ]
    return [
        Variant(one["name"], one["file"], one["engine"], batch, count, one["bare"])
        for one in chosen
        for batch in job["batches"]
        for count in thread_counts(job["threads"])
    ], skipped


def _log(out: Path) -> RowLog:
    """The rows so far of this bundle on this machine.

    Raises:
        BundleError: nothing can be written beside the results.
    """
    identity = Path(JOB).read_bytes() + json.dumps(machine(), sort_keys=True).encode()
    try:
        return RowLog(out.with_name(f"{out.name}.{hashlib.sha256(identity).hexdigest()[:8]}.rounds"))
    except OSError as error:
        reason = error.strerror or error
        raise BundleError(f"nothing can be written in {out.parent} ({reason}). Choose another: --out FILE") from error


class _Report:
    """Keeps each row, and prints a line for it."""

    def __init__(self, log: RowLog, total: int) -> None:
        self._log, self._total, self._done = log, total, len(log.rows)

    def __call__(self, row: Row) -> None:
        self._log.add(row)
        self._done += 1
        named = f"{label(row)}, batch {row['batch']}, threads {row['threads']}"
        print(f"process {self._done} of {self._total}: {named}", flush=True)


def show(results: Mapping[str, Any]) -> None:
    """Prints results."""
    print("\n" + "\n".join(latency_table(results["summaries"], results["rows"], results["exact"])))
    for one in results["skipped"]:
        print(f"not measured: {label(one)}: {one['reason']}")
    for name, share in results["agreement"].items():
        if share < SUSPICIOUS:
            print(f"WARNING: {name} predicts as the student does for only {share:.0f} % of the inputs on this machine.")
    print("\n" + "\n".join([*machine_lines(results["machine"]), *hash_lines(results["sha256"])]))
