"""A report on one screen: the question, the answer, the best settings, and where the page is."""

from pathlib import Path

from rich.console import Console
from rich.table import Table

from kdlab.reporting.evidence import Evidence
from kdlab.reporting.tables import setting_rows

LINES = 16  # settings and failures that a screen has room for
COLUMNS = ("setting", "seeds", "validation", "test accuracy", "without teacher", "gain", "over control", "p (Holm)")


def show(evidence: Evidence, page: Path, console: Console | None = None) -> None:
    """Prints it.

    Args:
        evidence: what was found.
        page: where it is told at length.
        console: to print on; None is the standard output.
    """
    console = console or Console(highlight=False, soft_wrap=True)
    console.print(f"\n[bold]{_plain(evidence.question)}[/]\n{_plain(evidence.answer)}\n")
    for remark in evidence.remarks:
        console.print(f"- {remark}", markup=False)
    if evidence.settings:
        console.print()
        console.print(_table(evidence))
    for failure in evidence.failures[:LINES]:
        console.print(f"[red]failed[/] {_plain(failure.label)}: {_plain(' '.join(failure.error.split()))}")
    _rest(console, len(evidence.failures), "failures", page)
    console.print(f"\n[dim]{_plain(str(page))}[/]", soft_wrap=True)


def _table(evidence: Evidence) -> Table:
    rows = setting_rows(evidence, LINES)
    table = Table(box=None, pad_edge=False, header_style="bold")
    heads = [name for name in COLUMNS if name in rows[0]]
    for name in heads:
        table.add_column(name, justify="left" if name == "setting" else "right")
    for row in rows:
        table.add_row(*(_plain(row[name].removesuffix(" (smaller than its uncertainty)")) for name in heads))
    hidden = len(evidence.settings) - len(rows)
    if hidden > 0:
        table.caption = f"and {hidden} more in cells.csv"
    return table


def _rest(console: Console, count: int, kind: str, page: Path) -> None:
    if count > LINES:
        console.print(f"and {count - LINES} more {kind} in {page.with_name('report.md')}", markup=False)


def _plain(text: str) -> str:
    return text.replace("[", "\\[")
