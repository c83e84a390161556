"""The screen output of a comparison: the answer, two tables, what qualifies them, and the assumptions."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from kdlab.reporting.analyse.comparison import title
from kdlab.reporting.render.comparison_lines import answer, sentences
from kdlab.reporting.render.comparison_tables import Column, costs, figures, ratios

Content = Mapping[str, Any]
WIDE = 160  # columns of a screen that has room for every column
HEAD = 14  # and for so much of a heading on one line


def show_comparison(console: Console, content: Content, folder: Path) -> None:
    """Prints the result of a comparison.

    Args:
        console: to print on.
        content: of its `comparison.json`.
        folder: that it is in.
    """
    console.print(f"\n[bold]{escape(answer(content))}[/]\n")
    for caption, columns in {"": figures, "Beside the teacher": ratios, "What the service costs": costs}.items():
        if caption:
            console.print(f"\n[bold]{caption}[/]")
        console.print(_table(content, columns(content), console.width >= WIDE))
    console.print()
    for line in (*sentences(content), *content["assumptions"]):
        console.print(f"- {line}", markup=False)
    console.print(f"{folder / 'index.html'}", style="dim", markup=False)


def _table(content: Content, columns: Sequence[Column], is_wide: bool) -> Table:
    kept = [column for column in columns if is_wide or column.is_narrow]
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2 if is_wide else 1, 0, 0))
    table.add_column("", no_wrap=True)
    for column in kept:
        cells = (len(column.cell(row)) for row in content["rows"])
        width = max(*cells, *map(len, column.head.split()), min(len(column.head), HEAD) if is_wide else 0)
        table.add_column(column.head, justify="right", width=width)
    network = None
    for row in content["rows"]:
        if row["network"] != network:
            network = row["network"]
            table.add_row(f"[bold]{escape(network)}[/]")
        own = f"{row['file']} in {row['engine']}" if is_wide else f"{row['precision']} {row['engine']}"
        style = "bold" if title(row) == content["chosen"] else ""
        table.add_row(f" {escape(own)}", *(escape(column.cell(row)) for column in kept), style=style)
    return table
