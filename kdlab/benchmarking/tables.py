"""The results on the screen."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from kdlab.benchmarking.claims import Claim, Span
from kdlab.benchmarking.findings import PairResult
from kdlab.benchmarking.scaling import Scaling
from kdlab.reporting.render.magnitude import scaled

MB = 1e6
SPREADS = ("ms/step", "measured")  # columns of a median and its range, on one line
COLUMNS = ("images/s", "ms/step", "× plain", "× student", "teacher", "MB", "start s")


def show_machine(machine: Mapping[str, Any], console: Console) -> None:
    """One line with its properties."""
    settings = dict(machine)
    processors = ", ".join(str(settings.pop(name)) for name in ("cpu", "gpu") if name in settings)
    console.print(f"{processors}; {', '.join(f'{name} {value}' for name, value in settings.items())}", markup=False)


def show_pair(result: PairResult, console: Console) -> None:
    """A table of the variants, then one of the promises about them."""
    case = result.case
    console.print(f"\n[bold]{case.pair}[/], {case.image_size} px, batches of {case.batch_size}")
    _show(_variants(result), console)
    console.print()
    _show(_claims(result.claims), console)
    factor = result.overhead["factor"]
    console.print(f"framework overhead {100 * (factor['median'] - 1):+.1f} % of a step without a teacher")


def show_scaling(scaling: Scaling, console: Console) -> None:
    """A table with a column for each size."""
    table = _table(f"{scaling.over}: {scaling.unit}", *map(scaled, scaling.values))
    for variant, costs in scaling.costs.items():
        table.add_row(variant, *(_short(cost) for cost in costs))
    console.print()
    _show(table, console)


def _show(table: Table, console: Console) -> None:
    """Columns are closer together where there is less room, as on 80 columns."""
    unlimited = console.options.update(max_width=1000)
    table.collapse_padding = console.measure(table, options=unlimited).maximum > console.width
    console.print(table)


def _variants(result: PairResult) -> Table:
    table = _table("", *COLUMNS)
    for variant in result.timings:
        table.add_row(variant, *_cells(result.row(variant)))
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


def _claims(claims: Sequence[Claim]) -> Table:
    table = _table("promised", "measured", "limit", "holds")
    for claim in claims:
        limit = f"{'≤' if claim.at_most else '≥'} {_short(claim.limit)} {claim.unit}"
        table.add_row(claim.words, f"{_spread(claim.found)} {claim.unit}", limit, _verdict(claim))
    return table


def _verdict(claim: Claim) -> str:
    if claim.holds:
        return "[green]yes[/]"
    return "[yellow]unclear[/]" if claim.is_unclear else "[red]no[/]"


def _spread(span: Span) -> str:
    """Median and range."""
    return f"{_short(span.median)} [{_short(span.least)}, {_short(span.most)}]"


def _short(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _table(*headers: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for index, header in enumerate(headers):
        together = index == 0 or header in SPREADS
        table.add_column(header, justify="right" if index else "left", no_wrap=together, overflow="fold")
    return table
