"""One measuring process: opens one artifact in one engine, and times it at one batch size.

The job comes over stdin as JSON, the figures go to stdout; whatever else is printed goes to stderr.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

STATUS = Path("/proc/self/status")
KIB = 1024


def main() -> None:
    """The process: one job, one reply."""
    reply = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    job = json.load(sys.stdin)
    json.dump(measured(job), reply)
    reply.close()


def measured(job: Mapping[str, Any]) -> dict[str, Any]:
    """The figures of a job: seconds of a call from raw bytes to labels, and what the process took.

    Args:
        job: `artifact`, `engine`, `threads`, `batch`, `warmup` and `calls`; `inputs`, a file of arrays; `started`, the
            time at which the process was started; `bare` and `bare_inputs`, the network without its preprocessing, or
            null; `energy`, the file of a counter in microjoules, or null.
    """
    import numpy as np

    from .engines import ENGINES

    inputs = _batch(np, job["inputs"], job["batch"])
    raw = {name: (one.tobytes(), one.dtype, one.shape) for name, one in inputs.items()}
    run = ENGINES[job["engine"]](job["artifact"], job["threads"], job["batch"])

    def label() -> Any:
        """From bytes, as they come from a file or a socket, to one label for each sample."""
        arrays = {name: np.frombuffer(one, dtype).reshape(shape) for name, (one, dtype, shape) in raw.items()}
        return run(arrays).argmax(-1)

    label()
    cold = time.time() - job["started"]
    seconds, joules = _timed(label, job)
    memory = _peak_memory()  # before the bare network is opened too
    figures = {"cold_start": cold, "memory_bytes": memory, "joules": joules, **_quantiles(np, seconds)}
    return {**figures, "bare_p50": _bare(np, job)}


def _batch(np: Any, file: str, size: int) -> dict[str, Any]:
    """The first samples of a file, repeated where it has fewer."""
    with np.load(file) as arrays:
        return {name: np.resize(arrays[name], (size, *arrays[name].shape[1:])) for name in arrays.files}


def _timed(call: Callable[[], Any], job: Mapping[str, Any]) -> tuple[list[float], float | None]:
    """Seconds of each timed call, and joules of one; None without a counter."""
    for _ in range(job["warmup"]):
        call()
    before, seconds = _energy(job), []
    for _ in range(job["calls"]):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    after = _energy(job)
    return seconds, None if before is None or after is None else (after - before) / job["calls"]


def _energy(job: Mapping[str, Any]) -> float | None:
    return int(Path(job["energy"]).read_text()) / 1e6 if job.get("energy") else None


def _quantiles(np: Any, seconds: list[float]) -> dict[str, float]:
    values = np.quantile(seconds, [0.5, 0.95, 0.99])
    return dict(zip(("p50", "p95", "p99"), map(float, values), strict=True))


def _bare(np: Any, job: Mapping[str, Any]) -> float | None:
    """The median of the network alone, on prepared inputs; None where the artifact cannot be cut."""
    from .engines import ENGINES

    if not job.get("bare"):
        return None
    inputs = _batch(np, job["bare_inputs"], job["batch"])
    run = ENGINES[job["engine"]](job["bare"], job["threads"], job["batch"])
    seconds, _ = _timed(lambda: run(inputs), job)
    return float(np.median(seconds))


def _peak_memory() -> int:
    """The peak of this process: what `getrusage` says may be its parent's, from before it started a program."""
    if STATUS.is_file():
        line = next(line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * KIB
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * KIB


if __name__ == "__main__":
    main()
