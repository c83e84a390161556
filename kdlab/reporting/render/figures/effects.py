"""The effect of numeric settings: a line for one of them, a grid for two."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, Normalize
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from kdlab.reporting.analyse.labels import label, names
from kdlab.reporting.analyse.ranking import chosen_role
from kdlab.reporting.evidence import Evidence, Interval, Setting
from kdlab.reporting.render.figures.style import (
    ACCENT,
    DIVERGING,
    FAINT,
    INK,
    MUTED,
    SEQUENTIAL,
    Picture,
    logarithmic,
    shortened,
    single,
)

Measure = Callable[[Setting], Interval | None]
MOST_LINES = 6
MOST_WRITTEN = 80  # cells of a grid that have room for their number
LEAST_FILLED = 0.5  # share of a grid's cells under which it is a search's scattered points, not a grid
DECADE = 10  # a positive setting whose values span more than this gets a logarithmic axis


@dataclass(frozen=True)
class Quantity:
    """Something measured for each setting.

    Attributes:
        name: for files.
        title: with its unit.
        of: its value for a setting.
        is_signed: whether zero means something.
        is_better_high: whether the highest is the best.
        limits: the least and the greatest possible value; no band goes beyond.
    """

    name: str
    title: str
    of: Measure
    is_signed: bool = False
    is_better_high: bool = True
    limits: tuple[float, float] = (-math.inf, math.inf)


@dataclass(frozen=True)
class Grid:
    """Values over two settings.

    Attributes:
        columns: values of the first setting, ascending.
        rows: values of the second setting, ascending.
        cells: `(rows, columns)`; the mean of the points there, NaN where there are none.
    """

    columns: tuple[float, ...]
    rows: tuple[float, ...]
    cells: NDArray[np.float64]

    @property
    def is_filled(self) -> bool:
        """Whether enough cells have a value to be drawn as a grid."""
        return bool(np.isfinite(self.cells).mean() >= LEAST_FILLED)


def effects(evidence: Evidence) -> list[Picture]:
    """How validation and gain depend on the first two numeric settings that vary, or on the only one."""
    numeric = [key for key in evidence.varied if _is_numeric(key, evidence.settings)][:2]
    draw = _plane if len(numeric) == 2 else _line
    pictures = [draw(evidence, numeric, quantity) for quantity in _quantities(evidence)] if numeric else []
    return [picture for picture in pictures if picture]


def grid(points: Sequence[tuple[float, float, float]]) -> Grid:
    """Arranges values by two coordinates.

    Args:
        points: first coordinate, second coordinate, value; several with the same coordinates are averaged.
    """
    columns, rows = (tuple(sorted({point[axis] for point in points})) for axis in (0, 1))
    total, count = np.zeros((len(rows), len(columns))), np.zeros((len(rows), len(columns)))
    for x, y, value in points:
        cell = rows.index(y), columns.index(x)
        total[cell] += value
        count[cell] += 1
    return Grid(columns, rows, np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0))


def _quantities(evidence: Evidence) -> tuple[Quantity, Quantity]:
    """The validation figure that settings are ranked by, and the gain."""
    role, metric = chosen_role(evidence.varied), evidence.task.headline
    validation = metric.axis("validation" if role == "student" else f"validation (of the {role})")
    return (
        Quantity(
            "validation", validation, lambda one: one.validated(role), False, metric.higher_is_better, metric.limits
        ),
        Quantity("gain", f"gain ({metric.gain_text('test')})", lambda one: one.gain.points if one.gain else None, True),
    )


def _is_numeric(key: str, settings: Sequence[Setting]) -> bool:
    values = [setting.values.get(key) for setting in settings]
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    return len(numbers) == len(values) and len(set(numbers)) > 1


def _plane(evidence: Evidence, keys: Sequence[str], quantity: Quantity) -> Picture | None:
    """Two settings at once: a heatmap, or points in the plane where a search chose them freely."""
    measured = [(setting, value) for setting in evidence.settings if (value := quantity.of(setting))]
    if not measured:
        return None
    points = [(float(setting.values[keys[0]]), float(setting.values[keys[1]]), v.mean) for setting, v in measured]
    whole = grid(points)
    figure, axes = single(3.4)
    colours, norm = _colouring([point[2] for point in points], quantity.is_signed)
    if whole.is_filled:
        _heatmap(axes, whole, colours, norm, quantity.is_better_high)
    else:
        _scatter(axes, points, colours, norm)
    axes.set(xlabel=keys[0], ylabel=keys[1], title=f"{quantity.title[0].upper()}{quantity.title[1:]}")
    best, other, extremes = (max, min, ("highest", "lowest"))
    if not quantity.is_better_high:
        best, other, extremes = min, max, extremes[::-1]
    top = best(points, key=lambda point: point[2])
    alt = (
        f"{quantity.title} over {keys[0]} and {keys[1]}: {extremes[0]}, {top[2]:.2f}, at {keys[0]} {top[0]:g} and "
        f"{keys[1]} {top[1]:g}; {extremes[1]} {other(point[2] for point in points):.2f}."
    )
    return Picture(f"effect-{quantity.name}", figure, alt, _plane_caption(evidence, keys, whole, extremes[0]))


def _plane_caption(evidence: Evidence, keys: Sequence[str], whole: Grid, framed: str) -> str:
    others = [key for key in evidence.varied if key not in keys]
    shown = "Mean over seeds" + (f" and over {', '.join(others)}" if others and whole.is_filled else "")
    return f"{shown}. {f'The {framed} is framed.' if whole.is_filled else 'One point a setting.'}"


def _colouring(values: Sequence[float], is_signed: bool) -> tuple[Colormap, Normalize]:
    if is_signed:
        reach = max(*map(abs, values), 1e-9)
        return DIVERGING, Normalize(-reach, reach)
    return SEQUENTIAL, Normalize(min(values), max(*values, min(values) + 1e-9))


def _heatmap(axes: Axes, whole: Grid, colours: Colormap, norm: Normalize, is_better_high: bool) -> None:
    axes.pcolormesh(whole.cells, cmap=colours, norm=norm, edgecolors="face", linewidth=0.2)
    axes.grid(visible=False)
    axes.set_xticks(np.arange(len(whole.columns)) + 0.5, [f"{value:g}" for value in whole.columns])
    axes.set_yticks(np.arange(len(whole.rows)) + 0.5, [f"{value:g}" for value in whole.rows])
    axes.tick_params(length=0)
    best = np.nanargmax if is_better_high else np.nanargmin
    row, column = np.unravel_index(best(whole.cells), whole.cells.shape)
    axes.add_patch(Rectangle((float(column), float(row)), 1, 1, fill=False, edgecolor=INK, linewidth=2, zorder=3))
    if whole.cells.size <= MOST_WRITTEN:
        for (y, x), value in np.ndenumerate(whole.cells):
            if math.isfinite(value):
                _write(axes, x + 0.5, y + 0.5, float(value), colours(norm(value)))


def _write(axes: Axes, x: float, y: float, value: float, background: tuple[float, float, float, float]) -> None:
    """A number that is legible on its cell, which keeps its colour in dark mode."""
    red, green, blue, _ = background
    light = 0.299 * red + 0.587 * green + 0.114 * blue > 0.55
    axes.text(x, y, f"{value:.1f}", ha="center", va="center", color="#101418" if light else "#fdfdfd")


def _scatter(axes: Axes, points: Sequence[tuple[float, float, float]], colours: Colormap, norm: Normalize) -> None:
    x, y, values = zip(*sorted(points, key=lambda point: point[2]), strict=True)
    drawn = axes.scatter(x, y, c=values, cmap=colours, norm=norm, s=34, edgecolors=MUTED, linewidths=0.5)
    assert axes.figure
    axes.figure.colorbar(drawn, ax=axes, pad=0.02).outline.set_visible(False)
    _scale(axes, "x", x)
    _scale(axes, "y", y)


def _scale(axes: Axes, which: str, values: Sequence[float]) -> None:
    if min(values) > 0 and max(values) / min(values) > DECADE:
        logarithmic(axes, which)


def _line(evidence: Evidence, keys: Sequence[str], quantity: Quantity) -> Picture | None:
    """One setting: a line with the band of its intervals, for each choice of whatever else varies."""
    lines = _lines(evidence, keys[0], quantity)
    if not lines:
        return None
    figure, axes = single()
    for index, (others, line) in enumerate(list(lines.items())[:MOST_LINES]):
        _draw_line(axes, others, line, is_first=index == 0, limits=quantity.limits)
    if quantity.is_signed:
        axes.axhline(0, color=MUTED, linewidth=1)
    values = sorted({x for line in lines.values() for x, _ in line})
    _scale(axes, "x", values)
    axes.set_xticks(values if len(values) <= 8 else axes.get_xticks(), minor=False)
    if len(values) <= 8:
        axes.set_xticklabels([f"{value:g}" for value in values])
        axes.minorticks_off()
    axes.set(xlabel=keys[0], title=f"{quantity.title[0].upper()}{quantity.title[1:]}")
    if len(lines) > 1:
        axes.legend()
    first = ", ".join(f"{value.mean:.2f} at {x:g}" for x, value in next(iter(lines.values()))[:12])
    alt = f"{quantity.title} over {keys[0]}: {first}."
    return Picture(f"effect-{quantity.name}", figure, alt, _line_caption(lines))


def _lines(evidence: Evidence, key: str, quantity: Quantity) -> dict[str, list[tuple[float, Interval]]]:
    """Points by ascending `key`, by the label of everything else that varies; the best setting's first."""
    named = names(list(evidence.varied))
    lines: dict[str, list[tuple[float, Interval]]] = {}
    for setting in evidence.settings:
        if measured := quantity.of(setting):
            others = {name: value for name, value in setting.values.items() if name != key}
            lines.setdefault(label(others, named), []).append((float(setting.values[key]), measured))
    return {others: sorted(line, key=lambda point: point[0]) for others, line in lines.items()}


def _draw_line(
    axes: Axes, others: str, line: Sequence[tuple[float, Interval]], is_first: bool, limits: tuple[float, float]
) -> None:
    colour = ACCENT if is_first else MUTED
    x, means = [point[0] for point in line], [point[1].mean for point in line]
    axes.plot(x, means, "-o", color=colour, linewidth=2 if is_first else 1.2, markersize=5, label=shortened(others))
    if is_first and all(value.half is not None for _, value in line):
        low, high = (np.clip([v.mean + sign * (v.half or 0) for _, v in line], *limits) for sign in (-1, 1))
        axes.fill_between(x, low, high, color=FAINT, alpha=0.4, linewidth=0)


def _line_caption(lines: Mapping[str, Sequence[tuple[float, Interval]]]) -> str:
    band = any(value.half is not None for _, value in next(iter(lines.values())))
    shown = "Band: 95 % t-interval over seeds." if band else "One seed: no interval."
    return shown + (f" {MOST_LINES} of {len(lines)} lines are shown." if len(lines) > MOST_LINES else "")
