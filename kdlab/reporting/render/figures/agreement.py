"""How closely each student matches its teacher."""

import numpy as np

from kdlab.reporting.evidence import Evidence
from kdlab.reporting.render.figures.style import ACCENT, FAINT, MUTED, PAPER, Picture, single


def agreement(evidence: Evidence) -> Picture | None:
    """Agreement with the teacher against the distance from its probabilities, one point a setting."""
    points = [
        (setting.figures["kl_to_teacher"].mean, setting.figures["agreement"].mean, setting)
        for setting in evidence.settings
        if {"kl_to_teacher", "agreement"} <= setting.figures.keys()
    ]
    if len(points) < 2:
        return None
    figure, axes = single(top=0.1)
    axes.plot([x for x, *_ in points], [y for _, y, _ in points], "o", color=FAINT, ms=6, mec=PAPER, label="settings")
    for x, y, setting in points:
        if setting is evidence.best:
            axes.plot(x, y, "o", color=ACCENT, ms=9, mec=PAPER, label="best setting")
    baselines = [s.figures["agreement_baseline"].mean for *_, s in points if "agreement_baseline" in s.figures]
    if baselines:
        axes.axhline(float(np.mean(baselines)), color=MUTED, linewidth=1, linestyle=(0, (4, 2)), label="baseline, mean")
    axes.set(xlabel="KL from teacher to student (nats)", ylabel="agreement with the teacher (%)")
    axes.legend()
    closest = max(points, key=lambda point: point[1])
    alt = (
        f"Agreement with the teacher against KL divergence for {len(points)} settings; {closest[2].label} agrees most, "
        f"on {closest[1]:.2f} % of the test set at {closest[0]:.4g} nats."
    )
    caption = "Up and left is more like the teacher. Agreement: share of the test set for which both predict the same."
    return Picture("agreement", figure, alt, caption)
