"""What `run_comparison` finds, with figures that a test chooses."""

from kdlab.inference.summary import summaries

BATCHES = (1, 32)


def found(networks, rounds=2):
    """A comparison on test accuracy, batch 1 deciding, one thread.

    Args:
        networks: by label, the teacher first: `(name, {seed: accuracy}, files)`; a file is `(name or name@engine,
            precision, bytes, {seed: accuracy, or None where it is refused}, milliseconds of each round at batch 1)`.
        rounds: of the teacher in PyTorch, which takes 10 ms at batch 1.

    At batch 32 every call takes 16 times as long; memory is 600 MB in PyTorch, 80 MB for float32 and 60 MB for INT8.
    """
    listed, rows = [], []
    for number, (label, (name, seeds, files)) in enumerate(networks.items()):
        rows += _rows(f"{number} {name}", "pytorch", [10.0] * rounds, 600e6) if number == 0 else []
        made = [_file(number, file) for file in files]
        for (*_, milliseconds), file in zip(files, made, strict=True):
            rows += _rows(file["timed_as"], file["engine"], milliseconds, 60e6 if file["precision"] == "int8" else 80e6)
        listed.append(_network(number, label, name, seeds, made))
    return {
        "fingerprint": "0123456789abcdef",
        "task": None,
        "networks": listed,
        "machine": {"cpu": "Chip"},
        "latency": summaries(rows),
        "rounds": rows,
        "deciding": {"batch": 1, "threads": 1},
    }


def _network(number, label, name, seeds, files):
    return {
        "label": label,
        "network": name,
        "is_teacher": number == 0,
        "timed_as": f"{number} {name}",
        "seeds": [_seed(number, seed, accuracy) for seed, accuracy in seeds.items()],
        "files": files,
    }


def _seed(number, seed, accuracy):
    own = {"params": 1000, "flops": 5000, "size_bytes": 4_000_000, "epochs": 2, "test/accuracy": accuracy}
    teachers = [f"0-{seed}"] if number else []
    return {"seed": seed, "stage": f"{number}-{seed}", "teachers": teachers, **own}


def _file(number, file):
    name, precision, size, accuracies, _ = file
    seeds = [
        {"seed": seed, "size_bytes": size, "refused": ["it falls by 3.00 points"] if reached is None else []}
        | {"test/accuracy": 85.0 if reached is None else reached, "agreement": 99.5}
        for seed, reached in accuracies.items()
    ]
    name, _, engine = name.partition("@")
    own = {"file": name, "engine": engine or "onnxruntime", "precision": precision, "timed_as": f"{number} {name}"}
    return {**own, "seeds": seeds}


def _rows(name, engine, milliseconds, memory):
    return [
        {"name": name, "engine": engine, "batch": batch, "threads": 1, "round": number, "calls": 20}
        | {"p50": ms / 1000 * (1 if batch == 1 else 16), "p95": ms / 500, "p99": ms / 500, "cold_start": 0.2}
        | {"memory_bytes": memory, "joules": None, "bare_p50": None}
        for number, ms in enumerate(milliseconds)
        for batch in BATCHES
    ]


def example():
    """A teacher of two seeds, a student of these whose INT8 file is refused for one, and a baseline of one seed."""
    teacher = [
        ("big.onnx", "float32", 4_000_000, {0: 90.0, 1: 92.0}, [4.0, 6.0]),
        ("big-int8.onnx", "int8", 1_000_000, {0: 89.0, 1: 91.5}, [3.0, 3.0]),
    ]
    student = [
        ("small.onnx", "float32", 800_000, {0: 89.1, 1: 91.2}, [1.0, 2.0]),
        ("small-int8.onnx", "int8", 200_000, {0: 89.0, 1: None}, [0.5, 0.5]),
    ]
    baseline = [("small.onnx", "float32", 800_000, {0: 80.0}, [1.2, 2.2])]
    return found(
        {
            "big (teacher)": ("big", {0: 90.0, 1: 92.0}, teacher),
            "small (response)": ("small", {0: 89.1, 1: 91.2}, student),
            "small (baseline)": ("small", {0: 80.0}, baseline),
        }
    )
