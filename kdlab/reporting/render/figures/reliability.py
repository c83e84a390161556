"""Reliability diagram: accuracy of the networks against their confidence."""

from collections.abc import Mapping
from typing import NamedTuple

from kdlab.reporting.collect.predictions import reliability
from kdlab.reporting.evidence import Evidence
from kdlab.reporting.render.figures.style import ACCENT, GRID, INK, MUTED, PAPER, Picture, single


class Look(NamedTuple):
    """How a network's line is drawn."""

    colour: str
    marker: str
    line: str


LOOKS: Mapping[str, Look] = {
    "teacher": Look(INK, "s", "-"),
    "baseline": Look(MUTED, "D", "--"),
    "student": Look(ACCENT, "o", "-"),
}
Bins = list[tuple[float, float, int]]


def calibration(evidence: Evidence) -> Picture | None:
    """Reliability diagram of teacher, baseline and student of the best setting's first run."""
    setting = evidence.best or next(iter(evidence.settings), None)
    if setting is None or not setting.runs or not setting.task.names_classes:
        return None
    found = {role: bins for role in LOOKS if (bins := reliability(setting.runs[0].path / role))}
    if not found:
        return None
    figure, axes = single(3.4, top=0.1)
    axes.plot([0, 100], [0, 100], color=GRID, linewidth=3, zorder=1)
    for role, bins in found.items():
        confidence, accuracy = ([100 * entry[axis] for entry in bins] for axis in (0, 1))
        look = LOOKS[role]
        axes.plot(confidence, accuracy, lw=1.2, linestyle=look.line, color=look.colour, label=_label(role, bins))
        sizes = _sizes(bins)
        axes.scatter(confidence, accuracy, sizes, marker=look.marker, color=look.colour, edgecolors=PAPER, zorder=3)
    axes.set(xlabel="confidence (%)", ylabel="accuracy (%)", xlim=(0, 102), ylim=(0, 102))
    axes.legend(loc="lower right")
    errors = ", ".join(f"{role} {_error(bins):.3f}" for role, bins in found.items())
    alt = f"Reliability diagram: accuracy against confidence. Expected calibration error: {errors}."
    label = f"of {setting.label}" if setting.label else "of the run"
    caption = (
        f"Networks {label}, first seed, on the test set; 15 bins of equal width. "
        "On the diagonal, accuracy equals confidence; below it, a network is overconfident. "
        "Larger marks: more samples."
    )
    return Picture("reliability", figure, alt, caption)


def _label(role: str, bins: Bins) -> str:
    return f"{role}, ECE {_error(bins):.3f}"


def _sizes(bins: Bins) -> list[float]:
    """Areas of the marks: the root of each bin's share, so that small bins stay visible."""
    samples = sum(count for *_, count in bins)
    return [12 + 90 * (count / samples) ** 0.5 for *_, count in bins]


def _error(bins: Bins) -> float:
    """Expected calibration error: the distance from the diagonal, weighted by samples."""
    samples = sum(count for *_, count in bins)
    return sum(abs(confidence - accuracy) * count for confidence, accuracy, count in bins) / samples
