"""Cascades of a student and its teacher: accuracy on test against what a sample takes in the mean."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes

from kdlab.reporting.render.figures.style import ACCENT, INK, MUTED, PAPER, SAND, Picture, shortened, single
from kdlab.tasks.description import Description

Content = Mapping[str, Any]
PALETTE = (ACCENT, SAND, "#2e8b6f", "#8a4fb0", "#b04a6a", MUTED)


def deferral_pictures(content: Content, suffix: str = "") -> list[Picture]:
    """One picture with every pair of files; none where a comparison has no cascades that were measured.

    Args:
        content: the fields of `comparison.json`.
        suffix: of its name, where a page has several comparisons.
    """
    measured = [one for one in content.get("cascades", []) if one["learned"]["seconds"] is not None]
    pairs: dict[tuple[str, str], list[Content]] = {}  # several targets have one curve
    for one in measured:
        pairs.setdefault((one["file"], one["engine"]), []).append(one)
    if not pairs:
        return []
    metric = Description.of(content).headline
    figure, axes = single(height=3.5 + 0.21 * len(pairs), left=0.8, top=0.2 + 0.21 * len(pairs))
    fastest = min(pairs, key=lambda pair: float(pairs[pair][0]["learned"]["seconds"]))
    for index, (pair, cascades) in enumerate(pairs.items()):
        _draw(axes, cascades, PALETTE[min(index, len(PALETTE) - 1)], named=pair == fastest)
    axes.set(xlabel="milliseconds a sample in the mean", ylabel=metric.axis("test"))
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=1, borderaxespad=0.2)
    named = "; ".join(_described(one, metric.show) for one in measured[:6])
    alt = f"Test {metric.label} of cascades against the milliseconds of a sample in the mean. {named}."
    caption = (
        "From the student without its teacher, left, to all samples deferred, right; of the first seed. Dots: "
        "thresholds that were learned on validation for a target. Square: the teacher without a student."
    )
    return [Picture(f"comparison-cascade{suffix}", figure, alt, caption)]


def _draw(axes: Axes, cascades: Sequence[Content], colour: str, *, named: bool) -> None:
    """The curve of a pair of files, its targets, and the teacher; the fastest pair with the targets' numbers."""
    first = cascades[0]
    points, teacher = first["curve"], first["teacher"]
    label = shortened(f"{first['file']} in {first['engine']}", 60)
    axes.plot([1e3 * one["seconds"] for one in points], [one["accuracy"] for one in points], color=colour, label=label)
    axes.plot(1e3 * teacher["seconds"], teacher["accuracy"], "s", color=INK, mec=PAPER, ms=6.5, zorder=4)
    for one in cascades:
        learned = one["learned"]
        axes.plot(1e3 * learned["seconds"], learned["accuracy"], "o", color=colour, mec=PAPER, ms=6.5, zorder=4)
        if named:
            where = 1e3 * learned["seconds"], learned["accuracy"]
            text: Any = {"color": MUTED, "size": 9, "ha": "right", "va": "bottom"}
            axes.annotate(f"{one['target']:g}", where, (-5, 2), textcoords="offset points", **text)


def _described(one: Content, show: Any) -> str:
    learned, alone, teacher = one["learned"], one["curve"][0], one["teacher"]
    figures = [(point["accuracy"], point["seconds"]) for point in (alone, learned, teacher)]
    student, cascade, taught = (f"{show(accuracy)} at {1e3 * seconds:.3g}" for accuracy, seconds in figures)
    return f"{one['file']}: student {student}, cascade at {one['target']:g} {cascade}, teacher {taught}"
