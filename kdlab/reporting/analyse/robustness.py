"""What networks lose on corrupted test images, and whether a student loses more than its teacher."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from kdlab.reporting.analyse.statistics import paired_bootstrap
from kdlab.settings.corruption import CLEAN

if TYPE_CHECKING:
    from kdlab.runtime.robustness import Flags

TEACHER = "teacher"

Content = Mapping[str, Any]


def robustness(flags: "Flags", labels: Mapping[str, str], severity: int) -> dict[str, Any]:
    """The content of `robustness.json`.

    Args:
        flags: of `correct`.
        labels: the name of each network by its role.
        severity: 1 to 5.

    Returns:
        `accuracy` of each role by corruption, in percent; `lost`, the points that it loses in the mean over the
        corruptions; and `more_lost`, how many more than the teacher loses, with the 95 % interval of a bootstrap over
        test images, paired.
    """
    right = {role: {name: 100.0 * one[role].double().numpy() for name, one in flags.items()} for role in labels}
    lost = {
        role: found[CLEAN] - np.mean([found[name] for name in flags if name != CLEAN], axis=0)
        for role, found in right.items()
    }
    return {
        "severity": severity,
        "samples": len(next(iter(right.values()))[CLEAN]),
        "corruptions": [name for name in flags if name != CLEAN],
        "labels": dict(labels),
        "accuracy": {role: {name: float(one.mean()) for name, one in found.items()} for role, found in right.items()},
        "lost": {role: float(one.mean()) for role, one in lost.items()},
        "more_lost": {
            role: {"points": float((one - lost[TEACHER]).mean()), "interval": paired_bootstrap(one - lost[TEACHER])}
            for role, one in lost.items()
            if role != TEACHER and TEACHER in lost
        },
    }


def sentences(content: Content) -> list[str]:
    """What each network loses, and how that compares with the teacher."""
    return [_sentence(content, role) for role in content["labels"]]


def _sentence(content: Content, role: str) -> str:
    lost = f"The {role} loses {content['lost'][role]:.2f} points of test accuracy"
    if role not in content["more_lost"]:
        return f"{lost}."
    more = content["more_lost"][role]
    low, high = more["interval"]
    if low <= 0 <= high:
        return f"{lost}, as many as the teacher within the uncertainty ({_points(more['points'], low, high)})."
    which = "more" if more["points"] > 0 else "fewer"
    ends = sorted((abs(low), abs(high)))
    return f"{lost}, {abs(more['points']):.2f} {which} than the teacher (95 % interval {ends[0]:.2f} to {ends[1]:.2f})."


def _points(mean: float, low: float, high: float) -> str:
    return f"{mean:+.2f}, 95 % interval {low:+.2f} to {high:+.2f}"
