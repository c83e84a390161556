"""The tables of a comparison: as text for the screen and the page, and as `comparison.csv`."""

import csv
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from kdlab.reporting.analyse.comparison import at
from kdlab.reporting.render.magnitude import scaled
from kdlab.tasks.description import Description

Content = Mapping[str, Any]
Row = Mapping[str, Any]
NOTHING = "–"


@dataclass(frozen=True)
class Column:
    """A column of a table of rows.

    Attributes:
        head: its title.
        cell: the text of a row.
        is_narrow: whether it is shown where there is little room.
    """

    head: str
    cell: Callable[[Row], str]
    is_narrow: bool = True


def figures(content: Content) -> list[Column]:
    """What each network and file is, does and takes."""
    metric = Description.of(content).headline
    places = [Column(f"ms, {_place(where)}", _milliseconds(where)) for where in variants(content)]
    return [
        Column(metric.heading("test"), lambda row: _with_half(row["reached"], f".{metric.decimals}f")),
        Column(f"below teacher ({metric.gain_unit})", lambda row: _with_half(row["drop"], ".2f")),
        Column("kept (%)", lambda row: _with_half(row["retention"], ".1f"), False),
        Column("parameters", lambda row: _number(row["params"], scaled), False),
        Column("FLOPs", lambda row: _number(row["flops"], scaled), False),
        Column("MB", lambda row: _number(row["size_bytes"], lambda size: f"{size / 1e6:.2f}")),
        *places,
        Column("memory (MB)", lambda row: _memory(row, content), False),
        Column("front", _fronts),
    ]


def ratios(content: Content) -> list[Column]:
    """Beside the teacher: in the same engine and in PyTorch."""
    spans = [
        Column(f"× as fast, {_place(where)}", _faster("engine", where), where == content["deciding"])
        for where in variants(content)
    ]
    return [
        Column("× smaller", lambda row: _of(row, "compression", lambda ratio: f"{ratio:.1f}")),
        Column("memory saved (%)", lambda row: _of(row, "memory_reduction", lambda share: f"{round(share)}")),
        *spans,
        Column("× as fast as PyTorch", _faster("pytorch", content["deciding"])),
    ]


def costs(content: Content) -> list[Column]:
    """What the service costs: at the batch size that takes least of a core, and at the smallest."""
    smallest = f"batch {min((one['batch'] for one in variants(content)), default=1)}"
    return [
        Column("samples/s a core", lambda row: _cost(row, "best", "per_core", "{:.0f}")),
        Column("at batch", lambda row: _cost(row, "best", "batch", "{}")),
        Column("cores", lambda row: _cost(row, "best", "cores", "{}")),
        Column("per month", lambda row: _cost(row, "best", "per_month", "{:.0f}")),
        Column("saved", lambda row: _saved(row, "engine")),
        Column("saved to PyTorch", lambda row: _saved(row, "pytorch")),
        Column(f"cores at {smallest}", lambda row: _cost(row, "smallest", "cores", "{}"), False),
        Column(f"per month at {smallest}", lambda row: _cost(row, "smallest", "per_month", "{:.0f}"), False),
    ]


def comparison_rows(content: Content, columns: Callable[[Content], list[Column]]) -> list[dict[str, str]]:
    """The rows of a table: text by column, first network, file and engine."""
    names = ("network", "file", "engine")
    every = columns(content)
    return [
        {**{name: row[name] for name in names}, **{one.head: one.cell(row) for one in every}} for row in content["rows"]
    ]


def variants(content: Content) -> list[dict[str, int]]:
    """The batch sizes and numbers of threads that were measured, those that decide first."""
    found = {(one["batch"], one["threads"]) for row in content["rows"] for one in row["latency"]}
    first = content["deciding"]
    every = [{"batch": batch, "threads": threads} for batch, threads in sorted(found, key=lambda pair: pair[::-1])]
    return sorted(every, key=lambda where: where != first)


def csv_text(content: Content) -> str:
    """`comparison.csv`: a row for each network and file, in plain numbers; what is missing is left empty."""
    rows, text = [_plain(row, content) for row in content["rows"]], io.StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(name for row in rows for name in row)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _plain(row: Row, content: Content) -> dict[str, Any]:
    name, engine = Description.of(content).headline.name, row["beside"].get("engine") or {}
    found: dict[str, Any] = {key: row[key] for key in ("network", "file", "engine", "precision", "refused")}
    for key, label in (("reached", f"test_{name}"), ("drop", "drop"), ("retention", "retention")):
        own = row[key] or {}
        found |= {label: own.get("mean"), f"{label}_half": own.get("half")}
    found |= {"seeds": len(row["seeds"]), **{key: row[key] for key in ("params", "flops", "size_bytes")}}
    for one in row["latency"]:
        found[f"ms_batch{one['batch']}_threads{one['threads']}"] = 1e3 * one["p50"]
    found["memory_bytes"] = (at(row["latency"], content["deciding"]) or {}).get("memory_bytes")
    found |= {key: engine.get(key) for key in ("compression", "memory_reduction")}
    for key, beside in row["beside"].items():
        span = at(beside["speedups"], content["deciding"]) or {}
        found |= {f"speedup_{key}": span.get("median"), f"saved_{key}": (beside["saved_per_month"] or {}).get("best")}
    for where in ("best", "smallest"):
        found |= {
            f"{key}_{where}": (row["cost"] or {}).get(where, {}).get(key) for key in ("batch", "cores", "per_month")
        }
    return found | {f"beaten_by_{key}": by for key, by in (row["beaten_by"] or {}).items()}


def _place(where: Mapping[str, int]) -> str:
    return f"batch {where['batch']}" + (f", {where['threads']} threads" if where["threads"] > 1 else "")


def _milliseconds(where: Mapping[str, int]) -> Callable[[Row], str]:
    def cell(row: Row) -> str:
        one = at(row["latency"], where)
        return NOTHING if one is None else f"{1e3 * one['p50']:.3g}"

    return cell


def _faster(beside: str, where: Mapping[str, int]) -> Callable[[Row], str]:
    def cell(row: Row) -> str:
        span = at(row["beside"].get(beside, {}).get("speedups", ()), where)
        return NOTHING if span is None else f"{span['median']:.3g} [{span['least']:.3g}, {span['most']:.3g}]"

    return cell


def _with_half(figure: Mapping[str, Any] | None, form: str) -> str:
    if figure is None:
        return NOTHING
    return f"{figure['mean']:{form}}" + ("" if figure["half"] is None else f" ± {figure['half']:{form}}")


def _number(value: float | None, show: Callable[[float], str]) -> str:
    return NOTHING if value is None else show(value)


def _memory(row: Row, content: Content) -> str:
    memory = (at(row["latency"], content["deciding"]) or {}).get("memory_bytes")
    return _number(memory, lambda size: f"{size / 1e6:.0f}")


def _fronts(row: Row) -> str:
    """On which Pareto fronts it is: of accuracy against latency (`ms`) and against size (`MB`)."""
    if row["refused"]:
        return "refused"
    if row["beaten_by"] is None:
        return NOTHING
    on = [unit for name, unit in (("latency", "ms"), ("size", "MB")) if row["beaten_by"][name] is None]
    return ", ".join(on) or "beaten"


def _of(row: Row, name: str, show: Callable[[float], str]) -> str:
    return _number(row["beside"].get("engine", {}).get(name), show)


def _cost(row: Row, where: str, name: str, form: str) -> str:
    return _number(row["cost"][where][name] if row["cost"] else None, form.format)


def _saved(row: Row, beside: str) -> str:
    saved = row["beside"].get(beside, {}).get("saved_per_month")
    return _number(saved["best"] if saved else None, "{:.0f}".format)
