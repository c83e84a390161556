"""The results as pictures: a bar for each variant, and lines for how costs scale."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kdlab.benchmarking.case import PLAIN, STUDENT, WARM
from kdlab.benchmarking.claims import ratio
from kdlab.benchmarking.findings import PairResult
from kdlab.benchmarking.scaling import Scaling
from kdlab.reporting.render.figures.style import ACCENT, DPI, FAINT, INK, MUTED, drawing, in_style, logarithmic, room

COLOURS = (INK, MUTED, ACCENT)


def write_picture(path: Path, pairs: Sequence[PairResult], scalings: Sequence[Scaling]) -> None:
    """Writes one figure, in the format of the file's suffix.

    Args:
        path: such as `benchmark.png`.
        pairs: a panel each.
        scalings: a panel each; may be empty.
    """
    with in_style():
        figure = _figure(pairs, scalings)
        figure.savefig(path, dpi=DPI)


def _figure(pairs: Sequence[PairResult], scalings: Sequence[Scaling]) -> Figure:
    count = len(pairs) + len(scalings)
    variants = [variant for result in pairs for variant in result.timings]
    figure, panels = drawing(0.5 + 2.4 * count, count, left=max(room(variants), 0.8), top=0.3, bottom=0.6)
    figure.subplots_adjust(hspace=0.6)
    for axes, result in zip(panels[: len(pairs)], pairs, strict=True):
        _speeds(axes, result)
    for axes, scaling in zip(panels[len(pairs) :], scalings, strict=True):
        _costs(axes, scaling)
    return figure


def _speeds(axes: Axes, result: PairResult) -> None:
    """How many steps of each variant fit into one of the plain loop; the line is the range over repeats."""
    variants = list(result.timings)
    spans = [ratio(result.timings, PLAIN, variant) for variant in variants]
    colours = [{WARM: ACCENT, STUDENT: INK}.get(variant, FAINT) for variant in variants]
    reach = [[span.median - span.least for span in spans], [span.most - span.median for span in spans]]
    axes.barh(variants, [span.median for span in spans], xerr=reach, color=colours, ecolor=MUTED, height=0.65)
    axes.invert_yaxis()
    axes.grid(axis="y", visible=False)
    axes.set(xlabel="× the speed of the plain loop", title=f"{result.case.pair}, {result.case.image_size} px")


def _costs(axes: Axes, scaling: Scaling) -> None:
    for index, (variant, costs) in enumerate(scaling.costs.items()):
        axes.plot(scaling.values, costs, "o-", color=COLOURS[index % len(COLOURS)], label=variant, ms=4)
    logarithmic(axes, "x")
    axes.set_ylim(bottom=0)
    axes.set(xlabel=scaling.over, title=scaling.unit)
    axes.legend(loc="best")
