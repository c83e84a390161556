"""Forest plot: estimates with their intervals, one a row, for any figure of many settings."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kdlab.reporting.evidence import Interval
from kdlab.reporting.render.figures.style import ACCENT, FAINT, INK, MUTED, PAPER, room, shortened, single

MOST_ROWS = 28
LAST_ROWS = 4
ROW = 0.27  # inches


@dataclass(frozen=True)
class Row:
    """One estimate.

    Attributes:
        label: left of it.
        points: the estimate.
        wider: a second interval, drawn thin.
        is_best: drawn in the accent colour.
    """

    label: str
    points: Interval
    wider: tuple[float, float] | None = None
    is_best: bool = False


def forest(rows: Sequence[Row], axis: str) -> Figure:
    """A dot and its interval for each row, and a line at zero.

    Of more rows than a page can hold, the first and the last few are shown, with the number of those between.

    Args:
        rows: top to bottom; at least one.
        axis: what is measured, with its unit.
    """
    shown = _fitting(rows)
    labels = [shortened(row.label) if row else f"… {len(rows) - len(shown) + 1} more …" for row in shown]
    figure, axes = single(0.7 + ROW * len(shown), left=room(labels), top=0.1)
    axes.axvline(0, color=MUTED, linewidth=1)
    for height, row in enumerate(shown):
        if row:
            _draw(axes, -height, row)
    axes.set_yticks([-height for height in range(len(shown))], labels)
    axes.tick_params(axis="y", length=0, labelcolor=INK)
    axes.set_ylim(-len(shown) + 0.4, 0.6)
    axes.margins(x=0.06)
    axes.grid(visible=False, axis="y")
    axes.spines["left"].set_visible(False)
    axes.set_xlabel(axis)
    return figure


def _fitting(rows: Sequence[Row]) -> list[Row | None]:
    if len(rows) <= MOST_ROWS:
        return list(rows)
    return [*rows[: MOST_ROWS - LAST_ROWS - 1], None, *rows[-LAST_ROWS:]]


def _draw(axes: Axes, height: float, row: Row) -> None:
    colour = ACCENT if row.is_best else INK
    if row.wider:
        axes.plot(row.wider, [height, height], color=FAINT, linewidth=6, solid_capstyle="butt", zorder=2)
    if row.points.half is not None:
        ends = row.points.mean - row.points.half, row.points.mean + row.points.half
        axes.plot(ends, [height, height], color=colour, linewidth=1.6, solid_capstyle="butt", zorder=3)
    axes.plot(row.points.mean, height, "o", color=colour, markersize=6, markeredgecolor=PAPER, zorder=4)
