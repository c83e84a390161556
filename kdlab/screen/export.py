"""The screen output of an export: one table, what is refused and why, and what to ship."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from kdlab.reporting.render.export_lines import milliseconds, rows, sentences
from kdlab.tasks.description import Description

Content = Mapping[str, Any]


def show_export(console: Console, export: Content, folder: Path) -> None:
    """Prints the result of an export.

    Args:
        console: to print on.
        export: the fields of its `result.json`.
        folder: of the export.
    """
    console.print()
    console.print(export_table(export))
    console.print()
    for line in sentences(export):
        console.print(line, markup=False)
    console.print(f"{folder}", style="dim", markup=False)


def show_summary(console: Console, summary: Content, folder: Path) -> None:
    """Prints the export of a run.

    Args:
        console: to print on.
        summary: the field `export` of the run's `result.json`.
        folder: of the run.
    """
    if summary.get("error"):
        console.print(f"not exported: {summary['error']}", markup=False)
    else:
        exported = folder / summary["folder"]
        show_export(console, json.loads((exported / "result.json").read_text()), exported)


def export_table(export: Content) -> Table:
    """Networks in PyTorch and artifacts in their engines as rows; accuracy, agreement, size and latency as columns."""
    task = Description.of(export)
    variants = sorted({(one["threads"], one["batch"]) for one in export["latency"]})
    several = len({threads for threads, _ in variants}) > 1
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("", overflow="fold")
    heads = [f"test {task.headline.label}", "agrees", "MB"]
    heads += [f"batch {batch}" + (f", {threads} thr." if several else "") for threads, batch in variants]
    for head in heads:
        table.add_column(head, justify="right")
    latency = {(one["name"], one["engine"], one["threads"], one["batch"]): one for one in export["latency"]}
    for name, label, figures in rows(export):
        times = (milliseconds(latency.get((*name, *variant))) for variant in variants)
        table.add_row(label, *figures, *times)
    return table
