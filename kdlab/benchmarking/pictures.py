"""What was found, as pictures: a bar for each way to train, a line for each growth."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kdlab.benchmarking.case import ALONE, PLAIN, WARM
from kdlab.benchmarking.claims import ratio
from kdlab.benchmarking.findings import Found
from kdlab.benchmarking.growth import Growth
from kdlab.reporting.render.figures.style import ACCENT, DPI, FAINT, INK, MUTED, drawing, in_style, logarithmic, room

COLOURS = (INK, MUTED, ACCENT)


def write_picture(path: Path, found: Sequence[Found], grown: Sequence[Growth]) -> None:
    """Writes one figure; the file's ending says in which format.

    Args:
        path: such as `benchmark.png`.
        found: pairs, a panel each.
        grown: growths, a panel each; may be empty.
    """
    with in_style():
        figure = _figure(found, grown)
        figure.savefig(path, dpi=DPI)


def _figure(found: Sequence[Found], grown: Sequence[Growth]) -> Figure:
    count = len(found) + len(grown)
    ways = [way for one in found for way in one.timings]
    figure, panels = drawing(0.5 + 2.4 * count, count, left=max(room(ways), 0.8), top=0.3, bottom=0.6)
    figure.subplots_adjust(hspace=0.6)
    for axes, one in zip(panels[: len(found)], found, strict=True):
        _speeds(axes, one)
    for axes, growth in zip(panels[len(found) :], grown, strict=True):
        _growth(axes, growth)
    return figure


def _speeds(axes: Axes, found: Found) -> None:
    """How many steps of each way fit into one of the plain loop; the line is the range over repeats."""
    ways = list(found.timings)
    spans = [ratio(found.timings, PLAIN, way) for way in ways]
    colours = [ACCENT if way == WARM else INK if way == ALONE else FAINT for way in ways]
    reach = [[span.median - span.least for span in spans], [span.most - span.median for span in spans]]
    axes.barh(ways, [span.median for span in spans], xerr=reach, color=colours, ecolor=MUTED, height=0.65)
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.set(xlabel="× the speed of the plain loop", title=f"{found.case.pair}, {found.case.image_size} px")


def _growth(axes: Axes, grown: Growth) -> None:
    for place, (way, costs) in enumerate(grown.costs.items()):
        axes.plot(grown.values, costs, "o-", color=COLOURS[place % len(COLOURS)], label=way, ms=4)
    logarithmic(axes, "x")
    axes.set_ylim(bottom=0)
    axes.set(xlabel=grown.over, title=grown.unit)
    axes.legend(loc="best")
