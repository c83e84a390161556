"""The gain of each setting over the same student without a teacher."""

from kdlab.reporting.evidence import Evidence
from kdlab.reporting.render.figures.forest import Row, forest
from kdlab.reporting.render.figures.style import Picture


def gains(evidence: Evidence) -> Picture | None:
    """A forest plot of the gains, best setting first."""
    rows = [
        Row(setting.label, setting.gain.points, setting.gain.bootstrap, is_best=setting is evidence.best)
        for setting in evidence.settings
        if setting.gain
    ]
    if not rows:
        return None
    clear = sum(row.points.half is not None and abs(row.points.mean) > row.points.half for row in rows)
    metric = evidence.task.headline
    figure = forest(rows, f"gain ({metric.gain_text('test')})")
    top = rows[0]
    alt = (
        f"Gain over the baseline for {len(rows)} settings, from {min(row.points.mean for row in rows):+.2f} to "
        f"{max(row.points.mean for row in rows):+.2f} {metric.gain_unit}; "
        f"{top.label}, at the top, has {top.points.mean:+.2f}."
    )
    return Picture("gains", figure, alt, _caption(rows, clear))


def _caption(rows: list[Row], clear: int) -> str:
    parts = []
    if any(row.points.half is not None for row in rows):
        parts.append("Dot and line: mean over seeds with its 95 % t-interval.")
        parts.append(f"In {clear} of {len(rows)} settings it excludes zero.")
    else:
        parts.append("One seed: a dot without an interval over seeds.")
    if any(row.wider for row in rows):
        parts.append("Grey band: 95 % of a paired bootstrap over test samples.")
    return " ".join(parts)
