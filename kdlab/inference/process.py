"""One measuring process: opens one artifact in one engine, and times it at one batch size.

The job comes over stdin as JSON, the figures go to stdout; whatever else is printed goes to stderr.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from .machine import joules, microjoules

STATUS = Path("/proc/self/status")
KIB = 1024


def main() -> None:
    """The process: one job, one reply. Ctrl-C is for its parent, which waits for the figures."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    reply = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    try:
        figures = measured(json.load(sys.stdin))
    except Exception as error:  # of the engine, or where memory ends
        first = str(error).strip().splitlines()[:1]
        figures = {"error": ": ".join([type(error).__name__, *first])}
    json.dump(figures, reply)
    reply.close()


def measured(job: Mapping[str, Any]) -> dict[str, Any]:
    """The figures of a job: seconds of a call from raw bytes to labels, and what the process took.

    Args:
        job: `artifact`, `engine`, `threads`, `batch`, `warmup` and `calls`; `inputs`, a file of arrays; `started`, the
            `time.monotonic()` at which the process was started; `bare` and `bare_inputs`, the network without its
            preprocessing, or null; `energy`, files of counters in microjoules; `labels`, those of the student on the
            inputs, where it is to be seen whether the artifact predicts them on this machine.
    """
    import numpy as np

    figures = _labelling(np, job)
    return {**figures, "calls": job["calls"], "bare_p50": _bare(np, job)}


def _labelling(np: Any, job: Mapping[str, Any]) -> dict[str, Any]:
    """The figures from bytes to labels; the engine is closed when it returns."""
    raw = {name: (one.tobytes(), one.dtype, one.shape) for name, one in _batch(np, job["inputs"], job["batch"]).items()}
    run = _opened(job, job["artifact"])

    def label() -> Any:
        """From bytes, as they come from a file or a socket, to one label for each sample."""
        arrays = {name: np.frombuffer(one, dtype).reshape(shape) for name, (one, dtype, shape) in raw.items()}
        return run(arrays).argmax(-1)

    labels = label()
    cold = time.monotonic() - job["started"]
    seconds, energy = _timed(label, job)
    p50, p95, p99 = map(float, np.quantile(seconds, [0.5, 0.95, 0.99]))
    figures = {"p50": p50, "p95": p95, "p99": p99, "cold_start": cold, "joules": energy}
    if job.get("labels"):
        figures["agreement"] = float(100 * (labels == np.resize(job["labels"], len(labels))).mean())
    return {**figures, "memory_bytes": _peak_memory()}


def _opened(job: Mapping[str, Any], artifact: str) -> Callable[[Mapping[str, Any]], Any]:
    from .engines import ENGINES

    return ENGINES[job["engine"]](artifact, job["threads"], job["batch"])


def _batch(np: Any, file: str, size: int) -> dict[str, Any]:
    """The first samples of a file, repeated where it has fewer; copies, so that the file's other samples are freed."""
    with np.load(file) as arrays:
        whole = {name: arrays[name] for name in arrays.files}
    return {
        name: one[:size].copy() if len(one) >= size else np.resize(one, (size, *one.shape[1:]))
        for name, one in whole.items()
    }


def _timed(call: Callable[[], Any], job: Mapping[str, Any]) -> tuple[list[float], float | None]:
    """Seconds of each timed call, and joules of one; None without a counter."""
    for _ in range(job["warmup"]):
        call()
    before, seconds = microjoules(job["energy"]), []
    for _ in range(job["calls"]):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    spent = joules(before, microjoules(job["energy"])) / job["calls"]
    return seconds, spent if job["energy"] else None


def _bare(np: Any, job: Mapping[str, Any]) -> float | None:
    """The median of the network alone, on prepared inputs; None where the artifact cannot be cut."""
    if not job.get("bare"):
        return None
    inputs = _batch(np, job["bare_inputs"], job["batch"])
    run = _opened(job, job["bare"])
    seconds, _ = _timed(lambda: run(inputs), job)
    return float(np.median(seconds))


def _peak_memory() -> int | None:
    """The peak of this process: what `getrusage` says may be its parent's, from before it started a program."""
    lines = STATUS.read_text().splitlines() if STATUS.is_file() else []
    peaks = [int(line.split()[1]) * KIB for line in lines if line.startswith("VmHWM")]
    if peaks:
        return peaks[0]
    try:
        import resource
    except ImportError:  # on Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * KIB


if __name__ == "__main__":
    main()
