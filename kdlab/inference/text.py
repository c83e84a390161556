"""Figures of a measurement in plain text, for terminals with nothing but Python."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .rounds import Row, key_of
from .summary import Span, speedup

CALLS_FOR_P95, CALLS_FOR_P99 = 20, 100  # fewer have no such quantile
HEADS = ("batch", "thr.", "p50 ms [range]", "noise", "p95", "p99", "network", "MB", "start s", "x float32 [range]")
ENERGY = "mJ"
BUSY = 0.5  # noise that an idle machine does not have
NONE = "-"
LEGEND = (
    "p50, p95, p99: milliseconds from raw bytes to labels; network: p50 without the preprocessing. MB: peak memory of",
    "the process. start: from the start of the process to its first labels. x float32: how many times as fast as the",
    "float32 artifact in the same engine. Each is the median of {processes}; [range] is over them.",
    "noise: that range as a share of p50. A p95 or p99 that is within the noise says nothing.",
)


def latency_table(summaries: Sequence[Row], rows: Sequence[Row], exact: str) -> list[str]:
    """A table with a block for each artifact in each engine, and what its columns mean.

    Args:
        summaries: see `kdlab.inference.summary`.
        rows: that they summarise.
        exact: the name of the float32 artifact.
    """
    has_energy = any(one.get("joules") is not None for one in summaries)
    blocks: dict[str, list[Sequence[str]]] = {}
    for one in summaries:
        ratio = speedup(rows, key_of(one), (exact, *key_of(one)[1:])) if one["name"] != exact else None
        blocks.setdefault(label(one), []).append(_cells(one, ratio, has_energy))
    counts = sorted({one["processes"] for one in summaries if "error" not in one})
    processes = f"{' or '.join(map(str, counts)) or 'no'} process{'' if counts == [1] else 'es'}"
    heads = (*HEADS, ENERGY) if has_energy else HEADS
    legend = [line.format(processes=processes) for line in LEGEND]
    return [*aligned(heads, blocks), "", *legend, *_unrest(summaries)]


def _unrest(summaries: Sequence[Row]) -> list[str]:
    """A warning where processes differ so much that something else must have run."""
    noise = max((one["noise"] for one in summaries if "error" not in one), default=0)
    warning = f"WARNING: the noise is up to {100 * noise:.0f} %: something else ran. Measure again on an idle machine."
    return [warning] if noise > BUSY else []


def label(row: Mapping[str, Any]) -> str:
    """Such as `resnet20.onnx in onnxruntime`."""
    return f"{row['name']} in {row['engine']}"


def _cells(one: Row, ratio: Span | None, has_energy: bool) -> list[str]:
    sizes = [str(one["batch"]), str(one["threads"])]
    if "error" in one:
        return [*sizes, f"fails: {one['error']}"]
    energy = [NONE if one["joules"] is None else number(1e3 * one["joules"])] if has_energy else []
    return [
        *sizes,
        milliseconds(one),
        f"{100 * one['noise']:.0f} %",
        number(1e3 * one["p95"]) if one["calls"] >= CALLS_FOR_P95 else NONE,
        number(1e3 * one["p99"]) if one["calls"] >= CALLS_FOR_P99 else NONE,
        NONE if one["bare_p50"] is None else number(1e3 * one["bare_p50"]),
        NONE if one["memory_bytes"] is None else f"{one['memory_bytes'] / 1e6:.0f}",
        number(one["cold_start"]),
        spread(ratio) if ratio else "",
        *energy,
    ]


def milliseconds(one: Mapping[str, Any]) -> str:
    """The p50 of a summary with its range."""
    return spread(Span(*(1e3 * one[name] for name in ("p50", "p50_least", "p50_most"))))


def spread(span: Span) -> str:
    """Median and range."""
    return f"{number(span.median)} [{number(span.least)}, {number(span.most)}]"


def number(value: float) -> str:
    """Three digits, or all before the point."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def aligned(heads: Sequence[str], blocks: Mapping[str, Sequence[Sequence[str]]]) -> list[str]:
    """Lines of cells under their heads, each block below its label; a row may end early, with a text of any length."""
    rows = [row for block in blocks.values() for row in block]
    full = [heads, *(row for row in rows if len(row) == len(heads))]
    short = [row[:-1] for row in rows if len(row) < len(heads)]
    widths = [max(len(row[at]) for row in [*full, *short] if at < len(row)) for at in range(len(heads))]
    lines = [_line(heads, widths)]
    for name, block in blocks.items():
        lines += [name, *(_line(row, widths) for row in block)]
    return lines


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = [cell.rjust(widths[at]) for at, cell in enumerate(cells)]
    return "  " + "  ".join(padded if len(cells) == len(widths) else [*padded[:-1], cells[-1]]).rstrip()


def machine_lines(machine: Mapping[str, Any]) -> list[str]:
    """What a machine is, and why it has no energy."""
    packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    cores = f"{machine['cores']} core{'s' if machine['cores'] > 1 else ''}"
    energy = f"null, because {machine['energy']}" if machine["energy"] else "of the whole processor, with all it ran"
    return [
        f"{machine['cpu']}, {cores}; {' '.join(machine['features']) or 'instructions unknown'}",
        f"{machine['platform']}; Python {machine['python']}, {packages}",
        f"energy: {energy}",
    ]


def hash_lines(hashes: Mapping[str, Mapping[str, str]]) -> list[str]:
    """The SHA-256 of each file of each artifact."""
    return [f"{value}  {file}" for files in hashes.values() for file, value in files.items()]
