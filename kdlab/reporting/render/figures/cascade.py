"""Chains of students: the test figure of each generation, or of each step down in size."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from kdlab.reporting.evidence import Evidence, Setting
from kdlab.reporting.render.figures.style import ACCENT, FAINT, INK, MUTED, Picture, logarithmic, shortened, single

MOST_CHAINS = 8


def generations(evidence: Evidence) -> Picture | None:
    """The headline metric on test of each generation, and of the control that trained as long in one run."""
    chains = _chains(evidence, "generations")
    if not chains:
        return None
    figure, axes = single(top=0.1)
    for index, (setting, chain) in enumerate(chains):
        steps = range(1, len(chain[0]) + 1)
        _draw(axes, list(steps), _mean(chain, setting.task.outcome), setting, index)
        _control(axes, [len(steps)], setting, index)
    axes.set(xlabel="generation", ylabel=evidence.task.headline.axis("test"))
    axes.locator_params(axis="x", integer=True)
    axes.legend()
    return Picture("generations", figure, _alt("generation", chains), CAPTION)


def steps(evidence: Evidence) -> Picture | None:
    """The headline metric on test of each step of a cascade by size, from the teacher down, and of the control."""
    chains = _chains(evidence, "steps")
    if not chains:
        return None
    figure, axes = single(top=0.1)
    for index, (setting, chain) in enumerate(chains):
        sizes = _mean(chain, "params")
        reached = _mean([[step["figures"] for step in run] for run in chain], setting.task.outcome)
        _draw(axes, sizes, reached, setting, index)
        _control(axes, sizes[-1:], setting, index)
        if index == 0 and (teacher := setting.reached("teacher")):
            size = setting.figures["teacher/params"].mean
            axes.plot([size, sizes[0]], [teacher.mean, reached[0]], ":", color=MUTED, linewidth=1)
            axes.plot(size, teacher.mean, "s", color=INK, ms=7, label="teacher")
    logarithmic(axes, "x")
    axes.invert_xaxis()
    axes.set(xlabel="parameters, smaller to the right", ylabel=evidence.task.headline.axis("test"))
    axes.legend()
    return Picture("steps", figure, _alt("step", chains), CAPTION)


CAPTION = "Means over seeds. Cross: the control, one student with as many epochs in a single step."
Chain = list[list[Mapping[str, Any]]]


def _chains(evidence: Evidence, key: str) -> list[tuple[Setting, Chain]]:
    """Settings whose runs are chains, with the links of each run; runs of one setting have equally many."""
    found = [
        (setting, chain)
        for setting in evidence.settings
        if (chain := [run.result[key] for run in setting.runs if run.result.get(key)])
        and len({len(links) for links in chain}) == 1
        and all(_is_whole(link, setting.task.outcome) for links in chain for link in links)
    ]
    return found[:MOST_CHAINS]


def _is_whole(link: Mapping[str, Any], outcome: str) -> bool:
    """Whether a link has the figures that are drawn; results of an older kdlab may lack some."""
    return (link.get("figures") or link).get(outcome) is not None and link.get("params") is not None


def _mean(chain: Chain, key: str) -> list[float]:
    return [float(value) for value in np.mean([[link[key] for link in run] for run in chain], axis=0)]


def _draw(axes: Axes, x: Sequence[float], y: Sequence[float], setting: Setting, index: int) -> None:
    colour = ACCENT if index == 0 else FAINT
    axes.plot(x, y, "-o", color=colour, lw=2 if index == 0 else 1.2, ms=6, label=shortened(setting.label or "student"))


def _control(axes: Axes, x: Sequence[float], setting: Setting, index: int) -> None:
    if control := setting.reached("control"):
        axes.plot(
            x, [control.mean], "X", color=INK if index == 0 else MUTED, ms=8, label="control" if not index else None
        )


def _alt(link: str, chains: Sequence[tuple[Setting, Chain]]) -> str:
    setting, chain = chains[0]
    figures = [[item.get("figures", item) for item in run] for run in chain]
    metric, control = setting.task.headline, setting.reached("control")
    listed = ", ".join(metric.show(value) for value in _mean(figures, setting.task.outcome))
    control_text = f"; the control {metric.show(control.mean)}" if control else ""
    return f"Test {metric.label} of each {link} of {setting.label or 'the run'}: {listed}{control_text}."
