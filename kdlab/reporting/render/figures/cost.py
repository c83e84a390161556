"""Accuracy against cost: parameters, FLOPs, training time."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from matplotlib.axes import Axes

from kdlab.reporting.analyse.pareto import pareto_front
from kdlab.reporting.evidence import Evidence, Setting
from kdlab.reporting.render.figures.style import (
    ACCENT,
    FAINT,
    INK,
    MUTED,
    PAPER,
    Picture,
    logarithmic,
    shortened,
    single,
)
from kdlab.reporting.render.magnitude import scaled

DECADE = 10
LOOKS: Mapping[str, tuple[str, str, float]] = {
    "teacher": ("s", INK, 7),
    "baseline": ("D", MUTED, 5.5),
    "student": ("o", FAINT, 5.5),
}
"""Marker, colour and size of each kind of network."""


class Cost(NamedTuple):
    """A figure that is better when smaller: its key, its name, and the roles that are compared."""

    key: str
    name: str
    roles: tuple[str, ...]


COSTS = (
    Cost("params", "parameters", ("student", "baseline", "teacher")),
    Cost("flops", "FLOPs per sample", ("student", "baseline", "teacher")),
    Cost("seconds", "training seconds", ("student", "baseline")),  # a teacher may be pretrained
)


class Point(NamedTuple):
    """One network of one setting."""

    cost: float
    reached: float
    role: str
    label: str


def costs(evidence: Evidence) -> list[Picture]:
    """The headline metric on test against each cost, with the Pareto front."""
    return [picture for cost in COSTS if (picture := _cost(evidence, cost))]


def _cost(evidence: Evidence, cost: Cost) -> Picture | None:
    points = _points(evidence.settings, cost)
    if len({point.cost for point in points}) < 2:
        return None
    metric = evidence.task.headline
    merits = [metric.merit(point.reached) for point in points]
    front = [points[index] for index in pareto_front([point.cost for point in points], merits)]
    figure, axes = single(top=0.1)
    _draw(axes, points, front)
    if evidence.best and (best := _points([evidence.best], cost)):
        axes.plot(best[0].cost, best[0].reached, "o", color=ACCENT, ms=9, mec=PAPER, label="best setting", zorder=5)
    if min(point.cost for point in points) > 0 and front[-1].cost / min(p.cost for p in points) > DECADE:
        logarithmic(axes, "x")
    else:
        axes.xaxis.set_major_formatter(lambda value, _: scaled(value))
    axes.set(xlabel=cost.name, ylabel=metric.axis("test"))
    axes.legend(loc="best")
    named = "; ".join(f"{point.label}, {scaled(point.cost)}, {metric.show(point.reached)}" for point in front[:6])
    alt = (
        f"Test {metric.label} against {cost.name} of {len(points)} networks. On the Pareto front, cheapest first: "
        f"{named}."
    )
    caption = (
        f"Line: the Pareto front, the networks that no other beats in both. {metric.label.capitalize()} of each "
        "setting is a mean over seeds."
    )
    return Picture(f"cost-{cost.key}", figure, alt, caption)


def _points(settings: Sequence[Setting], cost: Cost) -> list[Point]:
    """Students of all settings, and each baseline and teacher once."""
    found: dict[tuple[float, float, str], Point] = {}
    for role in cost.roles:
        for setting in settings:
            x, y = setting.figures.get(f"{role}/{cost.key}"), setting.reached(role)
            if x and y:
                label = shortened(setting.label) if role == "student" else role
                point = Point(x.mean, y.mean, role, label or role)
                found.setdefault((round(x.mean, 3), round(y.mean, 6), role), point)
    return list(found.values())


def _draw(axes: Axes, points: Sequence[Point], front: Sequence[Point]) -> None:
    axes.plot([p.cost for p in front], [p.reached for p in front], color=MUTED, lw=1, drawstyle="steps-post", zorder=2)
    for role, (marker, colour, size) in LOOKS.items():
        own = [point for point in points if point.role == role]
        if own:
            x, y = [point.cost for point in own], [point.reached for point in own]
            axes.plot(x, y, marker, color=colour, ms=size, mec=PAPER, label=role, zorder=3)
