"""What was found, on the screen."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from kdlab.benchmarking.claims import Claim, Span
from kdlab.benchmarking.findings import Found
from kdlab.benchmarking.growth import Growth
from kdlab.reporting.render.magnitude import scaled

MB = 1e6
COLUMNS = ("images/s", "ms/step", "× plain", "× alone", "teacher", "MB", "start s")


def show_machine(machine: Mapping[str, Any], console: Console) -> None:
    """One line."""
    facts = dict(machine)
    where = ", ".join(str(facts.pop(name)) for name in ("cpu", "gpu") if name in facts)
    console.print(f"{where}; {', '.join(f'{name} {value}' for name, value in facts.items())}", markup=False)


def show_pair(found: Found, console: Console) -> None:
    """A table of the ways to train, then what is promised of them."""
    case = found.case
    console.print(f"\n[bold]{case.pair}[/], {case.image_size} px, batches of {case.batch_size}")
    console.print(_ways(found))
    console.print()
    console.print(_claims(found.claims))
    factor = found.overhead["factor"]
    console.print(f"framework overhead {100 * (factor['median'] - 1):+.1f} % of a step of the student alone")


def show_growth(grown: Growth, console: Console) -> None:
    """A table with a column for each size."""
    table = _table(f"{grown.over}: {grown.unit}", *map(scaled, grown.values))
    for way, costs in grown.costs.items():
        table.add_row(way, *(_short(cost) for cost in costs))
    console.print()
    console.print(table)


def _ways(found: Found) -> Table:
    table = _table("", *COLUMNS)
    for way in found.timings:
        table.add_row(way, *_cells(found.row(way)))
    return table


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    least, most = row["ms_range"]
    share = row["teacher_share"]
    return (
        _short(row["images_per_second"]),
        _spread(Span(row["ms_per_step"], least, most)),
        f"{row['faster_than_plain']['median']:.2f}",
        f"{row['of_student_only']['median']:.2f}",
        "–" if share is None else f"{100 * share:.0f} %",
        f"{row['memory_bytes'] / MB:.0f}",
        f"{row['start_seconds']:.1f}",
    )


def _claims(found: Sequence[Claim]) -> Table:
    table = _table("promised", "found", "limit", "")
    for claim in found:
        limit = f"{'≤' if claim.at_most else '≥'} {_short(claim.limit)} {claim.unit}"
        table.add_row(claim.words, f"{_spread(claim.found)} {claim.unit}", limit, _verdict(claim))
    return table


def _verdict(claim: Claim) -> str:
    if claim.holds:
        return "[green]yes[/]"
    return "[yellow]unclear[/]" if claim.is_open else "[red]no[/]"


def _spread(span: Span) -> str:
    """Median and range."""
    return f"{_short(span.median)} [{_short(span.least)}, {_short(span.most)}]"


def _short(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _table(*headers: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for place, header in enumerate(headers):
        table.add_column(header, justify="right" if place else "left", no_wrap=True)
    return table
