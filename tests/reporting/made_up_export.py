"""The `result.json` of an export with figures that a test chooses."""

import json


def content(milliseconds, refused=(), budgets=None, batch=1, accuracy=90.0):
    """An export of the student `net`, of which `net.onnx` has 0.5 MB, and `net-int8.onnx` 0.2 MB.

    Args:
        milliseconds: p50 by artifact and engine; at batch 32 ten times as long.
        refused: artifacts.
        budgets: what each candidate misses; None without budgets.
        batch: that decides.
        accuracy: of the student on test; an artifact loses half a point in INT8.
    """
    artifacts = list(dict.fromkeys(name for name, _ in milliseconds))
    meeting = [key for key in milliseconds if key[0] not in refused and not (budgets or {}).get(" in ".join(key))]
    best = min(meeting, key=milliseconds.get, default=None)
    pairs = [_pair(name, engine, accuracy - 0.5 * ("int8" in name), name in refused) for name, engine in milliseconds]
    return {
        "status": "finished",
        "student": {"network": "net", "test/accuracy": accuracy, "size_bytes": 600_000},
        "teachers": [{"network": "large", "test/accuracy": 95.0, "size_bytes": 5_000_000}],
        "artifacts": [
            {
                "artifact": name,
                "size_bytes": 200_000 if "int8" in name else 500_000,
                "precision": "int8" if "int8" in name else "float32",
            }
            for name in artifacts
        ],
        "pairs": pairs,
        "checks": [],
        "refused": {name: ["it loses 3.00 points"] for name in refused},
        "layers": {},
        "machine": {"cpu": "Chip", "features": ["avx2"], "packages": {"numpy": "2.0"}, "energy": "no counter"},
        "latency": [row(*key, ms * (10 if n == 32 else 1), n) for key, ms in milliseconds.items() for n in (1, 32)],
        "speedups": [],
        "deciding": {"batch": batch, "threads": 1},
        "recommended": best and {**_recommended(*best), "p50": milliseconds[best] / 1000, "batch": batch, "threads": 1},
        **({} if budgets is None else {"budgets": budgets}),
    }


def row(name, engine, milliseconds, batch):
    seconds = milliseconds / 1000
    return {
        "name": name,
        "engine": engine,
        "batch": batch,
        "threads": 1,
        "p50": seconds,
        "p50_least": 0.9 * seconds,
        "p50_most": 1.2 * seconds,
        "p95": 2 * seconds,
        "p99": 3 * seconds,
        "cold_start": 0.25,
        "memory_bytes": 64_000_000,
        "bare_p50": None,
        "noise": 0.3,
        "processes": 5,
    }


def write(folder, exported, devices=()):
    """An export's folder; `devices` are `(name, machine, latency)`."""
    (folder / "devices").mkdir(parents=True)
    (folder / "result.json").write_text(json.dumps(exported))
    for name, machine, latency in devices:
        text = json.dumps({"machine": machine, "summaries": latency})
        (folder / "devices" / f"{name}.json").write_text(text)


def _pair(name, engine, accuracy, is_refused):
    return {
        "artifact": name,
        "engine": engine,
        "samples": 500,
        "test/accuracy": accuracy,
        "drop": 0.5 * ("int8" in name),
        "agreement": 99.2,
        "kl_to_student": 0.01,
        "largest_difference": 0.5,
        "largest_logit": 20.0,
        "refused_for": ["it loses 3.00 points"] * is_refused,
    }


def _recommended(name, engine):
    precision = "int8" if "int8" in name else "float32"
    return {"artifact": name, "engine": engine, "precision": precision, "drop": 0.5 * ("int8" in name)} | {
        "size_bytes": 200_000 if "int8" in name else 500_000,
        "int8_over_float32": None,
    }
