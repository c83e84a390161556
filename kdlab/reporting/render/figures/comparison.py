"""Accuracy of compressed networks against what they take: latency and size, with the Pareto front."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from kdlab.reporting.analyse.comparison import EAGER, at, title
from kdlab.reporting.analyse.pareto import pareto_front
from kdlab.reporting.render.figures.style import (
    ACCENT,
    INK,
    MUTED,
    PAPER,
    SAND,
    Picture,
    logarithmic,
    shortened,
    single,
)
from kdlab.reporting.render.magnitude import scaled
from kdlab.tasks.description import Description

Content = Mapping[str, Any]
PALETTE = (INK, ACCENT, SAND, "#2e8b6f", "#8a4fb0", "#b04a6a", MUTED)
"""Of the networks, the teacher first."""
MARKERS = {"float32": "o", "int8": "s", EAGER: "X"}


class Point(NamedTuple):
    """A row: its cost with the range, its figure with half its interval, and how it looks."""

    cost: float
    least: float
    most: float
    reached: float
    half: float | None
    network: str
    marker: str
    title: str


def comparison_pictures(content: Content, suffix: str = "") -> list[Picture]:
    """The headline metric on test against latency and against size, of all that was measured.

    Args:
        content: the fields of `comparison.json`.
        suffix: of their names, where a page has several comparisons.
    """
    measured = [row for row in content["rows"] if at(row["latency"], content["deciding"]) and row["reached"]]
    if not measured:
        return []
    batch = content["deciding"]["batch"]
    by_latency = [_point(row, *_latency(row, content)) for row in measured]
    by_size = [_point(row, *[row["size_bytes"] / 1e6] * 3) for row in measured]
    return [
        _picture(content, by_latency, f"latency{suffix}", f"milliseconds a call of batch {batch}"),
        _picture(content, by_size, f"size{suffix}", "megabytes"),
    ]


def _latency(row: Mapping[str, Any], content: Content) -> tuple[float, float, float]:
    one = at(row["latency"], content["deciding"]) or {}
    return 1e3 * one["p50"], 1e3 * one["p50_least"], 1e3 * one["p50_most"]


def _point(row: Mapping[str, Any], cost: float, least: float, most: float) -> Point:
    reached, marker = row["reached"], MARKERS[EAGER if row["engine"] == EAGER else row["precision"]]
    return Point(cost, least, most, reached["mean"], reached["half"], row["network"], marker, title(row))


def _picture(content: Content, points: Sequence[Point], name: str, axis: str) -> Picture:
    metric = Description.of(content).headline
    front = pareto_front([point.cost for point in points], [metric.merit(point.reached) for point in points])
    networks = list(dict.fromkeys(row["network"] for row in content["rows"]))
    colours = {network: PALETTE[min(index, len(PALETTE) - 1)] for index, network in enumerate(networks)}
    figure, axes = single(height=3.5 + 0.21 * len(networks), left=0.8, top=0.2 + 0.21 * len(networks))
    _draw(axes, points, [points[index] for index in front], colours)
    if min(point.cost for point in points) > 0:
        logarithmic(axes, "x")
    axes.set(xlabel=axis, ylabel=metric.axis("test"))
    _legend(axes, {network: colours[network] for network in networks if network in {one.network for one in points}})
    first = [points[index] for index in front[:6]]
    named = "; ".join(f"{one.title}, {scaled(one.cost)}, {metric.show(one.reached)}" for one in first)
    alt = f"Test {metric.label} against {axis} of {len(points)} files. On the Pareto front, cheapest first: {named}."
    caption = (
        f"Line: the Pareto front. Vertical bars: 95 % intervals over seeds, where there are several. "
        f"{'Horizontal bars: the range over processes. ' if name.startswith('latency') else ''}"
        "Circles are float32, squares INT8, crosses PyTorch."
    )
    return Picture(f"comparison-{name}", figure, alt, caption)


def _draw(axes: Axes, points: Sequence[Point], front: Sequence[Point], colours: Mapping[str, str]) -> None:
    axes.plot([p.cost for p in front], [p.reached for p in front], color=MUTED, lw=1, drawstyle="steps-post", zorder=2)
    for point in points:
        colour = colours[point.network]
        across = [[point.cost - point.least], [point.most - point.cost]]
        axes.errorbar(point.cost, point.reached, yerr=point.half, xerr=across, color=colour, lw=1, alpha=0.6, zorder=3)
        axes.plot(point.cost, point.reached, point.marker, color=colour, ms=6.5, mec=PAPER, zorder=4)


def _legend(axes: Axes, colours: Mapping[str, str]) -> None:
    """Above the plot, a line for each network."""
    handles = [
        Line2D([], [], color=colour, marker="o", ls="", label=shortened(name, 60)) for name, colour in colours.items()
    ]
    axes.legend(handles=handles, loc="lower left", bbox_to_anchor=(0, 1), ncols=1, borderaxespad=0.2)
