"""A report on one screen: the question, the answer, the best settings, and the path of the page."""

from pathlib import Path

from rich.console import Console
from rich.table import Table

from kdlab.reporting.analyse.formatting import SMALLER
from kdlab.reporting.evidence import Evidence
from kdlab.reporting.render.console import Printer
from kdlab.reporting.render.tables import setting_rows
from kdlab.tasks.description import Metric

LINES = 16  # settings that a screen has room for
FAILURES = 6
UNITS = (f" ({SMALLER})", " points", " %")


def show(evidence: Evidence, page: Path, console: Console | None = None) -> None:
    """Prints the report.

    Args:
        evidence: of the runs.
        page: path of the full report.
        console: to print on; None is the standard output.
    """
    console = console or Printer()
    console.print(f"\n[bold]{_plain(evidence.question)}[/]\n{_plain(evidence.answer)}\n")
    for remark in evidence.remarks:
        console.print(f"- {remark}", markup=False)
    if evidence.settings:
        console.print()
        console.print(_table(evidence))
    for sentence in (one for one in evidence.shipping if one != evidence.answer):
        console.print(f"\n{_plain(sentence)}")
    for failure in evidence.failures[:FAILURES]:
        console.print(f"[red]failed[/] {_plain(failure.label)}: {_plain(' '.join(failure.error.split()))}")
    if len(evidence.failures) > FAILURES:
        more = len(evidence.failures) - FAILURES
        console.print(f"and {more} more failures in {page.with_name('report.md')}", markup=False)
    console.print(f"\n[dim]{_plain(str(page))}[/]")


def _heads(metric: Metric) -> dict[str, str]:
    """Titles of the columns, with the unit that is removed from the cells."""
    unit = metric.unit or metric.label
    return {
        "setting": "",
        "validation": f"val {unit}",
        metric.heading("test"): f"test {unit}",
        "without teacher": f"baseline {unit}",
        "gain": "gain %" if metric.is_relative else "gain",
        "over control": "control",
        "p (Holm)": "p",
        "latency": "latency",
    }


def _table(evidence: Evidence) -> Table:
    rows = setting_rows(evidence, LINES)
    table = Table(box=None, pad_edge=False, header_style="bold")
    titles = _heads(evidence.task.headline)
    heads = [name for name in titles if name in rows[0]]
    for name in heads:
        is_label = name == "setting"
        table.add_column(titles[name], justify="left" if is_label else "right", no_wrap=not is_label, overflow="fold")
    for row in rows:
        table.add_row(*(_plain(_bare(row[name])) for name in heads))
    hidden = len(evidence.settings) + len(evidence.references) - len(rows)
    if hidden > 0:
        table.caption = f"and {hidden} more in cells.csv"
    return table


def _bare(cell: str) -> str:
    for unit in UNITS:
        cell = cell.removesuffix(unit)
    return cell


def _plain(text: str) -> str:
    return text.replace("[", "\\[")
