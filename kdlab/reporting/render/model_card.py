"""The model card of an export: what the student is, what was measured, how to use each file, where it comes from."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kdlab.jobs.export.finished import change_of
from kdlab.reporting.render.magnitude import scaled
from kdlab.tasks.description import Description

Content = Mapping[str, Any]
USE = """\
```python
import json
import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession("{artifact}", providers=["CPUExecutionProvider"])
labels = json.loads(session.get_modelmeta().custom_metadata_map["labels"])
images = np.load("images.npy")                        # (batch, channels, height, width), uint8, raw
(logits,) = session.run(["logits"], {{"images": images}})
print([labels[number] for number in logits.argmax(1)])
```"""


def model_card(export: Content, config: Mapping[str, Any]) -> str:
    """Markdown with a header that model hubs read.

    Args:
        export: the fields of its `result.json`.
        config: the settings of the student's stage.
    """
    parts = [
        _header(export, config),
        _about(export, config),
        _files(export),
        _speed(export),
        _use(export),
        _origin(export),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _header(export: Content, config: Mapping[str, Any]) -> str:
    from huggingface_hub import EvalResult, ModelCardData

    task, student = Description.of(export), export["student"]
    result = EvalResult(
        task_type=task.name.replace("_", "-"),
        dataset_type=_data(config).lower(),
        dataset_name=_data(config),
        dataset_split="test",
        metric_type=task.headline.name,
        metric_value=round(student[task.outcome], 4),
    )
    source = "kdlab" if change_of(config) else config["network"]["source"]  # no other library builds changed networks
    library = {"timm": "timm", "huggingface": "transformers"}.get(source, "kdlab")
    data = ModelCardData(
        library_name=library,
        tags=[task.name.replace("_", "-"), "knowledge-distillation", "onnx"],
        model_name=student["network"],
        eval_results=[result],
    )
    return f"---\n{data.to_yaml()}\n---"


def _about(export: Content, config: Mapping[str, Any]) -> str:
    student, teachers = export["student"], export["teachers"]
    origin = f"distilled from {' and '.join(one['network'] for one in teachers)}" if teachers else "trained"
    change = change_of(config)
    origin = f"{change}, then {origin}" if change else origin
    loss = config["loss"].get("_target_", "").rpartition(".")[2]
    recipe = f"{config['epochs']} epochs, seed {config['seed']}, method {loss}" if config["epochs"] else "given weights"
    task = Description.of(export)
    rows = [
        (role, one["network"], task.headline.show(one[task.outcome]), scaled(one["params"]), scaled(one["flops"]))
        for role, one in [*(("teacher", teacher) for teacher in teachers), ("student", student)]
    ]
    table = _table(("", "network", task.headline.heading("test"), "parameters", "FLOPs"), rows)
    return f"# {student['network']}\n\n{origin.capitalize()} on {_data(config)} ({recipe}).\n\n{table}"


def _files(export: Content) -> str:
    task = Description.of(export)
    heads = ("file", "engine", task.headline.heading("test"), "agrees with the student", "largest difference", "MB")
    sizes = {one["artifact"]: one["size_bytes"] for one in export["artifacts"]}
    rows = [
        (
            one["artifact"],
            one["engine"],
            task.headline.show(one[task.outcome]),
            f"{one['agreement']:.2f} %",
            f"{one['largest_difference']:.2g} of {one['largest_logit']:.3g}",
            f"{sizes[one['artifact']] / 1e6:.2f}",
        )
        for one in export["pairs"]
        if not one["refused_for"]
    ]
    samples = {one["samples"] for one in export["pairs"]}
    note = f"On the whole test set, {max(samples, default=0)} {task.unit}s; the student's logits are those of PyTorch."
    return f"## Files\n\n{_table(heads, rows)}\n\n{note}"


def _speed(export: Content) -> str:
    machine = export["machine"]
    if not machine:
        return ""
    heads = ("file", "engine", "batch", "threads", "p50 (ms)", "range over processes", "p95", "p99", "peak memory (MB)")
    rows = [
        (
            one["name"],
            one["engine"],
            one["batch"],
            one["threads"],
            f"{1e3 * one['p50']:.3f}",
            f"{1e3 * one['p50_least']:.3f} to {1e3 * one['p50_most']:.3f}",
            f"{1e3 * one['p95']:.3f}",
            f"{1e3 * one['p99']:.3f}",
            f"{one['memory_bytes'] / 1e6:.0f}",
        )
        for one in export["latency"]
        if "error" not in one
    ]
    packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    features = ", ".join(machine["features"]) or "features unknown"
    note = f"From raw bytes to labels, on {machine['cpu']} ({features}); {packages}."
    return f"## Measured\n\n{_table(heads, rows)}\n\n{note}"


def _use(export: Content) -> str:
    files = [one["artifact"] for one in export["artifacts"] if one["artifact"] not in export["refused"]]
    chosen = (export["recommended"] or {}).get("artifact")
    onnx = next((name for name in (chosen, *files) if name and name.endswith(".onnx")), None)
    parts = ["## Use"]
    if onnx:
        parts.append(USE.format(artifact=onnx))
    parts += [f"`{one['loads_with']}` loads the weights." for one in export["artifacts"] if "loads_with" in one]
    return "\n\n".join(parts)


def _origin(export: Content) -> str:
    packages = {**export["environment"]["packages"], **(export["machine"] or {"packages": {}})["packages"]}
    versions = ", ".join(f"{name} {version}" for name, version in packages.items() if version)
    hashes = _table(("file", "SHA-256"), list(_hashes(export)))
    return f"## Origin\n\nStage `{export['student']['stage']}`; {versions}.\n\n{hashes}"


def _hashes(export: Content) -> Iterator[tuple[str, str]]:
    for one in export["artifacts"]:
        for name, value in one["sha256"].items():
            yield name, f"`{value}`"


def _data(config: Mapping[str, Any]) -> str:
    return str(config["data"]["_target_"].rpartition(".")[2])


def _table(heads: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)
