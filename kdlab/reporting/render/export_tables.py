"""An export as the page shows it: its sentences, and tables of artifacts, latencies and other devices."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kdlab.reporting.evidence import Exported
from kdlab.reporting.render.export_lines import megabytes, sentences
from kdlab.tasks.description import Description

Content = Mapping[str, Any]
LATENCY = (
    *("network or file", "engine", "batch", "threads", "p50 (ms)", "its range", "p95", "p99"),
    *("without preprocessing", "cold start (s)", "peak memory (MB)"),
)


@dataclass(frozen=True)
class Table:
    """A table of text.

    Attributes:
        caption: what it shows, and where it was measured.
        heads: of its columns, the first that of the row.
        rows: a cell for each column.
        texts: positions of columns that are text.
        marked: positions of rows that stand out.
    """

    caption: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    texts: frozenset[int]
    marked: frozenset[int] = frozenset()


@dataclass(frozen=True)
class ExportView:
    """An export in the page: the folder's name, its sentences and its tables."""

    name: str
    sentences: Sequence[str]
    tables: Sequence[Table]


def export_view(export: Exported) -> ExportView:
    """Everything that an export found."""
    content = export.content
    tables = [_proofs(content)]
    if content["latency"]:
        best = content["recommended"] or {}
        tables.append(_latency(_measured_here(content["machine"]), content["latency"], best))
    tables += [_latency(f"On {one['name']}: {_machine(one['machine'])}", one["latency"]) for one in export.devices]
    return ExportView(export.folder.name, [line.strip() for line in sentences(content)], tables)


def _proofs(content: Content) -> Table:
    task = Description.of(content)
    samples = max((one["samples"] for one in content["pairs"] if "samples" in one), default=0)
    metric = task.headline
    heads = (
        metric.heading("test"),
        f"drop ({metric.gain_unit})",
        "agrees with the student",
        "KL",
        "largest difference",
    )
    rows = list(_proof_rows(content, task))
    best = content["recommended"] or {}
    marked = {at for at, row in enumerate(rows) if tuple(row[:2]) == (best.get("artifact"), best.get("engine"))}
    caption = f"On the whole test set, {samples} {task.unit}s, beside the student's logits in PyTorch."
    return Table(caption, ("file", "engine", "MB", *heads, "verdict"), rows, frozenset({0, 1, 8}), frozenset(marked))


def _proof_rows(content: Content, task: Description) -> Iterator[list[str]]:
    sizes = {one["artifact"]: one["size_bytes"] for one in content["artifacts"]}
    for role, one in [*(("teacher", one) for one in content["teachers"]), ("student", content["student"])]:
        figures = [megabytes(one["size_bytes"]), task.headline.show(one[task.outcome])]
        yield [f"{role} {one['network']}", "pytorch", *figures, *["–"] * 4, "–"]
    for one in content["pairs"]:
        figures = ["–"] * 5 if "error" in one else _proof_figures(one, task)
        yield [one["artifact"], one["engine"], megabytes(sizes[one["artifact"]]), *figures, _verdict(one, content)]


def _proof_figures(proof: Content, task: Description) -> list[str]:
    return [
        task.headline.show(proof[task.outcome]),
        f"{proof['drop']:.2f}",
        f"{proof['agreement']:.2f} %",
        f"{proof['kl_to_student']:.2g}",
        f"{proof['largest_difference']:.2g} of {proof['largest_logit']:.3g}",
    ]


def _verdict(proof: Content, content: Content) -> str:
    reasons = proof["refused_for"] or content["refused"].get(proof["artifact"], ())
    return f"refused: {'; '.join(reasons)}" if reasons else "passed"


def _latency(caption: str, latency: Sequence[Content], best: Content | None = None) -> Table:
    ordered = sorted(latency, key=lambda one: (one["threads"], one["batch"], one.get("p50", float("inf"))))
    chosen = [best.get(name) for name in ("artifact", "engine", "batch", "threads")] if best else []
    keys = [[one[name] for name in ("name", "engine", "batch", "threads")] for one in ordered]
    marked = frozenset(at for at, key in enumerate(keys) if key == chosen)
    return Table(caption, LATENCY, [_latency_row(one) for one in ordered], frozenset({0, 1}), marked)


def _latency_row(row: Content) -> list[str]:
    key = [str(row["name"]), str(row["engine"]), str(row["batch"]), str(row["threads"])]
    if "error" in row:
        return [*key, "fails", str(row["error"]), *["–"] * 5]
    memory = row.get("memory_bytes")
    return [
        *key,
        _milliseconds(row["p50"]),
        f"{_milliseconds(row.get('p50_least'))} to {_milliseconds(row.get('p50_most'))}",
        *(_milliseconds(row.get(name)) for name in ("p95", "p99", "bare_p50")),
        "–" if row.get("cold_start") is None else f"{row['cold_start']:.2f}",
        "–" if memory is None else f"{memory / 1e6:.0f}",
    ]


def _milliseconds(seconds: float | None) -> str:
    return "–" if seconds is None else f"{1e3 * seconds:.3f}"


def _measured_here(machine: Content) -> str:
    return f"From raw images to labels, on {_machine(machine)}"


def _machine(machine: Content) -> str:
    """Such as `AMD EPYC (avx2, avx512_vnni); onnxruntime 1.31.1, numpy 2.4.6. No energy: …`."""
    features = ", ".join(machine.get("features") or ()) or "features unknown"
    packages = ", ".join(f"{name} {version}" for name, version in (machine.get("packages") or {}).items())
    energy = f" Energy is not measured: {machine['energy']}." if machine.get("energy") else ""
    return f"{machine.get('cpu', 'an unknown processor')} ({features}); {packages}.{energy}"
