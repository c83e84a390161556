"""What teacher, baseline and student lose on corrupted test images."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from kdlab.reporting.evidence import Evidence, Setting
from kdlab.reporting.render.figures.style import ACCENT, INK, PAPER, SAND, Picture, room, single
from kdlab.settings.corruption import CLEAN

COLOURS = {"teacher": INK, "baseline": SAND, "student": ACCENT}
ROW = 0.27  # inches


def corrupted_images(evidence: Evidence) -> Picture | None:
    """Points of accuracy lost under each corruption, of the first setting with `robustness.json`: means over seeds."""
    found = next((contents for setting in evidence.settings if (contents := _contents(setting))), None)
    if found is None:
        return None
    names = sorted(found[0]["corruptions"], key=lambda name: _lost(found, "student", name))
    roles = [role for role in COLOURS if role in found[0]["accuracy"]]
    labels = [name.replace("_", " ") for name in names]
    figure, axes = single(1.1 + ROW * len(names), left=room(labels), top=0.4)
    for role in roles:
        lost = [_lost(found, role, name) for name in names]
        axes.plot(lost, range(len(names)), "o", color=COLOURS[role], ms=7, mec=PAPER, label=role)
    axes.set_yticks(range(len(names)), labels)
    axes.tick_params(axis="y", length=0, labelcolor=INK)
    axes.set_xlabel("points of test accuracy lost")
    figure.legend(*axes.get_legend_handles_labels(), loc="upper right", ncols=len(roles))
    return Picture("corrupted-images", figure, _alt(found, roles), _caption(found, roles))


def _contents(setting: Setting) -> list[Mapping[str, Any]]:
    """Of its runs, those with the severity and the corruptions of the first."""
    every = [run.result["robustness"] for run in setting.runs if run.result.get("robustness")]
    alike = ("severity", "corruptions")
    return [one for one in every if all(one[name] == every[0][name] for name in alike) and "student" in one["lost"]]


def _lost(contents: Sequence[Mapping[str, Any]], role: str, name: str) -> float:
    accuracies = [one["accuracy"][role] for one in contents]
    return float(np.mean([found[CLEAN] - found[name] for found in accuracies]))


def _alt(contents: Sequence[Mapping[str, Any]], roles: Sequence[str]) -> str:
    lost = (f"the {role} {np.mean([one['lost'][role] for one in contents]):.1f}" for role in roles)
    return f"Points of test accuracy lost in the mean over {len(contents[0]['corruptions'])} corruptions: " + ", ".join(
        lost
    )


def _caption(contents: Sequence[Mapping[str, Any]], roles: Sequence[str]) -> str:
    severity = contents[0]["severity"]
    means = [f"{role} {np.mean([one['lost'][role] for one in contents]):.2f}" for role in roles]
    over = "" if len(contents) == 1 else f" over {len(contents)} seeds"
    return f"To the left is better. Severity {severity} of 5; in the mean{over}: {', '.join(means)} points."
